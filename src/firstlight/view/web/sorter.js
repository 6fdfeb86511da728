// Farthest first, in a worker: drawing never waits for it.

function sorterCode(lanes) {
  let positions = new Float32Array(0), count = 0;
  const BUCKETS = 65536;
  const histogram = new Uint32Array(BUCKETS + 1);

  /** Order of what is in front of the eye by depth along `forward`: a counting sort. */
  function sort(eye, forward, near) {
    const depths = new Float32Array(count);
    const offset = eye[0] * forward[0] + eye[1] * forward[1] + eye[2] * forward[2];
    let low = Infinity, high = -Infinity, visible = 0;
    for (let i = 0, p = 0; i < count; i++, p += 3) {
      const depth = positions[p] * forward[0] + positions[p + 1] * forward[1] + positions[p + 2] * forward[2] - offset;
      depths[i] = depth;
      if (depth < near) continue;
      visible++;
      if (depth < low) low = depth;
      if (depth > high) high = depth;
    }
    const order = new Uint32Array(Math.ceil(visible / lanes) * lanes); // whole rows of a texture
    if (!visible) return { order, visible };
    histogram.fill(0);
    // The logarithm gives what is near, where order shows, the finer buckets.
    const scale = (BUCKETS - 1) / Math.max(Math.log(high / low), 1e-9), base = Math.log(low);
    const buckets = new Uint16Array(count);
    for (let i = 0; i < count; i++) {
      if (depths[i] < near) continue;
      const bucket = BUCKETS - 1 - Math.min(BUCKETS - 1, Math.floor((Math.log(depths[i]) - base) * scale));
      buckets[i] = bucket;
      histogram[bucket + 1]++;
    }
    for (let b = 0; b < BUCKETS; b++) histogram[b + 1] += histogram[b];
    for (let i = 0; i < count; i++) {
      if (depths[i] >= near) order[histogram[buckets[i]]++] = i;
    }
    return { order, visible };
  }

  onmessage = ({ data }) => {
    if (data.positions) {
      if (positions.length < data.total * 3) positions = new Float32Array(data.total * 3);
      positions.set(data.positions, 3 * count);
      count += data.positions.length / 3;
      return;
    }
    const { order, visible } = sort(data.eye, data.forward, data.near);
    postMessage({ order, visible, ticket: data.ticket, count }, [order.buffer]);
  };
}

class Sorter {
  constructor(total, done) {
    const url = URL.createObjectURL(new Blob([`(${sorterCode})(${LANES})`], { type: "text/javascript" }));
    this.worker = new Worker(url);
    URL.revokeObjectURL(url);
    this.total = total;
    this.busy = false;
    this.wanted = null;
    this.worker.onmessage = ({ data }) => {
      this.busy = false;
      done(data);
      if (this.wanted) this._send(this.wanted);
    };
  }

  add(positions) {
    this.worker.postMessage({ positions, total: this.total });
  }

  /** Ask for an order; while one is being made, only the latest request is kept. */
  request(request) {
    if (this.busy) this.wanted = request;
    else this._send(request);
  }

  _send(request) {
    this.wanted = null;
    this.busy = true;
    this.worker.postMessage(request);
  }

  close() {
    this.worker.terminate();
  }
}

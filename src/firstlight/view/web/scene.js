// A scene as the page holds it: what packing.py packed, in the layout of the renderer's textures.

const ROW = 4096; // texels in a row of every texture of a scene

class Scene {
  constructor(header) {
    this.count = header.count;
    this.degree = header.degree;
    this.chunk = header.chunk;
    this.ranges = header.ranges;
    this.loaded = 0; // Gaussians that are here
    this.shTexels = [0, 1, 2, 3][this.degree]; // of 16 bytes a Gaussian
    const rows = (texels) => Math.max(1, Math.ceil((texels * this.count) / ROW));
    this.positions = new Float32Array(3 * this.count);
    this.core = new Uint32Array(4 * ROW * rows(2)); // 8 words a Gaussian
    this.sh = new Uint32Array(4 * ROW * rows(this.shTexels));
  }

  /** Take a chunk's planes of bytes. Chunks come in order. */
  add(bytes) {
    const start = this.loaded, n = Math.min(this.chunk, this.count - start);
    const plane = (i) => bytes.subarray(i * n, (i + 1) * n);
    this._place(plane, start, n);
    const words = this.core, coreBytes = new Uint8Array(words.buffer);
    const floats = new Float32Array(words.buffer);
    const axes = [0, 1, 2];
    const scales = axes.map((a) => plane(9 + a)), turns = [0, 1, 2, 3].map((b) => plane(12 + b));
    const opacity = plane(16), dc = axes.map((a) => plane(17 + a));
    for (let i = 0; i < n; i++) {
      const word = 8 * (start + i), byte = 4 * word;
      for (let a = 0; a < 3; a++) {
        floats[word + a] = this.positions[3 * (start + i) + a];
        coreBytes[byte + 12 + a] = scales[a][i];
        coreBytes[byte + 20 + a] = dc[a][i];
      }
      coreBytes[byte + 15] = opacity[i];
      for (let b = 0; b < 4; b++) coreBytes[byte + 16 + b] = turns[b][i];
    }
    this._harmonics(plane, start, n);
    this.loaded += n;
  }

  _place(plane, start, n) {
    const [low, high] = this.ranges.position;
    for (let axis = 0; axis < 3; axis++) {
      const a = plane(axis), b = plane(3 + axis), c = plane(6 + axis);
      const step = (high[axis] - low[axis]) / 0xffffff;
      for (let i = 0; i < n; i++) {
        const folded = low[axis] + step * (a[i] | (b[i] << 8) | (c[i] << 16));
        this.positions[3 * (start + i) + axis] = Math.sign(folded) * Math.expm1(Math.abs(folded));
      }
    }
  }

  _harmonics(plane, start, n) {
    const values = 3 * ((this.degree + 1) ** 2 - 1), stride = 16 * this.shTexels;
    const target = new Uint8Array(this.sh.buffer);
    for (let v = 0; v < values; v++) {
      const from = plane(20 + v);
      for (let i = 0, at = stride * start + v; i < n; i++, at += stride) target[at] = from[i];
    }
  }

  /** Standard deviations [3], quaternion w first [4] and opacity of Gaussian i, as the shaders decode them. */
  shape(i) {
    const bytes = new Uint8Array(this.core.buffer, 32 * i, 24), [low, high] = this.ranges.log_scale;
    const scales = [0, 1, 2].map((a) => Math.exp(low + (bytes[12 + a] / 255) * (high - low)));
    const word = this.core[8 * i + 4];
    const others = [20, 10, 0].map((shift) => (((word >>> shift) & 1023) / 1023 - 0.5) * Math.SQRT2);
    const largest = Math.sqrt(Math.max(0, 1 - others.reduce((sum, v) => sum + v * v, 0)));
    others.splice(word >>> 30, 0, largest);
    return { scales, quat: others, opacity: bytes[15] / 255 };
  }
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function fromBase64(text) {
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

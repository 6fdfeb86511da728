// The page: panes with one eye, what is shown of the scenes, and the tools.

const HELP = [
  "Drag to orbit, right-drag (or Shift) to pan, scroll to come closer. On a touch screen: one finger, two fingers.",
  "Walk with W A S D, down and up with Q E, turn with the arrow keys (click the picture first).",
  "Click a camera to stand where it stood.",
];
const BOX_STEPS = 200;
const LARGEST_PICTURE = 4096; // pixels a side that the server draws

class App {
  constructor(source) {
    this.source = source;
    this.panes = [];
    this.linked = true;
    this.show = { splats: true, points: false, cameras: false, background: [0, 0, 0] };
    this.filter = { minOpacity: 0, growth: 1, smallest: 0, largest: 1 }; // sizes as shares of their range
    this.crop = { on: false, low: [0, 0, 0], high: [1, 1, 1] }; // as shares of `bounds`
    this.flight = { t: 0, on: false, last: null };
    this.measured = { on: false, pane: null, points: [] };
    this.stoodIn = -1;
  }

  async start() {
    await this.settle(await this.source.state());
    addEventListener("resize", () => this.moved(false));
    addEventListener("hashchange", () => this.followLink());
    const loop = (now) => {
      this.tick(now);
      requestAnimationFrame(loop);
    };
    requestAnimationFrame(loop);
    await (this.state.live ? this.follow() : this.load());
  }

  /** Build the page for a state, which says what there is to see. */
  async settle(state) {
    this.state = state;
    this.link = new Link(state.frame);
    this.show.background = state.background;
    this.show.points = this.show.points && state.points;
    this.first = new View(state.view);
    this.cameras = state.cameras.map(View.ofCamera);
    this.measured = { on: false, pane: null, points: [] };
    this.stoodIn = -1;
    document.title = state.title;
    const grid = document.querySelector("main");
    if (this.panes.length !== state.scenes.length) {
      grid.replaceChildren();
      this.panes = state.scenes.map((scene, i) => this.pane(grid, scene, i));
    }
    grid.dataset.panes = this.panes.length;
    this.bounds = null;
    for (const pane of this.panes) {
      pane.clear();
      pane.view = this.first.clone();
    }
    if (!this.followLink()) this.moved(false);
    buildPanel(this);
  }

  pane(grid, scene, index) {
    const element = make("div", { className: "pane", tabIndex: 0 },
      make("canvas", { className: "picture" }), make("canvas", { className: "lines" }),
      make("div", { className: "title" }));
    element.setAttribute("aria-label", `Scene ${index + 1}`);
    grid.append(element);
    const pane = new Pane(element, this.state.scenes.length > 1 ? scene.title : "", this);
    pane.controls = new Controls(element, (move) => this.change(pane, move), (x, y) => this.click(pane, x, y));
    return pane;
  }

  async load() {
    await Promise.all(this.panes.map((pane, i) => this.loadScene(pane, i)));
    await this.loadPoints();
  }

  /** Sparse points stay what they are for as long as the cameras do. */
  async loadPoints() {
    const { stage } = this.state;
    if (!this.state.points || !this.source.points || this.pointsOf === stage) return;
    const bytes = await this.source.points(), count = bytes.length / 15;
    const positions = new Float32Array(bytes.buffer, 0, 3 * count), colors = bytes.subarray(12 * count);
    for (const pane of this.panes) pane.renderer.setPoints(positions, colors);
    this.pointsOf = stage;
    this.moved(false);
  }

  async loadScene(pane, index) {
    const header = await this.source.header(index, this.state);
    if (!header || !header.count || (pane.scene && header.version === pane.version)) return;
    const scene = new Scene(header);
    for (let k = 0; k * scene.chunk < scene.count; k++) {
      scene.add(await this.source.chunk(index, k, header.version));
      if (pane.scene !== scene && (k === 0 && !pane.scene || scene.loaded === scene.count)) pane.show(scene);
      else if (pane.scene === scene) pane.take();
    }
    pane.version = header.version; // undefined where nothing ever changes
    this.bounds = quantiles(scene);
    describe(this);
  }

  /** See a scene grow: ask for what is new, and rest between. */
  async follow() {
    for (;;) {
      const began = performance.now();
      try {
        await this.load();
        await pause(Math.max(200, 4 * (performance.now() - began)));
        const state = await this.source.state(this.state.version);
        if (state.stage !== this.state.stage) await this.settle(state);
        this.state = state;
        describe(this);
      } catch (error) {
        if (!/: 409 /.test(error.message) && !(await this.alive())) return; // 409: it went on meanwhile
        await pause(200);
      }
    }
  }

  /** True when the server is still there. */
  async alive() {
    try {
      await this.source.state();
      return true;
    } catch {
      say("firstlight has ended. What you see stays until you close the page.");
      return false;
    }
  }

  tick(now) {
    for (const pane of this.panes) {
      if (pane.controls.tick(now)) this.moved();
    }
    if (this.flight.on) this.fly(now);
    for (const pane of this.panes) pane.tick(now);
  }

  // The eye

  change(pane, move) {
    this.stopFlight();
    this.standIn(-1);
    move(pane.view);
    this.share(pane);
  }

  share(pane) {
    for (const other of this.linked ? this.panes : []) {
      if (other !== pane) other.view = pane.view.clone();
    }
    this.moved();
  }

  moved(byHand = true) {
    for (const pane of this.panes) pane.moved(byHand);
    clearTimeout(this.writing);
    if (byHand) this.writing = setTimeout(() => history.replaceState(null, "", this.address()), 300);
  }

  stand(view) {
    for (const pane of this.panes) pane.view = view.clone();
    this.moved();
  }

  goTo(index) {
    this.stopFlight();
    this.standIn(index);
    if (this.cameras[index]) this.stand(this.cameras[index]);
  }

  /** Which camera the eye is in, -1 for none: its frustum is hidden, and its photo shown. */
  standIn(index) {
    if (index === this.stoodIn) return;
    this.stoodIn = index;
    photo(this, index);
    chosen(index);
  }

  reset() {
    this.stopFlight();
    this.standIn(-1);
    this.stand(this.first);
  }

  fly(now) {
    const { flight } = this, most = this.cameras.length - 1;
    flight.t += flight.last === null ? 0 : Math.min(0.2, (now - flight.last) / 1000) * flight.rate;
    flight.last = now;
    if (flight.t >= most) {
      flight.t = most;
      this.stopFlight();
    }
    flight.slider.value = flight.t;
    this.stand(between(this.cameras, flight.t));
  }

  startFlight() {
    const { flight } = this;
    if (flight.on) return this.stopFlight();
    this.standIn(-1);
    flight.on = true;
    flight.last = null;
    flight.rate = Math.max(0.5, (this.cameras.length - 1) / 30); // photos a second: half a minute at most
    if (flight.t >= this.cameras.length - 1) flight.t = 0;
    flight.button.textContent = "Stop";
  }

  stopFlight() {
    if (!this.flight.on) return;
    this.flight.on = false;
    this.flight.button.textContent = "Fly along";
  }

  // Links

  viewText(pane = this.panes[0]) {
    const [w, h] = pane.size;
    return this.link.write(pane.view, w / h);
  }

  address() {
    return `${location.href.split("#")[0]}#view=${this.viewText()}`;
  }

  followLink() {
    const match = /[#&]view=([^&]*)/.exec(location.hash), view = match && this.link.read(decoded(match[1]));
    if (view) {
      this.standIn(-1);
      this.stand(view);
    }
    return Boolean(view);
  }

  // What is shown

  shown() {
    return { ...this.show, filter: this.uniforms() };
  }

  uniforms() {
    const { filter } = this, [low, high] = this.box();
    const [smallest, largest] = this.sizes();
    return {
      minOpacity: filter.minOpacity, growth: filter.growth,
      logSizes: [filter.smallest > 0 ? smallest : -100, filter.largest < 1 ? largest : 100],
      boxLow: low, boxHigh: high,
    };
  }

  /** Logarithms of the smallest and largest size shown, page units. */
  sizes() {
    const scene = this.panes[0] && this.panes[0].scene, [low, high] = scene ? scene.ranges.log_scale : [0, 0];
    return [this.filter.smallest, this.filter.largest].map((share) => low + share * (high - low));
  }

  box() {
    if (!this.crop.on || !this.bounds) return [[-1e9, -1e9, -1e9], [1e9, 1e9, 1e9]];
    const [low, high] = this.bounds;
    const at = (share) => low.map((x, axis) => x + share[axis] * (high[axis] - x));
    return [at(this.crop.low), at(this.crop.high)];
  }

  /** The same in scene units, for the rasteriser. */
  kept() {
    const { filter } = this, scale = this.link.scale, [small, large] = this.sizes();
    const box = this.crop.on && this.bounds ? this.box().map((corner) => this.link.toScene(corner)) : null;
    return {
      opacity: filter.minOpacity, growth: filter.growth, box,
      smallest: filter.smallest > 0 ? Math.exp(small) / scale : null,
      largest: filter.largest < 1 ? Math.exp(large) / scale : null,
    };
  }

  annotate(pane) {
    const { overlay } = pane;
    if (this.show.cameras) {
      this.state.cameras.forEach((camera, i) => {
        if (i !== this.stoodIn) overlay.frustum(camera, this.state.frustum, "#fa4");
      });
    }
    if (this.crop.on && this.bounds) overlay.box(...this.box());
    if (this.measured.pane === pane || this.linked) this.annotateMeasure(overlay);
  }

  annotateMeasure(overlay) {
    const { points } = this.measured;
    for (const point of points) overlay.dot(point, "#f5a");
    if (points.length < 2) return;
    overlay.line(points[0], points[1], "#f5a", 2);
    overlay.label(mul(add(points[0], points[1]), 0.5), this.distanceText());
  }

  // Tools

  click(pane, x, y) {
    if (this.measured.on) this.measure(pane, x, y);
    else if (this.show.cameras) {
      const index = this.cameraAt(pane, x, y);
      if (index >= 0) this.goTo(index);
    }
  }

  cameraAt(pane, x, y) {
    let best = -1, nearest = 16; // pixels
    this.state.cameras.forEach(({ position, rows }, i) => {
      if (i === this.stoodIn) return;
      for (const depth of [0, this.state.frustum]) {
        const [px, py, z] = pane.view.project(add(position, mul(rows[2], depth)), ...pane.size);
        const away = Math.hypot(px - x, py - y);
        if (z > 0 && away < nearest) [best, nearest] = [i, away];
      }
    });
    return best;
  }

  measure(pane, x, y) {
    if (!pane.scene) return;
    const [w, h] = pane.size, { view, scene } = pane, { filter } = this, [low, high] = this.box();
    const { logSizes } = this.uniforms();
    const shows = (i, { opacity, scales }) => {
      const at = scene.positions.subarray(3 * i, 3 * i + 3), longest = Math.log(Math.max(...scales));
      return opacity >= filter.minOpacity && longest >= logSizes[0] && longest <= logSizes[1]
        && at.every((value, axis) => value >= low[axis] && value <= high[axis]);
    };
    const pixel = (2 * Math.tan(view.fovY(w / h) / 2)) / h;
    const point = pick(scene, view.position, view.ray(x, y, w, h), pixel, filter.growth, shows);
    const { measured } = this;
    measured.missed = !point;
    if (point) {
      if (measured.points.length === 2 || measured.pane !== pane) measured.points = [];
      measured.points.push(point);
      measured.pane = pane;
    }
    describeMeasure(this);
    this.moved(false);
  }

  get distance() {
    const [a, b] = this.measured.points;
    return b ? length(sub(a, b)) / this.link.scale : null;
  }

  distanceText() {
    return this.distance === null ? "" : `${Number(this.distance.toPrecision(4))} scene units`;
  }

  async savePictures() {
    for (const [i, pane] of this.panes.entries()) {
      const [w, h] = pane.size, ratio = Math.min(devicePixelRatio || 1, 2, LARGEST_PICTURE / Math.max(w, h));
      const [width, height] = [Math.round(w * ratio), Math.round(h * ratio)];
      const wish = {
        scene: i, view: this.viewText(pane), width, height, background: this.show.background, ...this.kept(),
      };
      const blob = this.source.picture ? await this.source.picture(wish) : await pane.picture();
      save(blob, `${this.state.scenes[i].title || "scene"}.png`);
    }
  }

  get settled() {
    return this.panes.every((pane) => pane.settled);
  }
}

/** The box that holds all but a hundredth of a scene on each side, with a margin. */
function quantiles(scene) {
  const step = Math.max(1, Math.floor(scene.loaded / 20000)), low = [], high = [];
  for (let axis = 0; axis < 3; axis++) {
    const values = [];
    for (let i = 0; i < scene.loaded; i += step) values.push(scene.positions[3 * i + axis]);
    values.sort((a, b) => a - b);
    const [a, b] = [0.01, 0.99].map((share) => values[Math.floor(share * (values.length - 1))]);
    low.push(a - 0.05 * (b - a) - 1e-3);
    high.push(b + 0.05 * (b - a) + 1e-3);
  }
  return [low, high];
}

/** What percent signs stand for; a link that was cut short within one is no view. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function say(text) {
  const notice = document.querySelector("#notice");
  notice.textContent = text;
  notice.hidden = !text;
}

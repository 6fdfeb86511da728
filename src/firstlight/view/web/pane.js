// One scene on the page: its canvas, its order, and when to draw.

const SMOOTH = 50; // milliseconds a picture may take while the eye moves, before it is drawn coarser
const REST = 250; // milliseconds without movement until it is drawn fine again

class Pane {
  constructor(element, title, app) {
    this.app = app;
    this.element = element;
    this.canvas = element.querySelector("canvas.picture");
    this.overlay = new Overlay(element.querySelector("canvas.lines"));
    element.querySelector(".title").textContent = title;
    this.renderer = new Renderer(this.canvas);
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.canvas.addEventListener("webglcontextrestored", () => location.reload()); // the link keeps the view
    });
    this.dirty = true;
    this.ticket = 0; // of the latest wish for an order
    this.drawn = { ticket: -1, count: -1, scale: 0 };
    this.coarse = 0.5; // share of the pixels, each way, while the eye moves
    this.movedAt = -Infinity;
    this.times = { first: null, complete: null }; // milliseconds since the page was asked for
  }

  /** Show nothing until other splats and points come. */
  clear() {
    if (this.sorter) this.sorter.close();
    this.sorter = this.scene = this.version = null;
    this.order = { ticket: -1, count: 0 };
    this.renderer.scene = null;
    this.renderer.points = 0;
    this.dirty = true;
  }

  /** Take the place of what is shown, once the first chunk of `scene` is here. */
  show(scene) {
    if (this.sorter) this.sorter.close();
    this.scene = scene;
    this.order = { ticket: -1, count: 0 };
    this.renderer.setScene(scene);
    this.sorter = new Sorter(scene.count, (order) => this._ordered(order));
    this.known = 0;
    this.take();
  }

  /** Take the chunks that came since. */
  take() {
    const { scene, known } = this;
    if (scene.loaded === known) return;
    this.renderer.upload(known, scene.loaded);
    this.sorter.add(scene.positions.slice(3 * known, 3 * scene.loaded));
    this.known = scene.loaded;
    this.moved(false);
  }

  /** The eye moved (`by hand`), or what is shown changed. */
  moved(byHand = true) {
    if (byHand) this.movedAt = performance.now();
    this.dirty = true;
    if (!this.sorter) return;
    const view = this.view;
    this.sorter.request({
      eye: view.position, forward: view.forward, near: this.app.state.near, ticket: ++this.ticket,
    });
  }

  _ordered({ order, visible, ticket, count }) {
    this.order = { ticket, count };
    if (visible) this.renderer.setOrder(order, visible);
    else this.renderer.ordered = 0;
    this.dirty = true;
  }

  /** Called once a frame of the browser. */
  tick(now) {
    this._note(now);
    if (this.renderer.drawing) return;
    // Coarse too while chunks come in: each brings a new picture.
    const { scene } = this, coming = this.times.first === null || (scene && scene.loaded < scene.count);
    const moving = now - this.movedAt < REST || coming;
    const scale = moving ? this.coarse : 1;
    if (!this.dirty && this.drawn.scale === scale) return;
    if (!moving && scene && this.order.ticket !== this.ticket) return; // the right order is on its way
    this.dirty = false;
    this._draw(scale);
    this.began = now;
    this.drawn = { ...this.order, scale, moving };
  }

  _note(now) {
    if (!this.began || this.renderer.drawing) return;
    const took = now - this.began;
    this.began = null;
    if (this.drawn.moving) {
      if (took > SMOOTH) this.coarse = Math.max(0.25, this.coarse * 0.75);
      else if (took < SMOOTH / 2) this.coarse = Math.min(1, this.coarse * 1.2);
    }
    if (this.drawn.count > 0) this.times.first ??= Math.round(performance.now());
    if (this.settled) this.times.complete ??= Math.round(performance.now());
  }

  get settled() {
    const { scene, drawn } = this;
    return Boolean(scene) && scene.loaded === scene.count && !this.dirty && !this.renderer.drawing
      && drawn.count === scene.count && drawn.ticket === this.ticket && drawn.scale === 1;
  }

  get size() {
    return [this.canvas.clientWidth, this.canvas.clientHeight];
  }

  _draw(scale) {
    const [w, h] = this.size, ratio = Math.min(devicePixelRatio || 1, 2) * scale, { view, app } = this;
    if (!w || !h) return;
    const [width, height] = [w, h].map((side) => Math.max(1, Math.round(side * ratio)));
    const lens = {
      rotation: view.axes().flat(), eye: view.position, fovY: view.fovY(w / h), near: app.state.near,
    };
    this.renderer.draw(width, height, lens, app.shown());
    this.overlay.begin(view);
    app.annotate(this);
  }

  /** The picture as it stands, as a PNG. */
  picture() {
    this._draw(1); // in the same breath: the browser empties the canvas afterwards
    return new Promise((done) => this.canvas.toBlob(done, "image/png"));
  }
}

// Mouse, fingers and keys → movements of a view.

const KEYS = {
  KeyW: [0, 0, 1], KeyS: [0, 0, -1], KeyA: [-1, 0, 0], KeyD: [1, 0, 0], KeyQ: [0, 1, 0], KeyE: [0, -1, 0],
};
const TURNS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STILL = 4; // pixels: what moves less is a click

class Controls {
  /** `change(move)` is called with a function that moves a view; `click(x, y)` in pixels of `element`. */
  constructor(element, change, click) {
    this.element = element;
    this.change = change;
    this.click = click;
    this.pointers = new Map();
    this.pressed = new Set();
    this.lastTick = null;
    element.addEventListener("pointerdown", (e) => this._down(e));
    element.addEventListener("pointermove", (e) => this._moved(e));
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, (e) => this._up(e));
    element.addEventListener("contextmenu", (e) => e.preventDefault());
    element.addEventListener("wheel", (e) => this._wheel(e), { passive: false });
    element.addEventListener("keydown", (e) => this._key(e, true));
    element.addEventListener("keyup", (e) => this._key(e, false));
    element.addEventListener("blur", () => this.pressed.clear());
  }

  /** Walk with the keys that are down; true while there are any. */
  tick(now) {
    const seconds = this.lastTick === null ? 0 : Math.min((now - this.lastTick) / 1000, 0.2);
    this.lastTick = this.pressed.size ? now : null;
    if (!this.pressed.size || !seconds) return this.pressed.size > 0;
    this.change((view) => {
      for (const key of this.pressed) {
        if (KEYS[key]) view.move(...mul(KEYS[key], 0.5 * seconds));
        else view.look(...TURNS[key].map((way) => way * seconds));
      }
    });
    return true;
  }

  _down(event) {
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (this.pointers.size === 1) this.start = [event.offsetX, event.offsetY];
    else this.start = null;
  }

  _moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY], dx = now[0] - before[0], dy = now[1] - before[1];
    if (this.start && Math.hypot(now[0] - this.start[0], now[1] - this.start[1]) > STILL) this.start = null;
    const height = this.element.clientHeight;
    if (this.pointers.size === 2) this._pinch(event.pointerId, before, now, height);
    else if (event.buttons & 2 || event.shiftKey) this._pan(dx, dy, height);
    else this.change((view) => view.orbit((dx / height) * Math.PI, (dy / height) * Math.PI));
    this.pointers.set(event.pointerId, now);
  }

  _pan(dx, dy, height) {
    const aspect = this.element.clientWidth / height;
    this.change((view) => {
      const seen = (2 * Math.tan(view.fovY(aspect) / 2)) / height;
      view.move(-dx * seen, -dy * seen, 0);
    });
  }

  _pinch(moving, before, now, height) {
    const [other] = [...this.pointers].filter(([id]) => id !== moving).map(([, at]) => at);
    const span = (a) => Math.max(1, Math.hypot(a[0] - other[0], a[1] - other[1]));
    this.change((view) => view.dolly(span(before) / span(now)));
    this._pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2, height);
  }

  _up(event) {
    if (event.type === "pointerup" && this.start && event.button === 0) this.click(...this.start);
    this.start = null;
    this.pointers.delete(event.pointerId);
  }

  _wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    this.change((view) => view.dolly(Math.exp(clamp(event.deltaY * lines, -300, 300) * 0.001)));
  }

  _key(event, down) {
    if (down && event.key === "Meta") this.pressed.clear(); // macOS tells of no key that is released beside it
    // A key that is let go beside another one has been let go.
    if ((down && (event.ctrlKey || event.metaKey || event.altKey)) || !(KEYS[event.code] || TURNS[event.code])) return;
    event.preventDefault();
    if (down) this.pressed.add(event.code);
    else this.pressed.delete(event.code);
    this.change(() => {});
  }
}

// Where the eye stands. Page units; axes of a camera as in OpenCV: x right, y down, z forward.

const add = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const sub = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const mul = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const length = (a) => Math.sqrt(dot(a, a));
const unit = (a) => mul(a, 1 / (length(a) || 1));
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/** a turned about the unit `axis` by `angle` (Rodrigues). */
function turn(a, axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle);
  return add(add(mul(a, c), mul(cross(axis, a), s)), mul(axis, dot(axis, a) * (1 - c)));
}

/** An eye at `position` that orbits `target`; `fov` [x, y] in radians must both fit into the window. */
class View {
  constructor({ position, target, up, fov }) {
    Object.assign(this, { position, target, up: unit(up), fov });
  }

  clone() {
    return new View(this);
  }

  get forward() {
    return unit(sub(this.target, this.position));
  }

  get distance() {
    return length(sub(this.target, this.position));
  }

  /** Right, down and forward. */
  axes() {
    const forward = this.forward;
    let right = cross(forward, this.up);
    if (length(right) < 1e-6) right = cross(forward, Math.abs(forward[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0]);
    right = unit(right);
    return [right, cross(forward, right), forward];
  }

  fovY(aspect) {
    return 2 * Math.atan(Math.max(Math.tan(this.fov[1] / 2), Math.tan(this.fov[0] / 2) / aspect));
  }

  orbit(dx, dy) {
    const [right] = this.axes(), arm = sub(this.position, this.target);
    let turned = turn(arm, right, -dy);
    const steepness = dot(unit(turned), this.up);
    if (Math.abs(steepness) > 0.998) turned = arm; // over the pole, left would become right
    this.position = add(this.target, turn(turned, this.up, -dx));
  }

  /** Look around from where the eye is. */
  look(dx, dy) {
    const [right, , forward] = this.axes();
    let turned = turn(forward, right, -dy);
    if (Math.abs(dot(turned, this.up)) > 0.998) turned = forward;
    this.target = add(this.position, mul(turn(turned, this.up, -dx), this.distance));
  }

  /** Shift by shares of what is seen at the target's distance: right, down, forward. */
  move(x, y, z) {
    const [right, down, forward] = this.axes(), d = this.distance;
    const by = add(add(mul(right, x * d), mul(down, y * d)), mul(forward, z * d));
    this.position = add(this.position, by);
    this.target = add(this.target, by);
  }

  /** Come closer to the target; factor < 1. */
  dolly(factor) {
    const d = clamp(this.distance * factor, 1e-3, 1e5);
    this.position = sub(this.target, mul(this.forward, d));
  }

  /** Page position → [x, y, depth] with x, y in pixels of a picture of this size. */
  project(point, width, height) {
    const [right, down, forward] = this.axes(), seen = sub(point, this.position);
    const depth = dot(seen, forward), focal = height / (2 * Math.tan(this.fovY(width / height) / 2));
    return [width / 2 + (focal * dot(seen, right)) / depth, height / 2 + (focal * dot(seen, down)) / depth, depth];
  }

  /** The unit direction through a pixel. */
  ray(x, y, width, height) {
    const [right, down, forward] = this.axes(), focal = height / (2 * Math.tan(this.fovY(width / height) / 2));
    return unit(add(add(mul(right, (x - width / 2) / focal), mul(down, (y - height / 2) / focal)), forward));
  }

  /** What a camera of the capture saw. rows: right, down, forward in the page. */
  static ofCamera({ position, rows, fov }) {
    const forward = rows[2], distance = Math.max(-dot(position, forward), 1);
    return new View({ position, target: add(position, mul(forward, distance)), up: mul(rows[1], -1), fov });
  }
}

/** View ↔ text, in scene units: position, target, up, vertical field of view in degrees. */
class Link {
  constructor({ scale, translation }) {
    this.scale = scale;
    this.translation = translation;
  }

  toScene(point) {
    return mul(sub(point, this.translation), 1 / this.scale);
  }

  write(view, aspect) {
    const degrees = (view.fovY(aspect) * 180) / Math.PI;
    const numbers = [...this.toScene(view.position), ...this.toScene(view.target), ...view.up, degrees];
    return numbers.map((x) => String(Number(x.toPrecision(7)))).join(",");
  }

  /** null when the text is no view. */
  read(text) {
    const n = text.split(",").map((part) => (part.trim() ? Number(part) : NaN));
    if (n.length !== 10 || !n.every(Number.isFinite)) return null;
    const place = (point) => add(mul(point, this.scale), this.translation);
    const [position, target, up] = [place(n.slice(0, 3)), place(n.slice(3, 6)), n.slice(6, 9)];
    const usable = length(sub(target, position)) > 0 && length(up) > 0 && n[9] > 0 && n[9] < 180;
    return usable ? new View({ position, target, up, fov: [0, (n[9] * Math.PI) / 180] }) : null;
  }
}

/** A smooth flight through views (Catmull and Rom 1974): t in 0 … views − 1. */
function between(views, t) {
  const i = clamp(Math.floor(t), 0, Math.max(0, views.length - 2)), s = t - i;
  const at = (k) => views[clamp(k, 0, views.length - 1)];
  const blend = (pick) => {
    const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)].map(pick);
    return b.map((_, k) => {
      const slope = c[k] - a[k], next = d[k] - b[k], rise = c[k] - b[k];
      return b[k] + s * (slope / 2 + s * (3 * rise - slope - next / 2 + s * (slope / 2 + next / 2 - 2 * rise)));
    });
  };
  const position = blend((view) => view.position), forward = unit(blend((view) => view.forward));
  const distance = blend((view) => [view.distance])[0];
  return new View({
    position, target: add(position, mul(forward, Math.max(distance, 1e-3))),
    up: blend((view) => view.up), fov: blend((view) => view.fov),
  });
}

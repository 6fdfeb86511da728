// Lines over the picture: cameras, the crop box, what is measured.

const CUBE = [0, 1, 2, 3, 4, 5, 6, 7];

class Overlay {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  begin(view) {
    const ratio = devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = this.canvas;
    [this.width, this.height, this.view] = [w, h, view];
    this.canvas.width = Math.round(w * ratio);
    this.canvas.height = Math.round(h * ratio);
    this.context.scale(ratio, ratio);
  }

  at(point) {
    return this.view.project(point, this.width, this.height);
  }

  line(from, to, color, width = 1.5) {
    const [right, down, forward] = this.view.axes(), eye = this.view.position, near = 0.02;
    const depth = (p) => dot(sub(p, eye), forward);
    let [a, b] = [from, to];
    if (depth(a) < near && depth(b) < near) return;
    const cut = (p, q) => add(p, mul(sub(q, p), (near - depth(p)) / (depth(q) - depth(p))));
    if (depth(a) < near) a = cut(a, b);
    else if (depth(b) < near) b = cut(b, a);
    const [x0, y0] = this.at(a), [x1, y1] = this.at(b), c = this.context;
    c.strokeStyle = color;
    c.lineWidth = width;
    c.beginPath();
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.stroke();
  }

  dot(point, color) {
    const [x, y, depth] = this.at(point), c = this.context;
    if (depth <= 0) return;
    c.fillStyle = color;
    c.beginPath();
    c.arc(x, y, 5, 0, 2 * Math.PI);
    c.fill();
  }

  label(point, text) {
    const [x, y, depth] = this.at(point), c = this.context;
    if (depth <= 0) return;
    c.font = "600 14px system-ui, sans-serif";
    c.lineWidth = 4;
    c.strokeStyle = "#000c";
    c.strokeText(text, x + 8, y - 8);
    c.fillStyle = "#fff";
    c.fillText(text, x + 8, y - 8);
  }

  box(low, high) {
    const corner = (k) => [0, 1, 2].map((axis) => ((k >> axis) & 1 ? high : low)[axis]);
    for (const k of CUBE) {
      for (const bit of [1, 2, 4]) if (!(k & bit)) this.line(corner(k), corner(k | bit), "#6cf");
    }
  }

  /** A pyramid from where a camera stood, `depth` long. */
  frustum({ position, rows, fov }, depth, color) {
    const [x, y] = fov.map((angle) => depth * Math.tan(Math.min(angle, 2.1) / 2));
    const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([i, j]) =>
      add(position, add(add(mul(rows[0], i * x), mul(rows[1], j * y)), mul(rows[2], depth))));
    corners.forEach((corner, k) => {
      this.line(position, corner, color, 1);
      this.line(corner, corners[(k + 1) % 4], color, k ? 1 : 2.5); // the thick edge is the top
    });
  }
}

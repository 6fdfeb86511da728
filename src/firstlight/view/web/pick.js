// Which point of a scene lies under the pointer.

/**
 * Where a ray from `eye` along the unit `direction` has lost half its light, or null.
 * `pixel` is the size of a pixel at distance 1; `shows(i, shape)` says whether Gaussian i is shown.
 */
function pick(scene, eye, direction, pixel, growth, shows) {
  const hits = [], widest = growth * Math.exp(scene.ranges.log_scale[1]);
  for (let i = 0; i < scene.loaded; i++) {
    const to = [0, 1, 2].map((a) => scene.positions[3 * i + a] - eye[a]), along = dot(to, direction);
    if (along <= 0) continue;
    const aside = dot(to, to) - along * along, farthest = 3.33 * widest + pixel * along;
    if (aside > farthest * farthest) continue;
    const shape = scene.shape(i);
    if (!shows(i, shape)) continue;
    const hit = meet(shape, mul(to, -1), direction, 0.5 * pixel * along, growth);
    if (hit) hits.push(hit);
  }
  hits.sort((a, b) => a.t - b.t);
  let light = 1;
  for (const { t, alpha } of hits) {
    light *= 1 - alpha;
    if (light < 0.5) return add(eye, mul(direction, t));
  }
  return null;
}

/** Where the ray comes nearest to the middle of a Gaussian, by its own measure, and its alpha there. */
function meet({ scales, quat, opacity }, from, direction, least, growth) {
  const [w, ...v] = quat;
  const back = (a) => { // into the axes of the Gaussian
    const twice = mul(cross(a, v), 2);
    return add(add(a, mul(twice, w)), cross(twice, v));
  };
  const size = scales.map((s) => Math.max(growth * s, least)); // a pixel is as fine as one can point
  const o = back(from).map((x, k) => x / size[k]), d = back(direction).map((x, k) => x / size[k]);
  const t = -dot(o, d) / dot(d, d), nearest = add(o, mul(d, t)), alpha = opacity * Math.exp(-0.5 * dot(nearest, nearest));
  return t > 0 && alpha > 1 / 255 ? { t, alpha: Math.min(alpha, 0.99) } : null;
}

// Projection (Zwicker et al. 2001, as Kerbl et al. 2023 use it) once a Gaussian, then a quad for each.

const LANES = 1024; // Gaussians in a row of the textures of what is projected

const PROJECT_VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}`;

// One fragment a Gaussian: where its ellipse lies and which colour it has from here.
const PROJECT_FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;

uniform usampler2D core, harmonics;
uniform int count, degree, shTexels;
uniform vec2 logScale, dcRange; // lowest, highest
uniform vec3 reach;             // of each band of the harmonics
uniform mat3 rotation;          // page → camera
uniform vec3 eye;
uniform float focal, near;      // pixels, page units
uniform vec2 size;              // of the picture
uniform float minOpacity, growth; // what to show, and how large
uniform vec2 logSizes;          // of the largest axis: smallest and largest shown
uniform vec3 boxLow, boxHigh;

layout(location = 0) out uvec4 place; // centre (2 floats), half axes (4 halves), in pixels
layout(location = 1) out uvec4 shade; // red, green, blue, opacity (4 halves)

uint words[12];

float byteOf(uint word, int k) { return float((word >> (8 * k)) & 255u); }

vec3 coefficient(int k, float scale) { // of band l, in order; k counts from the first of band 1
  vec3 value;
  for (int c = 0; c < 3; c++) {
    int v = 3 * k + c;
    value[c] = (byteOf(words[v >> 2], v & 3) - 128.0) * scale;
  }
  return value;
}

vec3 beyondFirst(int i, vec3 d) {
  for (int t = 0; t < 3; t++) {
    if (t >= shTexels) break;
    int at = i * shTexels + t;
    uvec4 four = texelFetch(harmonics, ivec2(at & 4095, at >> 12), 0);
    words[4 * t] = four.x; words[4 * t + 1] = four.y; words[4 * t + 2] = four.z; words[4 * t + 3] = four.w;
  }
  float x = d.x, y = d.y, z = d.z, s = reach.x / 127.0;
  vec3 sum = 0.4886025119 * (-y * coefficient(0, s) + z * coefficient(1, s) - x * coefficient(2, s));
  if (degree < 2) return sum;
  float xx = x * x, yy = y * y, zz = z * z;
  s = reach.y / 127.0;
  sum += 1.0925484306 * x * y * coefficient(3, s) - 1.0925484306 * y * z * coefficient(4, s)
       + 0.3153915653 * (2.0 * zz - xx - yy) * coefficient(5, s)
       - 1.0925484306 * x * z * coefficient(6, s) + 0.5462742153 * (xx - yy) * coefficient(7, s);
  if (degree < 3) return sum;
  s = reach.z / 127.0;
  return sum - 0.5900435899 * y * (3.0 * xx - yy) * coefficient(8, s)
       + 2.8906114426 * x * y * z * coefficient(9, s)
       - 0.4570457995 * y * (4.0 * zz - xx - yy) * coefficient(10, s)
       + 0.3731763326 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * coefficient(11, s)
       - 0.4570457995 * x * (4.0 * zz - xx - yy) * coefficient(12, s)
       + 1.4453057213 * z * (xx - yy) * coefficient(13, s)
       - 0.5900435899 * x * (xx - 3.0 * yy) * coefficient(14, s);
}

mat3 turned(uint word) { // the smaller three parts of a quaternion, w first
  vec3 three = (vec3((uvec3(word) >> uvec3(20, 10, 0)) & 1023u) / 1023.0 - 0.5) * 1.41421356;
  float largest = sqrt(max(0.0, 1.0 - dot(three, three)));
  uint index = word >> 30;
  vec4 q = index == 0u ? vec4(largest, three) : index == 1u ? vec4(three.x, largest, three.yz)
         : index == 2u ? vec4(three.xy, largest, three.z) : vec4(three, largest);
  float w = q.x, x = q.y, y = q.z, z = q.w;
  return mat3(
    1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
    2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
    2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
}

void main() {
  place = shade = uvec4(0u);
  int i = int(gl_FragCoord.y) * ${LANES} + int(gl_FragCoord.x);
  if (i >= count) return;
  int at = 2 * i;
  uvec4 a = texelFetch(core, ivec2(at & 4095, at >> 12), 0);
  float opacity = byteOf(a.w, 3) / 255.0;
  vec3 mean = uintBitsToFloat(a.xyz), seen = rotation * (mean - eye);
  if (opacity * 255.0 <= 1.0 || opacity < minOpacity || seen.z < near) return;
  if (any(lessThan(mean, boxLow)) || any(greaterThan(mean, boxHigh))) return;
  vec3 logs = logScale.x + vec3(byteOf(a.w, 0), byteOf(a.w, 1), byteOf(a.w, 2)) / 255.0 * (logScale.y - logScale.x);
  float longest = max(logs.x, max(logs.y, logs.z));
  if (longest < logSizes.x || longest > logSizes.y) return;

  uvec4 b = texelFetch(core, ivec2((at + 1) & 4095, (at + 1) >> 12), 0);
  vec3 scales = growth * exp(logs);
  mat3 axes = rotation * turned(b.x);
  axes = mat3(axes[0] * scales.x, axes[1] * scales.y, axes[2] * scales.z);
  vec2 limit = 1.3 * 0.5 * size / focal; // beyond, the linearisation is no good
  vec2 ray = clamp(seen.xy / seen.z, -limit, limit);
  mat3 rows = transpose(axes);
  float step = focal / seen.z;
  vec3 u = step * (rows * vec3(1.0, 0.0, -ray.x)), v = step * (rows * vec3(0.0, 1.0, -ray.y));
  float xx = dot(u, u) + 0.3, xy = dot(u, v), yy = dot(v, v) + 0.3; // covariance in the picture, px²

  float middle = 0.5 * (xx + yy), spread = length(vec2(0.5 * (xx - yy), xy));
  float major = middle + spread, minor = max(middle - spread, 0.1);
  vec2 along = spread < 1e-6 * middle ? vec2(1.0, 0.0)
             : abs(xy) > 1e-9 * spread ? normalize(vec2(xy, major - xx)) : (xx >= yy ? vec2(1.0, 0.0) : vec2(0.0, 1.0));
  float edge = sqrt(2.0 * log(255.0 * opacity)); // standard deviations at which alpha is 1/255
  vec2 first = min(edge * sqrt(major), 30000.0) * along;
  vec2 second = min(edge * sqrt(minor), 30000.0) * vec2(-along.y, along.x);
  vec2 center = focal * seen.xy / seen.z + 0.5 * size, half_ = sqrt(first * first + second * second);
  if (any(lessThan(center + half_, vec2(0.0))) || any(greaterThan(center - half_, size))) return;

  vec3 dc = dcRange.x + vec3(byteOf(b.y, 0), byteOf(b.y, 1), byteOf(b.y, 2)) / 255.0 * (dcRange.y - dcRange.x);
  vec3 color = 0.5 + 0.2820947918 * dc;
  if (degree > 0) color += beyondFirst(i, normalize(mean - eye));
  color = clamp(color, 0.0, 60000.0);
  place = uvec4(floatBitsToUint(center), packHalf2x16(first), packHalf2x16(second));
  shade = uvec4(packHalf2x16(color.rg), packHalf2x16(vec2(color.b, opacity)), 0u, 0u);
}`;

const SPLAT_VERTEX = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D places, shades, order;
uniform vec2 size;
uniform int ordered;
out vec2 corner;
flat out vec4 color;
void main() {
  int lane = gl_VertexID >> 2;
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0); // out of sight
  if (gl_InstanceID * ${LANES} + lane >= ordered) return;
  uint index = texelFetch(order, ivec2(lane, gl_InstanceID), 0).x;
  ivec2 at = ivec2(index & ${LANES - 1}u, index / ${LANES}u);
  uvec4 shade = texelFetch(shades, at, 0);
  color = vec4(unpackHalf2x16(shade.x), unpackHalf2x16(shade.y));
  if (color.a == 0.0) return;
  uvec4 place = texelFetch(places, at, 0);
  corner = vec2(gl_VertexID & 1, (gl_VertexID >> 1) & 1) * 2.0 - 1.0;
  vec2 pixel = uintBitsToFloat(place.xy) + corner.x * unpackHalf2x16(place.z) + corner.y * unpackHalf2x16(place.w);
  gl_Position = vec4(2.0 * pixel.x / size.x - 1.0, 1.0 - 2.0 * pixel.y / size.y, 0.0, 1.0);
}`;

const SPLAT_FRAGMENT = `#version 300 es
precision highp float;
in vec2 corner;
flat in vec4 color;
out vec4 pixel;
void main() {
  float squared = dot(corner, corner);
  if (squared > 1.0) discard;
  float alpha = min(0.99, color.a * exp(-squared * log(255.0 * color.a)));
  pixel = vec4(color.rgb * alpha, alpha);
}`;

const POINT_VERTEX = `#version 300 es
precision highp float;
uniform mat3 rotation;
uniform vec3 eye;
uniform vec2 size;
uniform float focal, near, pointSize;
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 rgb;
out vec3 color;
void main() {
  vec3 seen = rotation * (position - eye);
  color = rgb;
  gl_PointSize = pointSize;
  gl_Position = vec4(2.0 * focal * seen.x / size.x, -2.0 * focal * seen.y / size.y, 0.0, seen.z);
  if (seen.z < near) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;

const POINT_FRAGMENT = `#version 300 es
precision highp float;
in vec3 color;
out vec4 pixel;
void main() {
  if (length(gl_PointCoord - 0.5) > 0.5) discard;
  pixel = vec4(color, 1.0);
}`;

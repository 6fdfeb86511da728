// WebGL2: a pass that projects every Gaussian, then quads from far to near, blended.

class Renderer {
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, depth: false });
    if (!gl) throw new Error("This page needs WebGL2, which this browser does not offer or has switched off.");
    this.gl = gl;
    this.project = this._program(PROJECT_VERTEX, PROJECT_FRAGMENT);
    this.splat = this._program(SPLAT_VERTEX, SPLAT_FRAGMENT);
    this.point = this._program(POINT_VERTEX, POINT_FRAGMENT);
    this.quads = gl.createVertexArray();
    gl.bindVertexArray(this.quads);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    const corners = Uint16Array.from({ length: 6 * LANES }, (_, k) => 4 * Math.floor(k / 6) + [0, 1, 2, 2, 1, 3][k % 6]);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    this.ordered = 0;
    this.points = 0;
    this.fence = null;
  }

  /** Make room for a scene; its chunks follow through `upload`. */
  setScene(scene) {
    const gl = this.gl;
    for (const texture of this.textures || []) gl.deleteTexture(texture);
    if (this.target) gl.deleteFramebuffer(this.target);
    this.scene = scene;
    this.ordered = 0;
    const rows = (words) => words.length / (4 * ROW), lanes = Math.max(1, Math.ceil(scene.count / LANES));
    const limit = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    if (Math.max(rows(scene.core), rows(scene.sh), lanes) > limit) {
      throw new Error(`${scene.count.toLocaleString()} Gaussians are more than this graphics driver can hold.`);
    }
    this.core = this._texture(ROW, rows(scene.core));
    this.sh = this._texture(ROW, rows(scene.sh));
    this.places = this._texture(LANES, lanes);
    this.shades = this._texture(LANES, lanes);
    this.order = this._texture(LANES, lanes, gl.R32UI);
    this.textures = [this.core, this.sh, this.places, this.shades, this.order];
    this.target = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.places, 0);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT1, gl.TEXTURE_2D, this.shades, 0);
    gl.drawBuffers([gl.COLOR_ATTACHMENT0, gl.COLOR_ATTACHMENT1]);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  /** Give the Gaussians from `start` to `end` to the graphics memory; `start` begins a chunk. */
  upload(start, end) {
    this._rows(this.core, this.scene.core, 2 * start, 2 * end);
    const texels = this.scene.shTexels;
    if (texels) this._rows(this.sh, this.scene.sh, texels * start, texels * end);
  }

  /** Which Gaussians to draw: the first `count` of `order`, which fills whole rows of LANES. */
  setOrder(order, count) {
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.order);
    const rows = order.length / LANES;
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, LANES, rows, gl.RED_INTEGER, gl.UNSIGNED_INT, order);
    this.ordered = count;
  }

  /** Sparse points: positions [3 P] in page units, colours [3 P] in bytes. */
  setPoints(positions, colors) {
    const gl = this.gl;
    for (const buffer of this.pointBuffers || []) gl.deleteBuffer(buffer);
    if (this.pointArray) gl.deleteVertexArray(this.pointArray);
    this.pointArray = gl.createVertexArray();
    gl.bindVertexArray(this.pointArray);
    this.pointBuffers = [positions, colors].map((data, location) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, 3, location ? gl.UNSIGNED_BYTE : gl.FLOAT, location > 0, 0, 0);
      return buffer;
    });
    gl.bindVertexArray(null);
    this.points = positions.length / 3;
  }

  /** True while the graphics driver still works on the last picture. */
  get drawing() {
    const gl = this.gl;
    if (!this.fence) return false;
    if (gl.getSyncParameter(this.fence, gl.SYNC_STATUS) !== gl.SIGNALED) return true;
    gl.deleteSync(this.fence);
    this.fence = null;
    return false;
  }

  /** Draw at `width` × `height`. lens: {rotation, eye, fovY, near}; shown: what of the scene to show. */
  draw(width, height, lens, shown) {
    const gl = this.gl, { canvas } = this;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const focal = height / (2 * Math.tan(lens.fovY / 2));
    const common = { rotation: lens.rotation, eye: lens.eye, focal, near: lens.near, size: [width, height] };
    const splats = this.scene && this.scene.loaded && this.ordered && shown.splats;
    if (splats) this._project(common, shown);
    gl.viewport(0, 0, width, height);
    gl.clearColor(...shown.background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (splats) this._blend(common);
    if (shown.points && this.points) this._dots(common);
    if (this.fence) gl.deleteSync(this.fence);
    this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
  }

  _project(common, shown) {
    const gl = this.gl, { scene } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.viewport(0, 0, LANES, Math.ceil(scene.loaded / LANES));
    gl.disable(gl.BLEND);
    const reach = [0, 1, 2].map((l) => scene.ranges.sh[l] || 0);
    this._use(this.project, { core: this.core, harmonics: this.sh }, {
      ...common, ...shown.filter, reach, count: scene.loaded, degree: scene.degree, shTexels: scene.shTexels,
      logScale: scene.ranges.log_scale, dcRange: scene.ranges.dc,
    });
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  _blend(common) {
    const gl = this.gl;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const textures = { places: this.places, shades: this.shades, order: this.order };
    this._use(this.splat, textures, { size: common.size, ordered: this.ordered });
    gl.bindVertexArray(this.quads);
    // A row of quads an instance: an instance costs far more than a quad where the processor draws.
    gl.drawElementsInstanced(gl.TRIANGLES, 6 * LANES, gl.UNSIGNED_SHORT, 0, Math.ceil(this.ordered / LANES));
    gl.bindVertexArray(null);
  }

  _dots(common) {
    const gl = this.gl;
    gl.disable(gl.BLEND);
    this._use(this.point, {}, { ...common, pointSize: Math.max(2, common.size[1] / 300) });
    gl.bindVertexArray(this.pointArray);
    gl.drawArrays(gl.POINTS, 0, this.points);
    gl.bindVertexArray(null);
  }

  /** Select a program with its textures and its uniforms, each set by the type that the shader gives it. */
  _use(program, textures, values) {
    const gl = this.gl;
    gl.useProgram(program.handle);
    Object.entries(textures).forEach(([name, texture], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.uniform1i(program.uniforms[name].at, unit);
    });
    for (const [name, value] of Object.entries(values)) {
      const uniform = program.uniforms[name];
      if (!uniform) continue;
      if (uniform.type === gl.INT) gl.uniform1i(uniform.at, value);
      else if (uniform.type === gl.FLOAT) gl.uniform1f(uniform.at, value);
      else if (uniform.type === gl.FLOAT_VEC2) gl.uniform2fv(uniform.at, value);
      else if (uniform.type === gl.FLOAT_VEC3) gl.uniform3fv(uniform.at, value);
      else gl.uniformMatrix3fv(uniform.at, true, value); // rows, as mathematics writes them
    }
  }

  _program(vertex, fragment) {
    const gl = this.gl, handle = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(handle, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader) || "lost");
    }
    gl.linkProgram(handle);
    if (!gl.getProgramParameter(handle, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(handle) || "lost");
    const uniforms = {};
    for (let i = 0; i < gl.getProgramParameter(handle, gl.ACTIVE_UNIFORMS); i++) {
      const { name, type } = gl.getActiveUniform(handle, i);
      uniforms[name] = { type, at: gl.getUniformLocation(handle, name) };
    }
    return { handle, uniforms };
  }

  _texture(width, height, format = this.gl.RGBA32UI) {
    const gl = this.gl, texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    return texture;
  }

  _rows(texture, words, firstTexel, endTexel) {
    const gl = this.gl, first = Math.floor(firstTexel / ROW), end = Math.ceil(endTexel / ROW);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texSubImage2D(
      gl.TEXTURE_2D, 0, 0, first, ROW, end - first, gl.RGBA_INTEGER, gl.UNSIGNED_INT,
      words.subarray(4 * ROW * first, 4 * ROW * end),
    );
  }
}

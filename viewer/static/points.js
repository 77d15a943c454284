/* The geometry pass: every point leaves its number in the pixels it covers, nothing else. Colours
   come later, per pixel, so a new palette never draws points again. */
(() => {
  const { WIDE, programs, dataTexture, FIELD } = window.s4;

  const LARGE = "3.5"; // pixels from which a point is a disc

  const VERTEX = `
layout(location = 0) in vec3 position;
uniform mat4 view;
uniform vec4 cut;            // points above it along (xyz) are not drawn
uniform vec3 size;           // pixels at depth 1, least, most
flat out uint id;
flat out float wide;
#if FILTERED                 // the legend hides some points
uniform highp usampler2D tokens, own;
uniform highp sampler2D palette, classes;
const int WIDE = ${WIDE};
bool hidden(int i) {
  ivec2 at = ivec2(i % WIDE, i / WIDE);
  uint label = texelFetch(own, at, 0).r & 127u;
  if (label > 0u) return texelFetch(classes, ivec2(int(label), 0), 0).a < 0.5;
  int token = int(texelFetch(tokens, at, 0).r & 0x7fffffffu);
  return texelFetch(palette, ivec2(token % WIDE, token / WIDE), 0).a < 0.5;
}
#else
bool hidden(int i) { return false; }
#endif
void main() {
  id = uint(gl_VertexID) + 1u;
  gl_Position = view * vec4(position, 1.0);
  gl_PointSize = clamp(size.x / gl_Position.w, size.y, size.z);
  wide = gl_PointSize;
  bool away = dot(position, cut.xyz) > cut.w || hidden(gl_VertexID);
  if (away) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;
  const FRAGMENT = `
flat in uint id;
flat in float wide;
layout(location = 0) out uint number;
void main() {
#if ROUND                    // some points are large enough to be seen as discs
  vec2 c = gl_PointCoord * 2.0 - 1.0;
  if (wide > ${LARGE} && dot(c, c) > 1.0) discard;
#endif
  number = id;
}`;

  /** Points on the card and the picture of their numbers. */
  class Points {
    /** @param {WebGL2RenderingContext} gl */
    constructor(gl) {
      this.gl = gl;
      this.count = 0;
      this.drawn = 0;
      this.pass = programs(gl, VERTEX, FRAGMENT);
      this.buffer = gl.createBuffer();
      this.array = gl.createVertexArray();
      gl.bindVertexArray(this.array);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
      gl.enableVertexAttribArray(0);
      gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
      gl.bindVertexArray(null);
      this.frame = gl.createFramebuffer();
      this.width = 0;
      this.height = 0;
      this.ids = null;
      this.depth = null;
      this.colors = null;
      this.kept = null;
    }

    /**
     * Take a cloud: positions relative to its centre, in a random order, and 8 bit colours.
     * @param {Float32Array} positions
     * @param {Uint8Array} colors
     */
    load(positions, colors) {
      const { gl } = this;
      this.positions = positions;
      this.count = positions.length / 3;
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
      gl.bufferData(gl.ARRAY_BUFFER, positions, gl.STATIC_DRAW);
      this.colors = dataTexture(gl, "rgb8", colors, this.colors);
    }

    /** Make the picture of numbers as large as one panel, in device pixels. */
    resize(width, height) {
      if (width === this.width && height === this.height) return;
      const { gl } = this;
      Object.assign(this, { width, height, kept: null, lit: false });
      const make = (internal, format, type) => {
        const texture = gl.createTexture();
        gl.bindTexture(gl.TEXTURE_2D, texture);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
        gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, null);
        return texture;
      };
      gl.deleteTexture(this.ids);
      gl.deleteTexture(this.depth);
      this.ids = make(gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT);
      this.depth = make(gl.DEPTH_COMPONENT24, gl.DEPTH_COMPONENT, gl.UNSIGNED_INT);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.ids, 0);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, this.depth, 0);
    }

    /**
     * Draw points [drawn, until) on top of what is there; from the first one on, clear before.
     * @param {number} until
     * @param {{view: Float32Array, cut: number[], spacing: number, scale: number, near: number,
     *   filter: null | {tokens: any, palette: any, own: any, classes: any}}} how
     */
    draw(until, how) {
      const { gl } = this;
      const pixels = (how.spacing * this.height) / (2 * Math.tan(FIELD / 2));
      const [least, most] = [1.2 * how.scale, 48 * how.scale];
      const ROUND = Math.max(Math.min(pixels / how.near, most), least) > Number(LARGE);
      const pass = this.pass({ FILTERED: how.filter !== null, ROUND });
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
      gl.viewport(0, 0, this.width, this.height);
      gl.disable(gl.BLEND);
      gl.enable(gl.DEPTH_TEST);
      if (this.drawn === 0) {
        gl.clearBufferuiv(gl.COLOR, 0, [0, 0, 0, 0]);
        gl.clearBufferfv(gl.DEPTH, 0, [1]);
      }
      gl.useProgram(pass.program);
      gl.uniformMatrix4fv(pass.at.view, false, how.view);
      gl.uniform4fv(pass.at.cut, how.cut);
      gl.uniform3f(pass.at.size, pixels, least, most);
      Object.entries(how.filter || {}).forEach(([name, made], unit) => {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, made.texture);
        gl.uniform1i(pass.at[name], unit);
      });
      gl.bindVertexArray(this.array);
      gl.drawArrays(gl.POINTS, this.drawn, until - this.drawn);
      gl.bindVertexArray(null);
      this.drawn = until;
      this.kept = null;
      this.lit = false;
    }

    /** All numbers of the picture, read once for as long as it stands. @returns {Uint32Array} */
    all() {
      if (!this.kept) this.kept = this.read(0, 0, this.width, this.height);
      return this.kept;
    }

    /**
     * Read numbers of the points in a rectangle of device pixels, row 0 at the bottom; 0 = none.
     * @returns {Uint32Array}
     */
    read(x, y, width, height) {
      const { gl } = this;
      const out = new Uint32Array(width * height);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
      gl.readPixels(x, y, width, height, gl.RED_INTEGER, gl.UNSIGNED_INT, out);
      return out;
    }
  }

  Object.assign(window.s4, { Points });
})();

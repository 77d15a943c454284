/* Token centres as see-through discs, drawn over a faint scan. */
(() => {
  const { program, FIELD } = window.s4;
  const VERTEX = `
layout(location = 0) in vec4 disc;   // centre and radius
layout(location = 1) in vec4 paint;
uniform mat4 view;
uniform vec4 cut;
uniform vec3 size;
out vec4 tint;
void main() {
  gl_Position = view * vec4(disc.xyz, 1.0);
  gl_PointSize = clamp(disc.w * size.x / gl_Position.w, size.y, size.z);
  tint = paint;
  if (dot(disc.xyz, cut.xyz) > cut.w || paint.a < 0.5) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;
  const FRAGMENT = `
in vec4 tint;
out vec4 color;
void main() {
  float r = length(gl_PointCoord * 2.0 - 1.0);
  if (r > 1.0) discard;
  color = vec4(mix(tint.rgb, vec3(0.0), smoothstep(0.82, 0.95, r) * 0.45), 0.78);
}`;

  class Discs {
    /** @param {WebGL2RenderingContext} gl */
    constructor(gl) {
      this.gl = gl;
      this.pass = program(gl, VERTEX, FRAGMENT);
      this.array = gl.createVertexArray();
      this.buffers = [gl.createBuffer(), gl.createBuffer()];
      gl.bindVertexArray(this.array);
      [[gl.FLOAT, false], [gl.UNSIGNED_BYTE, true]].forEach(([type, whole], i) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
        gl.enableVertexAttribArray(i);
        gl.vertexAttribPointer(i, 4, type, whole, 0, 0);
      });
      gl.bindVertexArray(null);
    }

    /**
     * Draw a panel's discs into the viewport that is set.
     * @param {any} panel with ``discs`` (centre and radius, four numbers each) and ``rgba``
     * @param {{view: Float32Array, cut: number[], height: number, scale: number}} how
     */
    draw(panel, how) {
      const { gl, pass } = this;
      [panel.discs, panel.rgba].forEach((data, i) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
        gl.bufferData(gl.ARRAY_BUFFER, data, gl.STREAM_DRAW);
      });
      gl.useProgram(pass.program);
      gl.uniformMatrix4fv(pass.at.view, false, how.view);
      gl.uniform4fv(pass.at.cut, how.cut);
      const pixels = how.height / (2 * Math.tan(FIELD / 2));
      gl.uniform3f(pass.at.size, pixels, 5 * how.scale, 90 * how.scale);
      gl.enable(gl.BLEND);
      gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ZERO, gl.ONE);
      gl.bindVertexArray(this.array);
      gl.drawArrays(gl.POINTS, 0, Math.min(panel.discs.length, panel.rgba.length) >> 2);
      gl.bindVertexArray(null);
      gl.disable(gl.BLEND);
    }
  }

  Object.assign(window.s4, { Discs });
})();

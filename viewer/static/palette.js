/* The colour pass: each pixel looks up point -> superpoint -> colour, then gets its shading and
   the outline of what is under the pointer. One panel is one palette. */
(() => {
  const { WIDE, programs } = window.s4;

  const VERTEX = `
void main() {
  vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;
  // SIDE: how many pixels off the neighbours lie
  const RELIEF = `
uniform highp sampler2D depth;
uniform ivec2 extent;
uniform vec2 range;          // nearest and farthest depth
layout(location = 0) out vec4 relief;
float near(ivec2 p) {        // one over the distance, but for a factor
  float d = texelFetch(depth, clamp(p, ivec2(0), extent - 1), 0).r;
  return range.y - d * (range.y - range.x);
}
void main() {                // eye-dome lighting, Boucheny 2009
  ivec2 p = ivec2(gl_FragCoord.xy);
  bool point = texelFetch(depth, p, 0).r < 1.0;
  float here = 1.0 / near(p), all = 1.0;
  // How many times as near each neighbour is, up to 2^0.06: their product for a sum of logarithms.
#define SEE(x, y) all *= clamp(near(p + SIDE * ivec2(x, y)) * here, 1.0, 1.0424658);
  for (; point; point = false) { // not an if: software GL would compute it where nothing is
    SEE(-1, -1) SEE(-1, 0) SEE(-1, 1) SEE(0, -1) SEE(0, 1) SEE(1, -1) SEE(1, 0) SEE(1, 1)
  }
  relief = vec4(log2(all) / 0.48, 0.0, 0.0, 1.0);
}`;
  const FRAGMENT = `
uniform highp usampler2D ids, tokens, own, instances;
uniform highp sampler2D relief, colors, palette, classes;
uniform ivec2 origin, extent;
uniform vec3 background;
uniform int hovered, chosen; // superpoints, -1 none
// MODE: 0 the scan's colours, 1 palette, 2 faint colours
// EDITS: 0 no corrections, 1 draw them, 2 and fade the rest
// OBJECTS: colours of instances instead of classes
// OUTLINED: whether a superpoint is hovered or chosen
uniform float shading, scale;
out vec4 color;
const int WIDE = ${WIDE};
ivec2 place(uint i) { return ivec2(int(i) % WIDE, int(i) / WIDE); }
ivec2 inside(ivec2 p) { return clamp(p, ivec2(0), extent - 1); }
int token(ivec2 p) {
  uint id = texelFetch(ids, inside(p), 0).r;
  return id == 0u ? -2 : int(texelFetch(tokens, place(id - 1u), 0).r & 0x7fffffffu);
}
vec3 hue(uint thing) {       // far from those of the numbers before it
  vec3 wheel = abs(fract(float(thing) * 0.61803 + vec3(0.0, 0.667, 0.333)) * 6.0 - 3.0) - 1.0;
  return mix(vec3(1.0), clamp(wheel, 0.0, 1.0), 0.75) * (thing % 2u == 0u ? 0.72 : 0.95);
}
void main() {
  ivec2 p = ivec2(gl_FragCoord.xy) - origin;
  uint id = texelFetch(ids, p, 0).r;
  vec3 c = background;
  int mine = -2;
  if (id > 0u) {
    ivec2 at = place(id - 1u);
    uint raw = texelFetch(tokens, at, 0).r;
    mine = int(raw & 0x7fffffffu);
#if MODE == 1
    c = texelFetch(palette, ivec2(mine % WIDE, mine / WIDE), 0).rgb;
    if (raw > 0x7fffffffu) c = mix(vec3(0.60, 0.63, 0.65), background, 0.5);
#else
    c = texelFetch(colors, at, 0).rgb;
#if MODE == 2
    c = mix(vec3(dot(c, vec3(0.3, 0.6, 0.1))), background, 0.62);
#endif
#endif
#if EDITS == 2
    float grey = dot(c, vec3(0.3, 0.6, 0.1));
    c = mix(mix(c, vec3(grey), 0.55), background, 0.25);
#endif
#if EDITS
    uint label = texelFetch(own, at, 0).r;
    if ((label & 127u) > 0u) c = texelFetch(classes, ivec2(int(label & 127u), 0), 0).rgb;
#endif
#if OBJECTS
    uint thing = texelFetch(instances, at, 0).r;
    c = thing > 0u ? hue(thing) : mix(vec3(dot(c, vec3(0.3, 0.6, 0.1))), background, 0.6);
#endif
#if EDITS == 2
    if (label > 127u) {
      float stripe = step(0.5, fract((gl_FragCoord.x + gl_FragCoord.y) / (8.0 * scale)));
      c = mix(c, mix(vec3(1.0), vec3(0.10, 0.42, 0.95), stripe), 0.62);
    }
#endif
    c *= exp(-shading * texelFetch(relief, p, 0).r);
  }
#if OUTLINED
  int r = max(1, int(scale + 0.5));
  for (int k = 0; k < 2; k++) {
    int which = k == 0 ? chosen : hovered;
    if (which < 0) continue;
    if (mine == which && k == 1) c = mix(c, vec3(1.0), 0.22);
    bool edge = false;
    for (int i = 0; i < 4; i++) {
      ivec2 q = p + r * ivec2(i == 0 ? 1 : (i == 1 ? -1 : 0), i == 2 ? 1 : (i == 3 ? -1 : 0));
      edge = edge || ((token(q) == which) != (mine == which));
    }
    if (edge) c = k == 0 ? vec3(0.16, 0.47, 1.0) : mix(c, dot(background, vec3(1.0)) > 1.5
      ? vec3(0.05) : vec3(1.0), 0.85);
  }
#endif
  color = vec4(c, 1.0);
}`;

  /** The colour pass itself, shared by all panels. */
  class Colouring {
    /** @param {WebGL2RenderingContext} gl */
    constructor(gl) {
      this.gl = gl;
      this.pass = programs(gl, VERTEX, FRAGMENT);
      this.lighting = programs(gl, VERTEX, RELIEF);
      this.array = gl.createVertexArray();
      this.frame = gl.createFramebuffer();
      this.relief = null;
      this.size = "";
    }

    /** Find how far each pixel lies behind its neighbours: once per picture, not per palette. */
    light(points, range, scale) {
      const { gl } = this;
      const { width, height } = points;
      const lighting = this.lighting({ SIDE: Math.max(1, Math.round(1.4 * scale)) });
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
      if (this.size !== `${width} ${height}`) {
        this.size = `${width} ${height}`;
        gl.deleteTexture(this.relief);
        this.relief = gl.createTexture();
        gl.bindTexture(gl.TEXTURE_2D, this.relief);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
        gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R8, width, height);
        const to = gl.COLOR_ATTACHMENT0;
        gl.framebufferTexture2D(gl.FRAMEBUFFER, to, gl.TEXTURE_2D, this.relief, 0);
      }
      gl.viewport(0, 0, width, height);
      gl.disable(gl.DEPTH_TEST);
      gl.disable(gl.BLEND);
      gl.useProgram(lighting.program);
      gl.activeTexture(gl.TEXTURE0);
      gl.bindTexture(gl.TEXTURE_2D, points.depth);
      gl.uniform1i(lighting.at.depth, 0);
      gl.uniform2i(lighting.at.extent, width, height);
      gl.uniform2f(lighting.at.range, ...range);
      gl.bindVertexArray(this.array);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      gl.bindVertexArray(null);
    }

    /**
     * Colour one panel's rectangle of the canvas, in device pixels from its lower left corner.
     * @param {any} points
     * @param {Panel} panel
     * @param {{x: number, y: number, width: number, height: number,
     *   background: number[], mode: number, hovered: number, chosen: number, edits: number,
     *   shading: number, scale: number, objects: boolean, own: any, instances: any,
     *   classes: any}} how
     */
    draw(points, panel, how) {
      const { gl } = this;
      const { hovered, chosen } = how;
      const pass = this.pass({
        MODE: how.mode,
        EDITS: how.edits,
        OBJECTS: how.objects,
        OUTLINED: hovered >= 0 || chosen >= 0,
      });
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      gl.viewport(how.x, how.y, how.width, how.height);
      gl.disable(gl.DEPTH_TEST);
      gl.disable(gl.BLEND);
      gl.useProgram(pass.program);
      const textures = {
        ids: points.ids,
        relief: this.relief,
        colors: points.colors.texture,
        own: how.own.texture,
        instances: how.instances.texture,
        classes: how.classes.texture,
      };
      for (const [name, made] of Object.entries(panel.textures())) textures[name] = made.texture;
      const used = Object.entries(textures).filter(([name]) => pass.at[name]);
      used.forEach(([name, texture], unit) => {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, texture);
        gl.uniform1i(pass.at[name], unit);
      });
      gl.uniform2i(pass.at.origin, how.x, how.y);
      gl.uniform2i(pass.at.extent, points.width, points.height);
      gl.uniform3f(pass.at.background, ...how.background);
      gl.uniform1i(pass.at.hovered, hovered);
      gl.uniform1i(pass.at.chosen, chosen);
      gl.uniform1f(pass.at.shading, how.shading);
      gl.uniform1f(pass.at.scale, how.scale);
      gl.bindVertexArray(this.array);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      gl.bindVertexArray(null);
      gl.activeTexture(gl.TEXTURE0);
    }
  }

  Object.assign(window.s4, { Colouring });
})();

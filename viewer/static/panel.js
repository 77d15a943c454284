/* One view of the cloud: whose superpoints, and in which colours. */
(() => {
  const { dataTexture } = window.s4;
  const MASK = 0x7fffffff; // the highest bit of a superpoint's number marks points that none holds

  class Panel {
    /** @param {WebGL2RenderingContext} gl */
    constructor(gl) {
      this.gl = gl;
      this.key = "";
      this.tokens = null;
      this.palette = null;
      this.spec = { title: "", mode: "colours", names: [] };
    }

    /** Take the superpoint of each point. */
    members(key, ids) {
      this.key = key;
      this.ids = ids;
      this.tokens = dataTexture(this.gl, "r32ui", ids, this.tokens);
      let most = 0;
      for (let i = 0; i < ids.length; i += 1) most = Math.max(most, ids[i] & MASK);
      this.sizes = new Uint32Array(most + 1);
      for (let i = 0; i < ids.length; i += 1) this.sizes[ids[i] & MASK] += 1;
    }

    /** Take what changes with every answer: colours, labels, scores. */
    paint(spec) {
      const { bytes } = window.s4;
      this.spec = spec;
      this.rgba = bytes(spec.palette);
      this.palette = dataTexture(this.gl, "rgba8", this.rgba, this.palette);
      const labels = bytes(spec.labels || "");
      this.labels = new Uint16Array(labels.buffer, 0, labels.length >> 1);
      const scores = bytes(spec.scores || "");
      this.scores = new Float32Array(scores.buffer, 0, scores.length >> 2);
      this.hides = this.rgba.some((v, i) => i % 4 === 3 && v === 0);
    }

    /** Label of a point's colour here, undefined without an answer. */
    labelOf(point) {
      return this.labels[this.ids[point] & MASK];
    }

    /** Whether the legend leaves a point out. */
    leavesOut(point) {
      return this.rgba[4 * (this.ids[point] & MASK) + 3] === 0;
    }

    /** What decides which points are drawn, as text. */
    hidden() {
      if (!this.hides) return "";
      return String(this.rgba.filter((_, i) => i % 4 === 3));
    }

    textures() {
      const { tokens, palette } = this;
      return { tokens, palette };
    }

    free() {
      for (const made of Object.values(this.textures())) {
        if (made) this.gl.deleteTexture(made.texture);
      }
    }
  }

  Object.assign(window.s4, { Panel });
})();

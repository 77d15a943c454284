/* One view of the cloud: whose superpoints, in which colours, and which points differ from them. */
(() => {
  const { dataTexture, unpack } = window.s4;
  const MASK = 0x7fffffff; // the highest bit of a superpoint's number marks points that none holds

  /**
   * Sort places along a walk by superpoint, keeping the walk's order within each.
   * @param {Uint32Array} walk @param {Uint32Array} ids @param {Uint32Array} sizes of superpoints
   */
  const bySuperpoint = (walk, ids, sizes) => {
    const next = new Uint32Array(sizes.length);
    for (let m = 1; m < sizes.length; m += 1) next[m] = next[m - 1] + sizes[m - 1];
    const out = new Uint32Array(walk.length);
    for (let k = 0; k < walk.length; k += 1) {
      const m = ids[walk[k]] & MASK;
      out[next[m]] = walk[k];
      next[m] += 1;
    }
    return out;
  };

  class Panel {
    /** @param {WebGL2RenderingContext} gl */
    constructor(gl) {
      this.gl = gl;
      this.key = "";
      this.tokens = null;
      this.palette = null;
      this.single = null;
      this.colors = null;
      this.differs = false;
      this.spec = { title: "", mode: "colours", names: [] };
    }

    /** Take the superpoint of each point. */
    members(key, ids, walk) {
      this.key = key;
      this.ids = ids;
      this.tokens = dataTexture(this.gl, "r32ui", ids, this.tokens);
      let most = 0;
      for (let i = 0; i < ids.length; i += 1) most = Math.max(most, ids[i] & MASK);
      this.sizes = new Uint32Array(most + 1);
      for (let i = 0; i < ids.length; i += 1) this.sizes[ids[i] & MASK] += 1;
      this.walk = bySuperpoint(walk, ids, this.sizes);
      this.detail = new Uint8Array(ids.length);
      this.differs = false;
      this.single = dataTexture(this.gl, "r8ui", this.detail, this.single);
    }

    /**
     * Take what changes with every answer: colours, labels, scores, points that differ.
     * @param {any} spec @param {Uint8Array|null} packed bits along the walk, then labels
     */
    paint(spec, packed) {
      const { bytes } = window.s4;
      this.spec = spec;
      this.rgba = bytes(spec.palette);
      this.palette = dataTexture(this.gl, "rgba8", this.rgba, this.palette);
      const labels = bytes(spec.labels || "");
      this.labels = new Uint16Array(labels.buffer, 0, labels.length >> 1);
      const scores = bytes(spec.scores || "");
      this.scores = new Float32Array(scores.buffer, 0, scores.length >> 2);
      this.classes = bytes(spec.classes || "");
      this.colors = dataTexture(this.gl, "rgba8", this.classes, this.colors);
      this.hides = [this.rgba, this.classes].some((c) => c.some((v, i) => i % 4 === 3 && v === 0));
      if (packed || this.differs) this.differ(packed);
    }

    differ(packed) {
      const { walk, detail } = this;
      detail.fill(0);
      if (packed) unpack(packed, walk, 1, (i, label) => { detail[i] = label + 1; });
      this.differs = packed !== null;
      this.single = dataTexture(this.gl, "r8ui", detail, this.single);
    }

    /** Label of a point's colour here, undefined without an answer. */
    labelOf(point) {
      return this.detail[point] ? this.detail[point] - 1 : this.labels[this.ids[point] & MASK];
    }

    /** Whether the legend leaves a point out. */
    leavesOut(point) {
      const single = this.detail[point];
      if (single) return this.classes[4 * single - 1] === 0;
      return this.rgba[4 * (this.ids[point] & MASK) + 3] === 0;
    }

    /** What decides which points are drawn, as text. */
    hidden() {
      if (!this.hides) return "";
      const alpha = (colors) => colors.filter((_, i) => i % 4 === 3);
      return `${alpha(this.rgba)}|${alpha(this.classes)}|${this.spec.detail}`;
    }

    textures() {
      const { tokens, palette } = this;
      return { tokens, palette, detail: this.single, labels: this.colors };
    }

    free() {
      for (const made of Object.values(this.textures())) {
        if (made) this.gl.deleteTexture(made.texture);
      }
    }
  }

  Object.assign(window.s4, { Panel });
})();

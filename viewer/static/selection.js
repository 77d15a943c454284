/* From a shape drawn on the screen to points: a mask of pixels, and which points fall into it. */
(() => {
  const SELECTED = 128; // this bit of a point's byte; the others are its corrected class
  const SEEN = 3; // point spacings by which a point may lie behind the foremost one

  /**
   * Paint a shape into a mask of CSS pixels.
   * @param {{kind: "lasso"|"box"|"brush"|"polygon", path: number[][], radius: number}} shape
   */
  const maskOf = (shape, width, height) => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const paint = canvas.getContext("2d", { willReadFrequently: true });
    const [first, last] = [shape.path[0], shape.path[shape.path.length - 1]];
    if (shape.kind === "box") {
      paint.fillRect(first[0], first[1], last[0] - first[0], last[1] - first[1]);
    } else {
      paint.lineWidth = 2 * shape.radius;
      paint.lineCap = paint.lineJoin = "round";
      paint.beginPath();
      shape.path.forEach(([x, y]) => paint.lineTo(x, y));
      if (shape.path.length === 1) paint.lineTo(first[0] + 0.01, first[1]);
      if (shape.kind === "brush") paint.stroke();
      else paint.fill("evenodd");
    }
    return paint.getImageData(0, 0, width, height).data;
  };

  /**
   * Find the points whose picture lies inside a mask.
   * @param {{positions: Float32Array, view: Float32Array, width: number, height: number,
   *   mask: Uint8ClampedArray, cut: number[], shown: (i: number) => boolean,
   *   seen: Uint8Array|null}} q
   *   seen: 1 for points that may be taken; null takes those behind others, too
   * @returns {Uint8Array} one byte per point, 1 inside
   */
  const pointsInside = (q) => {
    const { positions: p, view: m, width, height, mask, cut, seen } = q;
    const count = p.length / 3;
    const inside = new Uint8Array(count);
    for (let i = 0; i < count; i += 1) {
      if (seen && !seen[i]) continue;
      const x = p[3 * i];
      const y = p[3 * i + 1];
      const z = p[3 * i + 2];
      const w = m[3] * x + m[7] * y + m[11] * z + m[15];
      if (w <= 0) continue;
      const u = 0.5 + (0.5 * (m[0] * x + m[4] * y + m[8] * z + m[12])) / w;
      const v = 0.5 - (0.5 * (m[1] * x + m[5] * y + m[9] * z + m[13])) / w;
      if (u < 0 || u >= 1 || v < 0 || v >= 1) continue;
      if (mask[4 * (Math.floor(v * height) * width + Math.floor(u * width)) + 3] < 128) continue;
      if (x * cut[0] + y * cut[1] + z * cut[2] > cut[3] || !q.shown(i)) continue;
      inside[i] = 1;
    }
    return inside;
  };

  /**
   * Find the points that can be seen: those not far behind the foremost one of their pixel.
   * @param {{positions: Float32Array, view: Float32Array, ids: Uint32Array, width: number,
   *   height: number, spacing: number}} q ids: number of the foremost point of each pixel, or 0
   * @returns {Uint8Array} one byte per point, 1 seen
   */
  const pointsSeen = (q) => {
    const { positions: p, view: m, ids, width, height } = q;
    const last = new Float32Array(ids.length).fill(Infinity);
    for (let k = 0; k < ids.length; k += 1) {
      const j = 3 * (ids[k] - 1);
      if (j < 0) continue;
      last[k] = m[3] * p[j] + m[7] * p[j + 1] + m[11] * p[j + 2] + m[15] + SEEN * q.spacing;
    }
    const seen = new Uint8Array(p.length / 3);
    for (let i = 0; i < seen.length; i += 1) {
      const [x, y, z] = [p[3 * i], p[3 * i + 1], p[3 * i + 2]];
      const w = m[3] * x + m[7] * y + m[11] * z + m[15];
      const u = 0.5 + (0.5 * (m[0] * x + m[4] * y + m[8] * z + m[12])) / w;
      const v = 0.5 + (0.5 * (m[1] * x + m[5] * y + m[9] * z + m[13])) / w;
      if (w <= 0 || u < 0 || u >= 1 || v < 0 || v >= 1) continue;
      seen[i] = w <= last[Math.floor(v * height) * width + Math.floor(u * width)] ? 1 : 0;
    }
    return seen;
  };

  /** Widen to whole superpoints: those of which more than half lies inside. */
  const wholeTokens = (inside, panel, eligible) => {
    const hit = new Uint32Array(panel.sizes.length);
    for (let i = 0; i < inside.length; i += 1) if (inside[i]) hit[panel.ids[i] & 0x7fffffff] += 1;
    for (let i = 0; i < inside.length; i += 1) {
      const m = panel.ids[i] & 0x7fffffff;
      inside[i] = 2 * hit[m] > eligible[m] ? 1 : 0;
    }
    return inside;
  };

  /** How points inside change the selection, from the keys that are held. */
  const modeOf = (event) => {
    if (event.shiftKey && (event.ctrlKey || event.metaKey)) return "intersect";
    if (event.shiftKey) return "add";
    return event.ctrlKey || event.metaKey ? "remove" : "replace";
  };

  /**
   * Combine a new set with the selection, in place.
   * @param {Uint8Array} own bytes of all points @param {Uint8Array} inside
   * @param {"replace"|"add"|"remove"|"intersect"} mode
   * @returns {number} how many points are selected now
   */
  const combine = (own, inside, mode) => {
    let count = 0;
    for (let i = 0; i < own.length; i += 1) {
      const was = own[i] >= SELECTED;
      let now = inside[i] === 1;
      if (mode === "add") now = now || was;
      else if (mode === "remove") now = was && !now;
      else if (mode === "intersect") now = was && now;
      own[i] = (own[i] & 127) | (now ? SELECTED : 0);
      count += now ? 1 : 0;
    }
    return count;
  };

  /** Which superpoints hold a selected point. */
  const touched = (own, panel) => {
    const on = new Uint8Array(panel.sizes.length);
    for (let i = 0; i < own.length; i += 1) {
      if (own[i] >= SELECTED) on[panel.ids[i] & 0x7fffffff] = 1;
    }
    return on;
  };

  /**
   * Grow the selection by the neighbours of its superpoints, or shrink it by those at its rim.
   * @param {Uint8Array} own @param {any} panel @param {Uint32Array} around where in it
   *   the neighbours of each superpoint begin, and then those
   */
  const step = (own, panel, around, grow) => {
    const on = touched(own, panel);
    const next = on.slice();
    on.forEach((mine, m) => {
      const near = around.subarray(around[m], around[m + 1]);
      if (grow && !mine) next[m] = near.some((n) => on[n]) ? 1 : 0;
      if (!grow && mine) next[m] = near.every((n) => on[n]) ? 1 : 0;
    });
    const inside = new Uint8Array(own.length);
    for (let i = 0; i < own.length; i += 1) inside[i] = next[panel.ids[i] & 0x7fffffff];
    return inside;
  };

  /** Superpoints that hold a selected point. @returns {number[]} */
  const chosenTokens = (own, panel) =>
    [...touched(own, panel).entries()].filter(([, on]) => on).map(([m]) => m);

  /** Pack the selected points into bits, the first point lowest. */
  const bitsOf = (own) => {
    const bits = new Uint8Array(Math.ceil(own.length / 8));
    for (let i = 0; i < own.length; i += 1) if (own[i] >= SELECTED) bits[i >> 3] |= 1 << (i & 7);
    return bits;
  };

  Object.assign(window.s4, {
    SELECTED, maskOf, pointsInside, pointsSeen, wholeTokens, modeOf, combine, step, bitsOf,
    chosenTokens,
  });
})();

/* What is under the pointer: the number in the picture of numbers says which point. */
(() => {
  /** The part of a viewer that answers to the pointer. */
  class Pointing {
    /** Number of the point under a place in CSS pixels, its superpoint and panel; or null. */
    pick([x, y]) {
      if (!this.panels.length || this.points.drawn < this.points.count || this.stale) return null;
      const box = this.boxAt(x, y);
      const panel = Math.round(box.x / box.width);
      const across = Math.floor((x - box.x) * this.scale);
      const up = Math.floor((box.height - y) * this.scale);
      const reach = Math.round(2 * this.scale);
      const wide = 2 * reach + 1;
      const near = this.points.read(across - reach, up - reach, wide, wide);
      const order = [...near.keys()].sort((a, b) => far(a) - far(b));
      function far(i) {
        return (i % wide - reach) ** 2 + (Math.floor(i / wide) - reach) ** 2;
      }
      const found = order.find((i) => near[i] > 0);
      if (found === undefined) return null;
      const point = near[found] - 1;
      return { panel, point, token: this.panels[panel].ids[point] & 0x7fffffff };
    }

    hover(place) {
      const found = place && this.pick(place);
      const next = found || { panel: 0, token: -1, point: -1 };
      if (next.token !== this.hovered.token || next.panel !== this.hovered.panel) this.dirty = true;
      this.hovered = next;
      if (this.panels.length > 1 && this.paint) this.write();
      this.bar.point(found ? this.describe(found) : "", ...(place || []));
    }

    describe({ panel, point, token }) {
      const { spec, scores, sizes, ids } = this.panels[panel];
      const label = this.panels[panel].labelOf(point);
      if (ids[point] > 0x7fffffff) return "in no token";
      const parts = [`superpoint ${token}`, `${sizes[token].toLocaleString("en")} points`];
      const own = this.editor.nameOf(point);
      if (own) parts.unshift(`${own} (corrected)`);
      else if (label !== undefined) parts.unshift(spec.names[label] || "unlabelled");
      if (scores.length > token) parts.push(scores[token].toFixed(3));
      return parts.join(" · ");
    }

    click(place, event) {
      const began = performance.now();
      const found = this.pick(place);
      if (this.editor.click(found, event)) return;
      if (!found) return;
      this.chosen = found.panel === 0 ? found.token : -1;
      this.dirty = true;
      this.measure = { name: "picked", began };
      this.trigger("pick", { token: found.token, point: found.point, panel: found.panel });
    }

    focusOn(place) {
      const found = this.pick(place);
      if (!found) return;
      const p = this.points.positions;
      this.camera.target = [0, 1, 2].map((i) => p[3 * found.point + i]);
      this.camera.zoom(0.7);
      this.moved();
    }

    /** Where the point under the pointer lies in the other panels. */
    crosses() {
      const { point, panel } = this.hovered;
      if (point < 0 || this.panels.length < 2) return null;
      const p = this.points.positions;
      const m = this.view();
      const at = (r) => m[r] * p[3 * point] + m[4 + r] * p[3 * point + 1] +
        m[8 + r] * p[3 * point + 2] + m[12 + r];
      return this.boxes().map((b, i) => i === panel ? null : [
        b.x + (0.5 + (0.5 * at(0)) / at(3)) * b.width,
        b.y + (0.5 - (0.5 * at(1)) / at(3)) * b.height,
      ]);
    }
  }

  Object.assign(window.s4, { Pointing });
})();

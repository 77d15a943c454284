/* Correcting labels: shapes that are drawn, the selection they make, and what is done with it. */
(() => {
  const { SELECTED, maskOf, pointsInside, pointsSeen, wholeTokens, Edits } = window.s4;
  const { modeOf, combine, step, bitsOf, chosenTokens, base64, FIELD } = window.s4;
  const TOOLS = ["move", "label", "lasso", "box", "brush", "polygon"];
  const BRUSH = 14; // CSS pixels
  const MODES = ["through", "whole", "objects"];

  class Editor extends Edits {
    /** @param {any} viewer */
    constructor(viewer) {
      super(viewer);
      this.shape = null;
      this.around = new Uint32Array(0);
    }

    /** Take what a scene says about corrections. */
    take(scene) {
      const { edit, own } = scene;
      const { viewer } = this;
      if (own) {
        this.takeState(own);
        if (own.revision !== this.revision && !this.waiting()) this.send({ op: "state" });
      } else {
        this.hidden = [];
      }
      if (!edit) {
        this.drop();
        if (viewer.selected) this.selectNothing();
        viewer.tool = viewer.surface.dataset.tool = "move";
      } else if (viewer.selected) {
        // What the legend hides now is selected no longer; what was said last stays on screen.
        this.select(this.own.map((v) => (v >= SELECTED ? 1 : 0)), "replace", false);
      }
      viewer.bar.update();
    }

    // -- selecting --------------------------------------------------------------------------------

    start(place, event) {
      const kind = this.viewer.tool;
      if (kind === "polygon") {
        this.corner(place, event);
        if (this.shape.corners.length > 1) return;
      } else {
        this.shape = { kind, path: [place], radius: BRUSH };
      }
      this.box = this.viewer.boxAt(...place);
      this.viewer.write();
      if (!this.viewer.through) setTimeout(() => this.seen(), 0); // while it is being drawn
    }

    extend(place) {
      if (!this.shape) return;
      if (this.shape.corners) this.trail(place);
      else this.shape.path.push(place);
      this.viewer.write();
    }

    /** Add a corner to the polygon; the keys held at the last one say what it does. */
    corner(place, event) {
      if (!this.shape) this.shape = { kind: "polygon", corners: [], path: [], radius: BRUSH };
      const { corners } = this.shape;
      const [x, y] = corners[corners.length - 1] || [Infinity, Infinity];
      if (Math.hypot(place[0] - x, place[1] - y) > 2) corners.push(place);
      this.shape.mode = modeOf(event);
      this.trail(place);
    }

    /** Let the polygon's open end follow the pointer. */
    trail(place) {
      if (!this.shape || !this.shape.corners) return;
      this.shape.path = [...this.shape.corners, place];
      this.viewer.write();
    }

    /** Close the polygon and select with it; false when none is being drawn. */
    close() {
      const { shape, viewer } = this;
      if (!shape || !shape.corners) return false;
      if (shape.corners.length < 3) {
        viewer.bar.say("A polygon needs three corners. Escape leaves it.");
        return true;
      }
      this.shape = null;
      this.selectInside(shape, shape.corners, shape.mode);
      return true;
    }

    drop() {
      if (!this.shape) return;
      this.shape = null;
      this.viewer.write();
    }

    end(event) {
      const { shape, viewer } = this;
      if (!shape || shape.corners) return;
      this.shape = null;
      const far = shape.path.some(([x, y]) =>
        Math.hypot(x - shape.path[0][0], y - shape.path[0][1]) > 4);
      if (!far && shape.kind !== "brush") {
        this.toggle(viewer.pick(shape.path[0]), event);
      } else {
        this.selectInside(shape, shape.path, modeOf(event));
      }
      viewer.dirty = true;
    }

    selectInside(shape, path, mode) {
      const began = performance.now();
      this.select(this.inside({ ...shape, path }), mode);
      this.viewer.times.selected = performance.now() - began;
      this.viewer.dirty = true;
    }

    /** Which points can be seen, and how many of each superpoint; found once per picture. */
    seen() {
      const { points, panels, cloud } = this.viewer;
      const { positions, width, height } = points;
      const ids = points.all();
      const { key } = panels[0];
      if (this.look && this.look.ids === ids && this.look.key === key) return this.look;
      const view = this.viewer.view();
      const mine = pointsSeen({ positions, view, ids, width, height, spacing: cloud.spacing });
      const sizes = new Uint32Array(panels[0].sizes.length);
      mine.forEach((v, i) => { sizes[panels[0].ids[i] & 0x7fffffff] += v; });
      this.look = { ids, key, points: mine, sizes };
      return this.look;
    }

    /** A test of whether the legend shows a point. @returns {(i: number) => boolean} */
    shown() {
      const [panel] = this.viewer.panels;
      if (!panel.hides && !this.hides()) return () => true;
      return (i) => {
        const own = this.own[i] & 127;
        return own ? !this.hidden.includes(own) : !panel.leavesOut(i);
      };
    }

    /** Points inside a shape, whole superpoints if so chosen. */
    inside(shape) {
      const { viewer, box } = this;
      const { points, cut, whole, through } = viewer;
      const [panel] = viewer.panels;
      const path = shape.path.map(([x, y]) => [x - box.x, y - box.y]);
      const [width, height] = [Math.floor(box.width), Math.floor(box.height)];
      const shown = this.shown();
      const look = through ? null : this.seen();
      const found = pointsInside({
        positions: points.positions,
        view: viewer.view(),
        width,
        height,
        mask: maskOf({ ...shape, path }, width, height),
        cut,
        shown,
        seen: look && look.points,
      });
      return whole ? wholeTokens(found, panel, look ? look.sizes : panel.sizes) : found;
    }

    toggle(found, event) {
      const inside = new Uint8Array(this.own.length);
      const mode = modeOf(event);
      if (found) {
        const { ids } = this.viewer.panels[0];
        for (let i = 0; i < inside.length; i += 1) {
          inside[i] = (ids[i] & 0x7fffffff) === found.token ? 1 : 0;
        }
      } else if (mode !== "replace") return;
      this.select(inside, mode);
    }

    /** Change the selection; what the legend hides is never in it. */
    select(inside, mode, say = true) {
      const [panel] = this.viewer.panels;
      if ((panel && panel.hides) || this.hides()) {
        const shown = this.shown();
        for (let i = 0; i < inside.length; i += 1) if (inside[i] && !shown(i)) inside[i] = 0;
      }
      this.viewer.selected = combine(this.own, inside, mode);
      this.viewer.uploadOwn();
      this.viewer.bar.update();
      if (say) this.say();
    }

    selectNothing() {
      this.select(new Uint8Array(this.own.length), "replace");
    }

    /** Select what the server proposes; nothing is labelled until somebody says so. */
    selectTokens(tokens) {
      const on = new Set(tokens);
      const { ids } = this.viewer.panels[0];
      this.select(Uint8Array.from(ids, (id) => (on.has(id & 0x7fffffff) ? 1 : 0)), "replace");
    }

    /** Bring a superpoint to the middle of the picture, seen from where one looks now. */
    lookAt(token) {
      const { viewer } = this;
      const { positions: p } = viewer.points;
      const { ids } = viewer.panels[0];
      const low = [Infinity, Infinity, Infinity];
      const high = low.map((v) => -v);
      for (let i = 0; i < ids.length; i += 1) {
        if ((ids[i] & 0x7fffffff) !== token) continue;
        for (let c = 0; c < 3; c += 1) {
          low[c] = Math.min(low[c], p[3 * i + c]);
          high[c] = Math.max(high[c], p[3 * i + c]);
        }
      }
      const radius = Math.hypot(...low.map((v, c) => high[c] - v)) / 2;
      viewer.camera.target = low.map((v, c) => (v + high[c]) / 2);
      viewer.camera.distance = (1.6 * radius) / Math.sin(FIELD / 2);
      viewer.camera.zoom(1);
      viewer.moved();
      this.at = token;
    }

    say() {
      const { viewer } = this;
      const count = viewer.selected.toLocaleString("en");
      viewer.bar.say(viewer.selected
        ? `${count} points selected. Enter labels them as ${this.names[this.active] || "…"}.` : "");
    }

    /** A click in one of the editing tools; false leaves it to the viewer. */
    click(found, event) {
      const { viewer } = this;
      if (!viewer.editing()) return false;
      if (viewer.tool === "label") {
        if (found) this.label({ tokens: [found.token] });
        return true;
      }
      if (event.shiftKey || event.ctrlKey || event.metaKey) {
        this.toggle(found, event);
        return true;
      }
      return viewer.tool !== "move";
    }

    // -- edits ------------------------------------------------------------------------------------

    label(what, op = "label") {
      const name = this.names[this.active];
      if (name === undefined) {
        this.viewer.bar.say("Add a class first, or type words and press Find.", true);
        return;
      }
      this.send({ op, label: name, ...what });
    }

    /** Points as the server takes them: bits, in the order of the file it sent. */
    selection() {
      return { points: base64(bitsOf(this.own)) };
    }

    /** Cut the superpoints that are selected into smaller ones. */
    split() {
      const { viewer } = this;
      const tokens = chosenTokens(this.own, viewer.panels[0]);
      if (tokens.length) this.send({ op: "split", tokens, parts: viewer.bar.parts() });
      else viewer.bar.say("Select superpoints first, then split them.", true);
    }

    /** Do something with the chosen class. */
    ofClass(op) {
      if (this.names.length) this.send({ op, label: this.names[this.active] });
      else this.viewer.bar.say("Add a class first, or type words and press Find.", true);
    }

    act(name) {
      const { viewer } = this;
      if (!viewer.editing()) return false;
      if (name === "apply" && this.close()) return true;
      if (name === "clear" && this.shape) {
        this.drop();
        return true;
      }
      if (TOOLS.includes(name)) {
        this.drop();
        viewer.tool = name;
        viewer.surface.dataset.tool = name;
      } else if (MODES.includes(name)) {
        viewer[name] = !viewer[name];
        viewer.dirty = true;
      } else if (name === "grow" || name === "shrink") {
        if (!viewer.selected) return true;
        const [panel] = viewer.panels;
        this.select(step(this.own, panel, this.around, name === "grow"), "replace");
      } else if (name === "apply") {
        if (viewer.selected) this.label(this.selection());
      } else if (name === "erase") {
        if (viewer.selected) this.send({ op: "erase", ...this.selection() });
      } else if (name === "instance") {
        if (viewer.selected) this.label(this.selection(), "instance");
      } else if (name === "split") {
        this.split();
      } else if (name === "propose" || name === "lock") {
        this.ofClass(name);
      } else if (name === "next") {
        this.send({ op: "next", after: this.at });
      } else if (name === "clear") {
        this.selectNothing();
      } else if (name === "undo" || name === "redo") {
        this.send({ op: name });
      } else {
        return false;
      }
      viewer.bar.update();
      return true;
    }
  }

  Object.assign(window.s4, { Editor });
})();

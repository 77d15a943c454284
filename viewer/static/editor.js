/* Correcting labels: a selection, a class to give, and one edit at a time to the server, which
   has it on disk before it answers. */
(() => {
  const { SELECTED, maskOf, pointsInside, pointsSeen, wholeTokens } = window.s4;
  const { modeOf, combine, step, bitsOf } = window.s4;
  const { bytes, base64 } = window.s4;
  const TOOLS = ["move", "label", "lasso", "box", "brush"];
  const BRUSH = 14; // CSS pixels
  const CLASS_OFFSET = 2; // a point's byte: 0 not corrected, 1 unlabelled, from 2 on a class

  class Editor {
    /** @param {any} viewer */
    constructor(viewer) {
      this.viewer = viewer;
      this.shape = null;
      this.names = [];
      this.active = 0;
      this.queue = [];
      this.sent = null;
      this.counter = 0;
      this.reset(0);
    }

    /** Forget a scan's corrections. */
    reset(count) {
      this.own = new Uint8Array(count);
      this.revision = 0;
      this.hidden = [];
      this.queue = [];
      this.sent = null;
      this.viewer.selected = 0;
    }

    waiting() {
      return this.sent !== null || this.queue.length > 0;
    }

    /** Whether some corrected points are hidden. */
    hides() {
      return this.hidden.length > 0 && Boolean(this.viewer.scene.own);
    }

    filterKey() {
      return this.hidden.length ? `${this.hidden}|${this.revision}` : "";
    }

    /** Take what a scene says about corrections. */
    take(scene) {
      const { edit, own } = scene;
      const { viewer } = this;
      this.neighbours = scene.neighbours || [];
      if (own) {
        this.takeState(own);
        if (own.revision !== this.revision && !this.waiting()) this.send({ op: "state" });
      } else {
        this.hidden = [];
      }
      if (!edit) {
        if (viewer.selected) this.select(new Uint8Array(this.own.length), "replace");
        viewer.tool = viewer.surface.dataset.tool = "move";
      }
      viewer.bar.update();
    }

    takeState(state) {
      const { viewer } = this;
      const held = this.names[this.active];
      this.classes = state.classes;
      this.names = state.classes.map((c) => c.name);
      this.active = Math.max(0, this.names.indexOf(held));
      if (state.added) this.active = Math.max(0, this.names.indexOf(state.added));
      viewer.can = { undo: state.undo, redo: state.redo };
      const colors = ["#000000", "#9AA0A6", ...state.palette];
      this.hidden = state.hidden.map((i) => i + CLASS_OFFSET);
      if (!state.unlabelled) this.hidden.push(1);
      viewer.paintClasses(colors, this.hidden);
      this.table = state.table;
      this.list();
    }

    /** List the classes anew, unless somebody is typing the name of another one. */
    list() {
      const add = (name) => this.send({ op: "class", name });
      this.viewer.bar.listClasses(this.classes, this.active, (i) => this.choose(i), add);
      this.viewer.bar.update();
    }

    choose(i) {
      if (!this.viewer.editing() || i >= this.names.length) return;
      this.active = i;
      this.list();
    }

    /** Name of the correction of a point, "" where there is none. */
    nameOf(point) {
      const label = this.own[point] & 127;
      if (!label || !this.table) return "";
      return label === 1 ? "unlabelled" : this.table[label - CLASS_OFFSET] || "";
    }

    // -- selecting --------------------------------------------------------------------------------

    start(place) {
      const kind = this.viewer.tool;
      this.shape = { kind, path: [place], radius: BRUSH };
      this.box = this.viewer.boxAt(...place);
      this.viewer.write();
      if (!this.viewer.through) setTimeout(() => this.seen(), 0); // while it is being drawn
    }

    extend(place) {
      if (!this.shape) return;
      this.shape.path.push(place);
      this.viewer.write();
    }

    drop() {
      if (!this.shape) return;
      this.shape = null;
      this.viewer.write();
    }

    end(event) {
      const { shape, viewer } = this;
      this.shape = null;
      if (!shape) return;
      const far = shape.path.some(([x, y]) =>
        Math.hypot(x - shape.path[0][0], y - shape.path[0][1]) > 4);
      if (!far && shape.kind !== "brush") {
        this.toggle(viewer.pick(shape.path[0]), event);
      } else {
        const began = performance.now();
        this.select(this.inside(shape), modeOf(event));
        viewer.times.selected = performance.now() - began;
      }
      viewer.dirty = true;
    }

    /** Which points can be seen, and how many of each superpoint; found once per picture. */
    seen() {
      const { points, panels, cloud } = this.viewer;
      const { positions, width, height } = points;
      const ids = points.all();
      if (this.look && this.look.ids === ids) return this.look;
      const view = this.viewer.view();
      const mine = pointsSeen({ positions, view, ids, width, height, spacing: cloud.spacing });
      const sizes = new Uint32Array(panels[0].sizes.length);
      mine.forEach((v, i) => { sizes[panels[0].ids[i] & 0x7fffffff] += v; });
      this.look = { ids, points: mine, sizes };
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

    select(inside, mode) {
      this.viewer.selected = combine(this.own, inside, mode);
      this.viewer.uploadOwn();
      this.viewer.bar.update();
      this.say();
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

    label(what) {
      const name = this.names[this.active];
      if (name === undefined) {
        this.viewer.bar.say("Add a class first, or type words and press Find.", true);
        return;
      }
      this.send({ op: "label", label: name, ...what });
    }

    /** Points as the server takes them: bits, in the order of the file it sent. */
    selection() {
      return { points: base64(bitsOf(this.own)) };
    }

    act(name) {
      const { viewer } = this;
      if (!viewer.editing()) return false;
      if (TOOLS.includes(name)) {
        viewer.tool = name;
        viewer.surface.dataset.tool = name;
      } else if (name === "through" || name === "whole") {
        viewer[name] = !viewer[name];
      } else if (name === "grow" || name === "shrink") {
        if (!viewer.selected) return true;
        const [panel] = viewer.panels;
        this.select(step(this.own, panel, this.neighbours, name === "grow"), "replace");
      } else if (name === "apply") {
        if (viewer.selected) this.label(this.selection());
      } else if (name === "erase") {
        if (viewer.selected) this.send({ op: "erase", ...this.selection() });
      } else if (name === "propose") {
        this.send({ op: "propose", label: this.names[this.active] });
      } else if (name === "clear") {
        this.select(new Uint8Array(this.own.length), "replace");
      } else if (name === "undo" || name === "redo") {
        this.send({ op: name });
      } else {
        return false;
      }
      viewer.bar.update();
      return true;
    }

    /** Send an edit after those before it were acknowledged. */
    send(edit) {
      this.queue.push(edit);
      this.next();
    }

    next() {
      if (this.sent || !this.queue.length) return;
      this.counter += 1;
      const edit = this.queue.shift();
      this.sent = { ...edit, number: this.counter, cloud: this.viewer.cloud.key };
      this.viewer.trigger("edit", { ...this.sent });
      this.sent.began = performance.now();
    }

    /** Take the server's answer: what is on disk now. */
    async reply(answer) {
      if (!answer || !this.sent || answer.number !== this.sent.number) return;
      const { sent, viewer } = this;
      try {
        if (answer.error) {
          this.queue = [];
          viewer.bar.say(answer.error, true);
        } else {
          await this.apply(answer, sent);
        }
      } finally {
        this.sent = null;
        this.next();
      }
    }

    async apply(answer, sent) {
      const { viewer } = this;
      if (answer.file) {
        const got = await fetch(answer.file.url);
        if (!got.ok) throw new Error(`the server answered ${got.status} for the corrections`);
        const all = new Uint8Array(await got.arrayBuffer());
        for (let i = 0; i < all.length; i += 1) this.own[i] = all[i] | (this.own[i] & SELECTED);
      }
      if (answer.tokens) this.fillTokens(answer.tokens);
      if (answer.points) {
        const at = new Uint32Array(bytes(answer.points).buffer);
        const values = bytes(answer.values);
        at.forEach((i, k) => { this.own[i] = values[k] | (this.own[i] & SELECTED); });
      }
      if (answer.select) this.selectTokens(answer.select);
      this.revision = answer.revision;
      this.takeState(answer);
      viewer.bar.say(answer.said || "");
      if (sent.began) viewer.measure = { name: "edited", began: sent.began };
      if (sent.op === "label" && sent.points) {
        this.select(new Uint8Array(this.own.length), "replace");
        viewer.bar.say(answer.said || "");
      }
      viewer.uploadOwn();
      if (this.hides()) viewer.moved(false);
    }

    /** Select what the server proposes; nothing is labelled until somebody says so. */
    selectTokens(tokens) {
      const on = new Set(tokens);
      const { ids } = this.viewer.panels[0];
      this.select(Uint8Array.from(ids, (id) => (on.has(id & 0x7fffffff) ? 1 : 0)), "replace");
    }

    fillTokens(pairs) {
      const value = new Map(pairs);
      const { ids } = this.viewer.panels[0];
      for (let i = 0; i < ids.length; i += 1) {
        const to = value.get(ids[i] & 0x7fffffff);
        if (to !== undefined) this.own[i] = to | (this.own[i] & SELECTED);
      }
    }
  }

  /** Bring answers to the viewer that asked: the second gr.HTML of a pair. */
  const mailbox = (name, props, watch) => {
    watch("value", () => {
      const viewer = window.s4.viewers[name];
      if (viewer) viewer.editor.reply(props.value);
    });
  };

  Object.assign(window.s4, { Editor, mailbox });
})();

/* What a person said of points, as the server has it on disk: one edit at a time goes there, and
   a patch comes back. */
(() => {
  const { SELECTED, inflate, unpack } = window.s4;
  const CLASS_OFFSET = 2; // a point's byte: 0 not corrected, 1 unlabelled, from 2 on a class

  class Edits {
    /** @param {any} viewer */
    constructor(viewer) {
      this.viewer = viewer;
      this.names = [];
      this.active = 0;
      this.counter = 0;
      this.reset(0);
    }

    /** Forget a scan's corrections. */
    reset(count) {
      this.own = new Uint8Array(count);
      this.instance = null;
      this.revision = 0;
      this.hidden = [];
      this.queue = [];
      this.sent = null;
      this.at = -1;
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

    /** List the classes anew. */
    list() {
      const { bar } = this.viewer;
      const add = (name) => this.send({ op: "class", name });
      bar.listClasses(this.classes, this.active, (i) => this.choose(i), add);
      bar.update();
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
      const name = label === 1 ? "unlabelled" : this.table[label - CLASS_OFFSET] || "";
      const number = this.instance ? this.instance[point] : 0;
      return number ? `${name} #${number}` : name;
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
      if (answer.file) await this.fetchAll(answer.file);
      if (answer.tokens) this.fillTokens(answer.tokens);
      if (answer.own) {
        const put = (i, value) => { this.own[i] = value | (this.own[i] & SELECTED); };
        unpack(await inflate(answer.own), viewer.walk, 1, put);
      }
      if (answer.instance) {
        if (!this.instance) this.instance = new Uint32Array(this.own.length);
        const put = (i, value) => { this.instance[i] = value; };
        unpack(await inflate(answer.instance), viewer.walk, 4, put);
        viewer.uploadInstances();
      }
      if (answer.select) this.selectTokens(answer.select);
      if (answer.focus !== undefined) this.lookAt(answer.focus);
      this.revision = answer.revision;
      this.takeState(answer);
      if (sent.began) viewer.measure = { name: "edited", began: sent.began };
      if (["label", "instance"].includes(sent.op) && sent.points) this.selectNothing();
      viewer.bar.say(answer.said || "");
      viewer.uploadOwn();
      if (this.hides()) viewer.moved(false);
    }

    /** Take the values of all points: instances if there are any, then classes. */
    async fetchAll(file) {
      const got = await fetch(file.url);
      if (!got.ok) throw new Error(`the server answered ${got.status} for the corrections`);
      const data = await got.arrayBuffer();
      const count = this.own.length;
      const wide = data.byteLength === 5 * count;
      this.instance = wide ? new Uint32Array(data, 0, count) : null;
      const all = new Uint8Array(data, wide ? 4 * count : 0, count);
      for (let i = 0; i < count; i += 1) this.own[i] = all[i] | (this.own[i] & SELECTED);
      this.viewer.uploadInstances();
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

  Object.assign(window.s4, { Edits, mailbox });
})();

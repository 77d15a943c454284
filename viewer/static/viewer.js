/* The component: one canvas with one or more panels of the same cloud under the same camera. */
(() => {
  const { Camera, Drawing, Points, Panel, Colouring, Discs, Toolbar } = window.s4;
  const { WIDE, dataTexture, make, kept, keep, fetched, forget } = window.s4;
  const PIXELS = 8e6; // most device pixels of a canvas

  class Viewer extends Drawing {
    /** @param {HTMLElement} root @param {(name: string, data: object) => void} trigger */
    constructor(root, trigger) {
      super();
      this.root = root;
      this.trigger = trigger;
      this.keys = new Set();
      this.times = {};
      this.cloud = null;
      this.scene = null;
      this.panels = [];
      this.camera = new Camera();
      this.home = null; // the scan that the camera stands in
      this.tool = "move";
      this.through = false;
      this.whole = true;
      this.objects = false;
      this.selected = 0;
      this.can = { undo: false, redo: false };
      this.hovered = { panel: 0, token: -1, point: -1 };
      this.chosen = -1;
      this.size = Number(kept("size", "1")) || 1;
      this.sky = kept("sky", "page");
      this.budget = 200_000;
      this.lastMove = 0;
      this.stale = false;
      this.dirty = false;
      this.loading = false;
      this.surface = make("canvas", "s4-surface");
      this.surface.tabIndex = 0;
      this.surface.setAttribute("role", "img");
      this.overlay = make("canvas", "s4-overlay");
      root.replaceChildren(this.surface, this.overlay);
      this.paint = this.overlay.getContext("2d");
      this.editor = new window.s4.Editor(this);
      this.bar = new Toolbar(this, root);
      this.start();
      window.s4.listen(this);
      window.s4.hotkeys(this);
      new ResizeObserver(() => this.moved(false)).observe(root);
      this.surface.addEventListener("webglcontextlost", (event) => event.preventDefault());
      this.surface.addEventListener("webglcontextrestored", () => this.restore());
      this.tick = this.tick.bind(this);
      requestAnimationFrame(this.tick);
    }

    start() {
      const gl = this.surface.getContext("webgl2", { antialias: false, alpha: false, depth: false });
      if (!gl) throw new Error("no WebGL2");
      this.gl = gl;
      this.points = new Points(gl);
      this.colouring = new Colouring(gl);
      this.discs = new Discs(gl);
      this.panels = [];
      this.own = null;
      this.instances = null;
      this.classes = dataTexture(gl, "rgba8", new Uint8Array(WIDE * 4).fill(255));
      this.fence = null;
    }

    /** The card forgot everything: draw the same scene from the files again. */
    restore() {
      this.start();
      this.cloud = null;
      if (this.scene) this.show(this.scene);
    }

    // -- what is shown ----------------------------------------------------------------------------

    /** Take a scene from Python; the cloud is fetched once, later scenes only bring colours. */
    async show(scene) {
      if (!scene || !scene.cloud) return;
      const began = performance.now();
      this.scene = scene;
      this.root.hidden = false;
      const fresh = !this.cloud || this.cloud.key !== scene.cloud.key;
      const { cloud: points, panels, neighbours } = scene;
      const used = [points, ...panels.map((p) => p.tokens), ...(neighbours ? [neighbours] : [])];
      this.keys = new Set(used.map((file) => file.key));
      this.loading = true;
      try {
        if (fresh && this.cloud === null) this.bar.say("Loading points …");
        const [cloud, around, ...ids] = await Promise.all([
          fetched(scene.cloud.file, scene.cloud.key),
          neighbours ? fetched(neighbours.file, neighbours.key) : null,
          ...scene.panels.map((p) => fetched(p.tokens.file, p.tokens.key)),
        ]);
        if (scene !== this.scene) return; // a newer one came meanwhile
        if (fresh) this.load(scene.cloud, cloud);
        this.walk = new Uint32Array(cloud, 12 * scene.cloud.count, scene.cloud.count);
        this.editor.around = new Uint32Array(around || []);
        this.arrange(scene, ids);
        this.measure = { name: fresh ? "shown" : "recoloured", began };
        window.s4.followLink(this);
      } catch (error) {
        this.bar.say(`The points could not be loaded: ${error.message}`, true);
      } finally {
        if (scene === this.scene) this.loading = false;
      }
    }

    load(spec, buffer) {
      const positions = new Float32Array(buffer, 0, 3 * spec.count);
      this.points.load(positions, new Uint8Array(buffer, 16 * spec.count, 3 * spec.count));
      this.cloud = spec;
      this.stale = true;
      this.editor.reset(spec.count);
      this.uploadOwn();
      this.uploadInstances();
      this.chosen = -1;
      this.bar.say("");
      forget();
    }

    arrange(scene, ids) {
      const before = this.filterKey();
      while (this.panels.length > scene.panels.length) this.panels.pop().free();
      scene.panels.forEach((spec, i) => {
        if (!this.panels[i]) this.panels[i] = new Panel(this.gl);
        const panel = this.panels[i];
        if (panel.key !== spec.tokens.key) {
          panel.members(spec.tokens.key, new Uint32Array(ids[i]));
          if (i === 0) this.chosen = this.editor.at = -1;
        }
        panel.paint(spec);
        panel.discs = spec.discs ? new Float32Array(window.s4.bytes(spec.discs).buffer) : null;
      });
      const up = scene.cloud.up;
      this.cut = scene.cut === null ? [0, 0, 0, 1] : [...up, scene.cut];
      this.hovered.token = -1;
      this.editor.take(scene);
      if (before !== this.filterKey()) this.stale = true;
      this.dirty = true;
      this.surface.setAttribute("aria-label", scene.describes);
      this.themed();
      this.layout();
      if (this.home !== scene.cloud.home) this.greet(scene);
    }

    /** Show a scan that was not here before as a whole, or as a link says. */
    greet({ cloud, camera }) {
      this.home = cloud.home;
      this.camera.frame(cloud.up, cloud.radius);
      if (camera) this.camera.state = camera;
    }

    /** What decides which points are drawn at all; other changes only need new colours. */
    filterKey() {
      const hides = this.panels.map((p) => p.hidden());
      const shape = this.panels.length;
      return `${this.cloud && this.cloud.key}|${this.cut}|${shape}|${hides}|${this.editor.filterKey()}`;
    }

    uploadOwn() {
      this.own = dataTexture(this.gl, "r8ui", this.editor.own, this.own);
      this.dirty = true;
    }

    /** Bring the instance of each point to the card; a single texel when there are none. */
    uploadInstances() {
      const values = this.editor.instance || new Uint32Array(1);
      this.instances = dataTexture(this.gl, "r32ui", values, this.instances);
      this.dirty = true;
    }

    /** @param {string[]} list colours by a point's value @param {number[]} hidden such values */
    paintClasses(list, hidden) {
      const rgba = new Uint8Array(WIDE * 4);
      list.forEach((hex, i) => {
        [1, 3, 5].forEach((at, c) => { rgba[4 * i + c] = parseInt(hex.slice(at, at + 2), 16); });
        rgba[4 * i + 3] = hidden.includes(i) ? 0 : 255;
      });
      this.classes = dataTexture(this.gl, "rgba8", rgba, this.classes);
      this.dirty = true;
    }

    // -- where it stands --------------------------------------------------------------------------

    visible() {
      return this.cloud !== null && this.root.offsetParent !== null;
    }

    focused() {
      return document.activeElement === this.surface;
    }

    editing() {
      return Boolean(this.scene && this.scene.edit);
    }

    dark() {
      if (this.sky === "page") return document.body.classList.contains("dark");
      return this.sky === "dark";
    }

    /** The page or the switch turned dark or light. */
    themed() {
      this.root.dataset.sky = this.dark() ? "dark" : "light";
      this.dirty = true;
    }

    /** Panels in CSS pixels from the upper left corner, all of one size. */
    boxes() {
      const count = Math.max(this.panels.length, 1);
      const width = Math.floor(this.root.clientWidth / count);
      const height = this.root.clientHeight;
      return Array.from({ length: count }, (_, i) => {
        const spec = this.panels[i] ? this.panels[i].spec : {};
        return { x: i * width, y: 0, width, height, title: spec.title, bar: spec.bar };
      });
    }

    boxAt(x, y) {
      const boxes = this.boxes();
      return boxes.find((b) => x < b.x + b.width) || boxes[boxes.length - 1];
    }

    layout() {
      const { clientWidth: width, clientHeight: height } = this.root;
      if (!width || !height) return;
      const most = Math.sqrt(PIXELS / (width * height));
      this.scale = Math.min(window.devicePixelRatio || 1, most);
      const [wide, high] = [Math.round(width * this.scale), Math.round(height * this.scale)];
      if (this.surface.width !== wide || this.surface.height !== high) {
        Object.assign(this.surface, { width: wide, height: high });
        this.stale = this.dirty = true;
      }
      const [box] = this.boxes();
      this.camera.aspect = box.width / box.height;
      this.points.resize(Math.round(box.width * this.scale), high);
    }

    view() {
      const [box] = this.boxes();
      return this.camera.matrix(box.width / box.height);
    }

    /** The camera changed (or, with false, the canvas): draw anew. */
    moved(camera = true) {
      this.stale = true;
      if (!camera) return;
      this.lastMove = performance.now();
      window.s4.followLink(this);
    }

    /** Whether anything is still being loaded or drawn. */
    get busy() {
      return this.loading || this.stale || this.dirty || this.fence !== null ||
        this.editor.waiting() || this.points.drawn < this.points.count;
    }

    // -- what keys, buttons and pointers ask for --------------------------------------------------

    startShape(place, event) { this.editor.start(place, event); }

    extendShape(place) { this.editor.extend(place); }

    endShape(event) { this.editor.end(event); }

    dropShape() { this.editor.drop(); }

    chooseClass(i) { this.editor.choose(i); }

    /** Do what a key or button stands for; false when it does not apply. */
    act(name) {
      const view = {
        fit: () => this.camera.reset(),
        top: () => this.camera.face("top"),
        front: () => this.camera.face("front"),
        larger: () => this.resizePoints(1.25),
        smaller: () => this.resizePoints(0.8),
      };
      if (view[name]) {
        view[name]();
        this.moved();
      } else if (name === "background") {
        this.sky = this.dark() ? "light" : "dark";
        keep("sky", this.sky);
        this.themed();
      } else if (name === "help") {
        if (this.bar.sheet.open) this.bar.sheet.close();
        else this.bar.sheet.showModal();
      } else if (name === "picture") {
        window.s4.picture(this);
      } else if (name === "link") {
        window.s4.copyLink(this);
      } else if (name === "clear" && this.bar.sheet.open) {
        this.bar.sheet.close();
      } else {
        return this.editor.act(name);
      }
      return true;
    }

    resizePoints(factor) {
      this.size = Math.min(Math.max(this.size * factor, 0.2), 8);
      keep("size", String(this.size));
    }
  }

  /** Start a viewer in a gr.HTML element. */
  const viewer = (element, trigger, props, watch, sends) => {
    const root = element.querySelector(".s4-view");
    if (!window.s4.supported) {
      root.classList.add("s4-without");
      root.textContent = "This browser has no WebGL2: the picture below is a sample of the points, " +
        "drawn by Plotly. Correcting labels needs WebGL2.";
      return;
    }
    const name = root.dataset.name;
    const made = new Viewer(root, (event, data) => {
      if (sends.includes(event)) trigger(event, data);
    });
    window.s4.viewers[name] = made;
    made.show(props.value);
    watch("value", () => made.show(props.value));
  };

  window.s4.viewers = {};
  Object.assign(window.s4, { viewer });
})();

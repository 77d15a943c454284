/* When points and colours are drawn: a part of them while the camera moves, all of them at rest. */
(() => {
  const { Pointing } = window.s4;
  const REST = 140; // ms without motion until everything is drawn
  const BUDGET = 28; // ms that a frame may take while moving
  const FOOT = 96; // CSS pixels at the bottom that hold axes and scale bar
  const MODES = { colours: 0, palette: 1, tokens: 2 };
  const SKY = { dark: [0.075, 0.09, 0.12], light: [0.965, 0.972, 0.98] };

  /** The part of a viewer that puts its picture on the screen, as fast as the card allows. */
  class Drawing extends Pointing {
    tick(now) {
      requestAnimationFrame(this.tick);
      if (!this.root.isConnected) return;
      if (this.fence) {
        const { gl, fence } = this;
        if (gl.getSyncParameter(fence.sync, gl.SYNC_STATUS) !== gl.SIGNALED) return;
        gl.deleteSync(fence.sync);
        this.learn(fence.points, now - fence.began);
        this.fence = null;
        if (fence.whole && this.measure && !this.loading) this.note(now);
      }
      if (!this.visible() || !this.panels.length || this.gl.isContextLost()) return;
      this.layout();
      const moving = now - this.lastMove < REST;
      if (this.stale) {
        this.points.drawn = 0;
        this.stale = false;
        this.sparse = moving;
      } else if (this.sparse && !moving) {
        this.points.drawn = 0;
        this.sparse = false;
      }
      const { count, drawn } = this.points;
      const goal = this.sparse ? Math.min(count, this.budget) : count;
      if (drawn < goal) {
        const step = this.sparse ? goal : Math.min(goal, drawn + Math.max(4 * this.budget, 250_000));
        this.drawPoints(step);
        if (step < goal) this.guard(step - drawn, false, now);
      }
      if (this.points.drawn >= goal && (drawn < goal || this.dirty)) {
        this.present();
        this.guard(this.points.drawn - drawn, this.points.drawn === count, now);
      }
    }

    drawPoints(until) {
      const { cloud, points } = this;
      const [first] = this.panels;
      const filtered = first.hides || this.editor.hides();
      const grown = this.sparse ? Math.min(Math.sqrt(points.count / until), 2.5) : 1;
      points.draw(until, {
        view: this.view(),
        cut: this.cut,
        spacing: cloud.spacing * 1.5 * this.size * grown,
        scale: this.scale,
        near: this.camera.range().near,
        filter: filtered
          ? { ...first.textures(), own: this.own, classes: this.classes }
          : null,
      });
      if (this.sparse) points.drawn = until;
    }

    /** Learn how many points a frame can afford. */
    learn(points, took) {
      if (points < this.budget / 2) return;
      const fit = took < 20 ? this.budget * 1.6 : (points * BUDGET) / took;
      this.budget = Math.min(Math.max(fit, 20_000, this.budget * 0.3), 2e7);
    }

    guard(points, whole, now) {
      const { gl } = this;
      const sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
      gl.flush();
      this.fence = { sync, points, whole, began: now };
    }

    note(now) {
      this.times[this.measure.name] = now - this.measure.began;
      this.measure = null;
    }

    /** Put the picture on the screen: colours, discs, and what is written over it. */
    present() {
      const { gl, scale } = this;
      if (!this.points.lit) {
        const { near, far } = this.camera.range();
        this.colouring.light(this.points, [near, far], scale);
        this.points.lit = true;
      }
      const dark = this.dark();
      const boxes = this.boxes();
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      gl.clearColor(...SKY[dark ? "dark" : "light"], 1); // panels of one width leave a rest
      gl.clear(gl.COLOR_BUFFER_BIT);
      this.panels.forEach((panel, i) => {
        this.colouring.draw(this.points, panel, {
          x: Math.round(boxes[i].x * scale),
          y: 0,
          width: this.points.width,
          height: this.points.height,
          background: SKY[dark ? "dark" : "light"],
          mode: MODES[panel.spec.mode] || 0,
          hovered: this.hovered.panel === i ? this.hovered.token : -1,
          chosen: i === 0 ? this.chosen : -1,
          edits: this.editing() ? 2 : this.scene.own ? 1 : 0,
          shading: panel.discs ? 0.5 : 1.3,
          scale,
          objects: this.objects && this.editing(),
          own: this.own,
          instances: this.instances,
          classes: this.classes,
        });
        if (panel.discs) {
          const { height } = this.points;
          this.discs.draw(panel, { view: this.view(), cut: this.cut, height, scale });
        }
      });
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      this.dirty = false;
      this.write();
    }

    /** Write axes, scale and shapes over the picture, on no larger a canvas than they need. */
    write() {
      const { overlay, surface, scale } = this;
      const { shape } = this.editor;
      const [boxes, cross] = [this.boxes(), this.crosses()];
      const all = shape || cross || boxes.some((box) => box.title || box.bar);
      const height = all ? surface.height : Math.min(surface.height, Math.ceil(FOOT * scale));
      if (overlay.width !== surface.width || overlay.height !== height) {
        Object.assign(overlay, { width: surface.width, height });
        overlay.style.height = `${(100 * height) / surface.height}%`;
      }
      window.s4.drawOverlay(this.paint, {
        camera: this.camera,
        boxes,
        dark: this.dark(),
        shape,
        cross,
        above: surface.height - height,
        units: this.scene.units,
        scale,
      });
    }
  }

  Object.assign(window.s4, { Drawing });
})();

/* Mouse, pen and touch: what a drag means depends on the tool that is chosen. */
(() => {
  /** @param {any} viewer */
  const listen = (viewer) => {
    const { surface } = viewer;
    /** @type {Map<number, {x: number, y: number}>} */
    const down = new Map();
    let drag = null;
    let travelled = 0;

    const place = (event) => {
      const rect = surface.getBoundingClientRect();
      return [event.clientX - rect.left, event.clientY - rect.top];
    };
    const dragOf = (event) => {
      const tool = viewer.tool;
      if (tool === "move" || tool === "label" || event.pointerType === "touch") {
        const pans = event.button !== 0 || event.shiftKey;
        return pans && (tool === "move" || event.button !== 0) ? "pan" : "orbit";
      }
      if (event.button === 2) return "orbit";
      return event.button === 1 ? "pan" : "shape";
    };

    surface.addEventListener("pointerdown", (event) => {
      surface.focus({ preventScroll: true });
      surface.setPointerCapture(event.pointerId);
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (down.size > 1) viewer.dropShape();
      drag = down.size > 1 ? "pinch" : dragOf(event);
      travelled = 0;
      viewer.hover(null);
      if (drag === "shape") viewer.startShape(place(event), event);
      event.preventDefault();
    });

    const pinch = (event, was) => {
      const [a, b] = [...down.entries()].map(([id, p]) =>
        id === event.pointerId ? { x: event.clientX, y: event.clientY } : p);
      const other = [...down.entries()].find(([id]) => id !== event.pointerId)[1];
      const before = Math.hypot(was.x - other.x, was.y - other.y);
      const after = Math.hypot(a.x - b.x, a.y - b.y);
      const high = viewer.boxes()[0].height;
      viewer.camera.zoom(before / Math.max(after, 1));
      viewer.camera.pan((event.clientX - was.x) / 2 / high, (event.clientY - was.y) / 2 / high);
      viewer.moved();
    };

    surface.addEventListener("pointermove", (event) => {
      const was = down.get(event.pointerId);
      if (!was) {
        viewer.hover(event.buttons ? null : place(event));
        viewer.editor.trail(place(event));
        return;
      }
      const [dx, dy] = [event.clientX - was.x, event.clientY - was.y];
      travelled += Math.abs(dx) + Math.abs(dy);
      const high = viewer.boxes()[0].height;
      if (drag === "pinch" && down.size > 1) pinch(event, was);
      else if (drag === "shape") viewer.extendShape(place(event));
      else if (travelled > 3 && (drag === "orbit" || drag === "pan")) {
        if (drag === "orbit") viewer.camera.orbit(-dx * 0.006, dy * 0.006);
        else viewer.camera.pan(dx / high, dy / high);
        viewer.moved();
      }
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });

    const up = (event) => {
      if (!down.delete(event.pointerId)) return;
      if (drag === "shape") viewer.endShape(event);
      else if (travelled <= 3 && drag !== "pinch" && event.button === 0) {
        viewer.click(place(event), event);
      }
      if (down.size === 0) drag = null;
    };
    surface.addEventListener("pointerup", up);
    surface.addEventListener("pointercancel", (event) => {
      down.delete(event.pointerId);
      viewer.dropShape();
      drag = null;
    });
    surface.addEventListener("pointerleave", () => viewer.hover(null));
    surface.addEventListener("contextmenu", (event) => event.preventDefault());
    surface.addEventListener("dblclick", (event) => {
      if (!viewer.editor.close()) viewer.focusOn(place(event));
    });
    surface.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [x, y] = place(event);
      const box = viewer.boxAt(x, y);
      const lines = event.deltaMode === 1 ? 24 : 1;
      const factor = Math.exp(Math.min(Math.max(event.deltaY * lines, -240), 240) * 0.0012);
      const across = (2 * (x - box.x)) / box.width - 1;
      viewer.camera.zoom(factor, across, 1 - (2 * (y - box.y)) / box.height,
        box.width / box.height);
      viewer.moved();
    }, { passive: false });
  };

  Object.assign(window.s4, { listen });
})();

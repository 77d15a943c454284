/* A picture of what is on the screen, with the legend beside it, as a PNG to keep. */
(() => {
  const ROW = 22;

  /** Draw a list of classes. @param {CanvasRenderingContext2D} paint */
  const drawLegend = (paint, rows, x, ink) => {
    paint.font = "13px system-ui, sans-serif";
    paint.textBaseline = "middle";
    paint.textAlign = "left";
    rows.forEach(({ name, color }, i) => {
      const y = 24 + i * ROW;
      paint.fillStyle = color;
      paint.fillRect(x, y - 7, 14, 14);
      paint.fillStyle = ink;
      paint.fillText(name.length > 28 ? `${name.slice(0, 27)}…` : name, x + 22, y);
    });
  };

  /** Write a panel's numbers below it. @param {CanvasRenderingContext2D} paint */
  const drawFacts = (paint, facts, box, dark) => {
    paint.font = "13px system-ui, sans-serif";
    paint.textBaseline = "middle";
    facts.forEach(([name, value], i) => {
      const y = box.height + 20 + i * ROW;
      paint.textAlign = "left";
      paint.fillStyle = dark ? "#9CA3AF" : "#4B5563";
      paint.fillText(name, box.x + 14, y, box.width * 0.5);
      paint.textAlign = "right";
      paint.fillStyle = dark ? "#E5E7EB" : "#1F2937";
      paint.fillText(value, box.x + box.width - 14, y, box.width * 0.45);
    });
  };

  /** Compose the picture. @param {any} viewer @returns {HTMLCanvasElement} */
  const compose = (viewer) => {
    viewer.present(); // a WebGL canvas is empty outside the frame in which it was drawn
    const { scale, surface, overlay } = viewer;
    const legend = viewer.scene.legend || [];
    const side = legend.length ? 230 : 0;
    const canvas = document.createElement("canvas");
    canvas.width = surface.width + side * scale;
    const rows = Math.max(0, ...viewer.panels.map((p) => (p.spec.facts || []).length));
    const below = rows ? rows * ROW + 20 : 0;
    const high = surface.height + below * scale;
    canvas.height = Math.max(high, (legend.length * ROW + 24) * scale);
    const paint = canvas.getContext("2d");
    const dark = viewer.dark();
    paint.fillStyle = dark ? "#13171F" : "#F6F8FA";
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.drawImage(surface, 0, 0);
    paint.drawImage(overlay, 0, surface.height - overlay.height);
    paint.scale(scale, scale);
    viewer.boxes().forEach((box, i) => {
      drawFacts(paint, viewer.panels[i].spec.facts || [], box, dark);
    });
    drawLegend(paint, legend, surface.width / scale + 14, dark ? "#E5E7EB" : "#1F2937");
    return canvas;
  };

  /** Save the picture as a file. @param {any} viewer */
  const picture = (viewer) => {
    if (!viewer.visible() || !viewer.panels.length) return;
    compose(viewer).toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      const name = (viewer.cloud.name || "scan").replace(/[^\p{L}\p{N}._-]+/gu, "_");
      link.download = `${name}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }, "image/png");
  };

  Object.assign(window.s4, { picture, compose });
})();

/* What is written over the picture: axes, scale bar, titles, colour bar, cross-hair, the shape
   that is being drawn. A plain 2D canvas above the WebGL one. */
(() => {
  const { FIELD } = window.s4;
  const AXES = [["x", "#D55E00"], ["y", "#009E73"], ["z", "#0072B2"]];
  const AXES_DARK = [["x", "#FF8A4C"], ["y", "#3CCB9E"], ["z", "#6DB6F2"]];
  const FONT = "12px system-ui, sans-serif";

  /** A round number at most this large: 1, 2 or 5 times a power of ten. */
  const round = (most) => {
    const power = 10 ** Math.floor(Math.log10(most));
    return [5, 2, 1].find((n) => n * power <= most) * power;
  };

  /** Write a length without noise. @param {number} value */
  const text = (value) =>
    value >= 1e6 || value < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(3)));

  const drawAxes = (paint, camera, x, y, dark) => {
    const { side, top, back } = camera.axes();
    const arms = (dark ? AXES_DARK : AXES)
      .map(([name, color], i) => ({ name, color, dx: side[i], dy: -top[i], dz: back[i] }))
      .sort((a, b) => a.dz - b.dz);
    paint.lineWidth = 2;
    for (const { name, color, dx, dy } of arms) {
      paint.strokeStyle = paint.fillStyle = color;
      paint.beginPath();
      paint.moveTo(x, y);
      paint.lineTo(x + 22 * dx, y + 22 * dy);
      paint.stroke();
      paint.textAlign = "center";
      paint.textBaseline = "middle";
      paint.fillText(name, x + 31 * dx, y + 31 * dy);
    }
  };

  const drawScale = (paint, camera, box, ink, units) => {
    const perPixel = (2 * units * camera.distance * Math.tan(FIELD / 2)) / box.height;
    const length = round(perPixel * Math.min(140, box.width / 4));
    const wide = length / perPixel;
    const [x, y] = [box.x + box.width - 16 - wide, box.y + box.height - 16];
    paint.strokeStyle = paint.fillStyle = ink;
    paint.lineWidth = 1.5;
    paint.beginPath();
    paint.moveTo(x, y - 5);
    paint.lineTo(x, y);
    paint.lineTo(x + wide, y);
    paint.lineTo(x + wide, y - 5);
    paint.stroke();
    paint.textAlign = "center";
    paint.textBaseline = "bottom";
    paint.fillText(`${text(length)} ${length === 1 ? "unit" : "units"}`, x + wide / 2, y - 4);
  };

  const drawBar = (paint, bar, box, ink, dark) => {
    const [high, wide] = [Math.min(180, box.height * 0.4), 12];
    const [x, y] = [box.x + box.width - 16 - wide, box.y + 78];
    paint.fillStyle = dark ? "rgb(19 23 31 / 0.75)" : "rgb(246 248 250 / 0.75)";
    paint.fillRect(x - 48, y - 26, wide + 56, high + 34); // numbers must be read over points
    const fill = paint.createLinearGradient(0, y + high, 0, y);
    bar.colors.forEach((color, i) => fill.addColorStop(i / (bar.colors.length - 1), color));
    paint.fillStyle = fill;
    paint.fillRect(x, y, wide, high);
    paint.fillStyle = ink;
    paint.textAlign = "right";
    paint.textBaseline = "middle";
    paint.fillText(bar.high, x - 6, y + 5);
    paint.fillText(bar.low, x - 6, y + high - 5);
    paint.textBaseline = "bottom";
    paint.fillText(bar.title, x + wide, y - 8);
  };

  const drawShape = (paint, shape) => {
    const { path, kind, radius } = shape;
    paint.strokeStyle = "#2979FF";
    paint.fillStyle = "rgba(41, 121, 255, 0.14)";
    paint.lineWidth = 1.5;
    paint.setLineDash(kind === "brush" ? [] : [5, 4]);
    paint.beginPath();
    const [first, last] = [path[0], path[path.length - 1]];
    if (kind === "box") {
      paint.rect(first[0], first[1], last[0] - first[0], last[1] - first[1]);
    } else {
      path.forEach(([x, y]) => paint.lineTo(x, y));
    }
    if (kind === "brush") {
      paint.lineWidth = 2 * radius;
      paint.lineCap = paint.lineJoin = "round";
      paint.strokeStyle = "rgba(41, 121, 255, 0.3)";
    } else {
      paint.closePath();
      paint.fill();
    }
    paint.stroke();
    paint.setLineDash([]);
  };

  const drawCross = (paint, [x, y], ink) => {
    paint.strokeStyle = ink;
    paint.lineWidth = 1.5;
    paint.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      paint.moveTo(x + 4 * dx, y + 4 * dy);
      paint.lineTo(x + 11 * dx, y + 11 * dy);
    }
    paint.arc(x, y, 2, 0, 2 * Math.PI);
    paint.stroke();
  };

  /**
   * Draw everything anew. Boxes are panels in CSS pixels from the upper left corner.
   * @param {CanvasRenderingContext2D} paint
   * @param {{camera: any, boxes: any[], dark: boolean, shape: any, cross: any[], scale: number,
   *   units: number, above: number}} s above: device pixels of the picture above the canvas
   */
  const drawOverlay = (paint, s) => {
    const ink = s.dark ? "#E5E7EB" : "#1F2937";
    const { width, height } = paint.canvas;
    paint.setTransform(1, 0, 0, 1, 0, 0);
    paint.clearRect(0, 0, width, height);
    paint.setTransform(s.scale, 0, 0, s.scale, 0, -s.above);
    paint.font = FONT;
    s.boxes.forEach((box, i) => {
      if (i > 0) {
        paint.fillStyle = s.dark ? "#374151" : "#D1D5DB";
        paint.fillRect(box.x - 1, box.y, 1, box.height);
      }
      drawAxes(paint, s.camera, box.x + 44, box.y + box.height - 44, s.dark);
      drawScale(paint, s.camera, box, ink, s.units);
      if (box.title) {
        paint.font = `600 ${FONT}`;
        paint.textAlign = "left";
        paint.textBaseline = "top";
        paint.fillStyle = ink;
        paint.fillText(box.title, box.x + 14, box.y + 12);
        paint.font = FONT;
      }
      if (box.bar) drawBar(paint, box.bar, box, ink, s.dark);
      if (s.cross && s.cross[i]) drawCross(paint, s.cross[i], ink);
    });
    if (s.shape && s.shape.path.length) drawShape(paint, s.shape);
  };

  Object.assign(window.s4, { drawOverlay });
})();

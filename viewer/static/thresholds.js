/* Thresholds dragged on histograms: picture and legend follow at once, decided here as the server
   decides when the line is let go. */
(() => {
  const { bytes, dataTexture } = window.s4;
  const PAUSE = 350; // ms after the last key until the server is told
  const STEPS = 100; // whole numbers per percent, as in thresholds.py

  /** Probabilities of a scene's panel, decoded once. @param {any} spec */
  const tableOf = (spec) => {
    if (!spec.fit.table) {
      const raw = bytes(spec.fit.data);
      spec.fit.table = new Uint16Array(raw.buffer, 0, raw.length >> 1);
    }
    return spec.fit.table;
  };

  /**
   * Label of every superpoint: the best word that reaches its threshold and every negative.
   * @param {Uint16Array} table a row per superpoint: each word's number, then the best negative's
   * @param {number[]} least a threshold per word
   */
  const decide = (table, least) => {
    const words = least.length;
    const labels = new Uint16Array(table.length / (words + 1));
    for (let m = 0; m < labels.length; m += 1) {
      const row = m * (words + 1);
      let best = -1;
      for (let i = 0; i < words; i += 1) {
        const value = table[row + i];
        if (value >= least[i] && (best < 0 || value > table[row + best])) best = i;
      }
      labels[m] = best >= 0 && table[row + best] >= table[row + words] ? best + 1 : 0;
    }
    return labels;
  };

  /** Colour a panel by other thresholds. @param {any} viewer @param {any} panel @param {number[]} least */
  const relabel = (viewer, panel, least) => {
    const { fit } = panel.spec;
    const labels = decide(tableOf(panel.spec), least);
    const colors = fit.colors.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    labels.forEach((label, m) => {
      panel.rgba.set(colors[label], 4 * m);
      panel.rgba[4 * m + 3] = fit.hidden.includes(label) ? 0 : 255;
    });
    panel.palette = dataTexture(viewer.gl, "rgba8", panel.rgba, panel.palette);
    panel.labels = labels;
    if (fit.hidden.length) {
      panel.hides = true;
      viewer.moved(false);
    }
    viewer.dirty = true;
    return labels;
  };

  /** Write new counts into the legend, unless corrections take part in them. */
  const recount = (element, viewer, panel, labels, words) => {
    if (viewer.editor.own.some((value) => value & 127)) return;
    const counts = new Array(words + 1).fill(0);
    panel.sizes.forEach((size, m) => { counts[labels[m]] += size; });
    const total = viewer.cloud.count;
    counts.forEach((count, label) => {
      const button = element.querySelector(`button[data-action=hide][data-label="${label}"]`);
      if (!button) return;
      const [points, share] = button.closest("tr").querySelectorAll("td.s4-number");
      points.textContent = count.toLocaleString("en-US");
      const bar = share.querySelector(".s4-share");
      bar.textContent = `${((100 * count) / total).toFixed(1)}%`;
      bar.style.setProperty("--share", String(count / total));
    });
  };

  /** Let the lines in the legend be dragged. @param {HTMLElement} element @param {Function} trigger */
  const thresholds = (element, trigger) => {
    let held = 0; // the word whose line is being dragged
    let timer = 0;
    let again = 0; // the word whose line had the focus when the server drew the legend anew
    const line = (label) => element.querySelector(`.s4-hist[data-label="${label}"]`);
    const valueOf = (label) => Number(line(label).getAttribute("aria-valuenow"));

    const show = (label, percent) => {
      const bar = line(label);
      if (!bar) return;
      const value = Math.min(Math.max(Math.round(percent), 0), 100);
      bar.setAttribute("aria-valuenow", String(value));
      bar.style.setProperty("--at", `${value}%`);
      bar.nextElementSibling.textContent = (value / 100).toFixed(2);
      const viewer = window.s4.viewers["s4-canvas"];
      const panel = viewer && viewer.panels[0];
      if (!panel || !panel.spec.fit) return;
      const { least } = panel.spec.fit;
      least[label - 1] = value * STEPS;
      recount(element, viewer, panel, relabel(viewer, panel, least), least.length);
    };
    const tell = (label) => trigger("click", { action: "threshold", label, value: valueOf(label) });
    const follow = (event) => {
      const box = line(held) && line(held).getBoundingClientRect();
      if (box) show(held, (100 * (event.clientX - box.left)) / box.width);
    };

    element.addEventListener("pointerdown", (event) => {
      const bar = event.target.closest(".s4-hist");
      if (!bar || event.button !== 0) return;
      event.preventDefault();
      bar.focus({ focusVisible: false });
      held = Number(bar.dataset.label);
      follow(event);
    });
    document.addEventListener("pointermove", (event) => { if (held) follow(event); });
    document.addEventListener("pointerup", () => {
      if (held && line(held)) tell(held);
      held = 0;
    });
    element.addEventListener("keydown", (event) => {
      const bar = event.target.closest(".s4-hist");
      if (!bar) return;
      const label = Number(bar.dataset.label);
      const now = valueOf(label);
      const next = {
        ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1,
        PageUp: now + 10, PageDown: now - 10, Home: 0, End: 100,
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      show(label, next);
      clearTimeout(timer);
      timer = setTimeout(() => { again = label; tell(label); }, PAUSE);
    });
    new MutationObserver(() => {
      if (again && line(again) && document.activeElement === document.body) line(again).focus();
    }).observe(element, { childList: true, subtree: true });
    element.addEventListener("focusin", (event) => {
      if (!event.target.closest(`.s4-hist[data-label="${again}"]`)) again = 0;
    });
  };

  Object.assign(window.s4, { thresholds, decide });
})();

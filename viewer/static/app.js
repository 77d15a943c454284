/* Small helpers of the page: the camera that events carry, the legend's clicks.
   Plain script, no dependency; Plotly is the one that Gradio bundles. */
(() => {
  const plotOf = (id) => document.querySelector(`#${CSS.escape(id)} .js-plotly-plot`);
  const sceneOf = (gd) => gd && gd._fullLayout && gd._fullLayout.scene && gd._fullLayout.scene._scene;
  const dark = () => document.body.classList.contains("dark");
  const last = {}; // the camera of each panel, for moments in which it is being rebuilt

  const cameraOf = (id) => {
    const scene = sceneOf(plotOf(id));
    try {
      if (scene) last[id] = scene.getCamera();
    } catch (error) {
      /* not drawn yet */
    }
    return last[id] || null;
  };

  /* Put camera and theme into the last input of an event. */
  const look = (id, inputs) => {
    const values = [...inputs];
    const plotly = !window.s4.supported;
    const palette = window.s4.kept("palette", "");
    values[values.length - 1] = JSON.stringify({ camera: cameraOf(id), dark: dark(), plotly, palette });
    return values;
  };

  /** Keep the palette that was chosen and ask for a picture with it. */
  const recoloured = ([palette, ...inputs]) => {
    window.s4.keep("palette", palette);
    return [palette, ...look("s4-plot", inputs)];
  };

  /**
   * Values of all controls after an answer, behind a text that asks for another picture when it
   * changes: the one that came is not of what is chosen now.
   * @param {any[]} inputs what the answer makes of controls, [was, is] by name; the text; values
   * @param {string[]} names of the controls @param {string[]} drawn those that a picture is of
   */
  const answered = ([text, before, ...held], names, drawn) => {
    const { at, controls } = JSON.parse(text);
    let again = false;
    const values = held.map((value, i) => {
      const [was, is] = controls[names[i]] || [value, value];
      if ((value ?? null) === was || value === is) return is;
      again = again || drawn.includes(names[i]); // chosen since: it stays
      return value;
    });
    return [again ? String(at) : before, ...values];
  };

  const legend = (element, trigger) => {
    window.s4.thresholds(element, trigger);
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-action]");
      if (!button) return;
      const { action, label, value } = button.dataset;
      trigger("click", action === "best"
        ? { action, value: value === "1" } : { action, label: Number(label) });
    });
    element.addEventListener("change", (event) => {
      const { type, value, dataset } = event.target;
      if (type !== "color") return;
      trigger("click", { action: "color", label: Number(dataset.label), color: value });
    });
  };

  /* Gradio drops a plot without telling Plotly: free its WebGL context, browsers allow few. */
  const release = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    const plots = node.matches(".js-plotly-plot") ? [node] : node.querySelectorAll(".js-plotly-plot");
    for (const gd of plots) {
      // A node that was only moved is back in the page by now.
      setTimeout(() => {
        if (!gd.isConnected && window.Plotly) window.Plotly.purge(gd);
      }, 0);
    }
  };

  /* A slider's number field counts only once it is left: count a pause or Enter as well. */
  const PAUSE = 500; // ms
  let typed = 0;
  const settle = (field) => field.dispatchEvent(new Event("blur"));
  const numbers = (event) => {
    const field = event.target;
    if (!(field instanceof HTMLInputElement) || field.type !== "number") return;
    if (!field.closest("#s4-cut")) return;
    clearTimeout(typed);
    if (event.type === "input") typed = setTimeout(() => { if (field.value) settle(field); }, PAUSE);
    else if (event.key === "Enter") settle(field);
  };

  const announce = () => {
    for (const id of ["s4-status", "s4-compare-status", "s4-train-status"]) {
      const line = document.getElementById(id);
      if (!line || line.getAttribute("aria-live")) continue;
      line.setAttribute("role", "status");
      line.setAttribute("aria-live", "polite");
    }
  };

  const recolour = () => {
    const ink = dark() ? "#E5E7EB" : "#1F2937";
    for (const gd of document.querySelectorAll(".js-plotly-plot")) {
      if (window.Plotly && gd._fullLayout) window.Plotly.relayout(gd, { "font.color": ink });
    }
    for (const viewer of Object.values(window.s4.viewers)) viewer.themed();
  };

  /* A scan that is dropped on the first page is opened, as by the button. */
  const dropped = (event) => {
    const button = document.getElementById("s4-upload");
    const ours = event.dataTransfer && event.dataTransfer.types.includes("Files") &&
      button && button.offsetParent !== null;
    document.body.classList.toggle("s4-dropping", Boolean(ours && event.type === "dragover"));
    if (!ours) return;
    event.preventDefault();
    if (event.type !== "drop") return;
    const field = button.parentElement.querySelector("input[type=file]");
    const one = new DataTransfer();
    one.items.add(event.dataTransfer.files[0]);
    field.files = one.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };

  const start = () => {
    for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, dropped);
    for (const name of ["input", "keydown"]) document.addEventListener(name, numbers);
    new MutationObserver((changes) => {
      for (const change of changes) change.removedNodes.forEach(release);
      announce();
    }).observe(document.body, { childList: true, subtree: true });
    new MutationObserver(recolour).observe(document.body, {
      attributes: true,
      attributeFilter: ["class"],
    });
    announce();
  };

  Object.assign(window.s4, { look, legend, recoloured, answered, cameraOf });
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();

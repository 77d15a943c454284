/* The keyboard: one table that keys, buttons and the help sheet share. */
(() => {
  /**
   * Name of the act, key as shown, what it does, and whether it needs corrections switched on.
   * @type {[string, string, string, boolean][]}
   */
  const KEYS = [
    ["fit", "F", "Show the whole scan", false],
    ["top", "T", "Look from above", false],
    ["front", "Y", "Look from the front", false],
    ["larger", "+", "Larger points", false],
    ["smaller", "-", "Smaller points", false],
    ["background", "N", "Dark or light background", false],
    ["picture", "P", "Save a picture (PNG) with its legend", false],
    ["link", "Z", "Copy a link to this: scan, words, view, camera", false],
    ["help", "?", "Show or hide this sheet", false],
    ["move", "V", "Tool: move around, click a superpoint to ask why", true],
    ["label", "C", "Tool: click labels a superpoint", true],
    ["lasso", "L", "Tool: lasso", true],
    ["box", "X", "Tool: box", true],
    ["brush", "R", "Tool: brush", true],
    ["polygon", "G", "Tool: polygon, a click per corner; Enter or double click closes", true],
    ["through", "H", "Select through, or only what is visible", true],
    ["whole", "K", "Select whole superpoints, or single points", true],
    ["grow", "]", "Grow the selection by neighbouring superpoints", true],
    ["shrink", "[", "Shrink the selection by its rim", true],
    ["propose", "J", "Propose: select what looks like the chosen class's superpoints", true],
    ["next", "U", "Next: go to the largest superpoint the model is unsure of", true],
    ["split", "B", "Split the selected superpoints into parts", true],
    ["apply", "Enter", "Give the selection the chosen class", true],
    ["instance", "I", "Make the selection a new instance of the chosen class", true],
    ["objects", "O", "Colour by instance, or by class", true],
    ["lock", "M", "Lock or unlock the chosen class: no edit changes its points", true],
    ["erase", "Delete", "Take corrections off the selection", true],
    ["clear", "Escape", "Select nothing, or leave a polygon", true],
    ["undo", "Ctrl+Z", "Undo", true],
    ["redo", "Ctrl+Y", "Redo (also Ctrl+Shift+Z)", true],
  ];
  const MORE = [
    ["Left drag", "Turn (with a selection tool: draw)"],
    ["Right drag", "Shift (with a selection tool: turn)"],
    ["Wheel, pinch", "Zoom to the pointer"],
    ["Double click", "Turn about this point"],
    ["W A S D, Q E", "Fly"],
    ["Arrow keys", "Turn"],
    ["1 … 9", "Choose a class"],
    ["Shift, Ctrl, both", "While selecting: add, remove, intersect"],
  ];
  const FLY = { w: [0, 0, 1], s: [0, 0, -1], a: [-1, 0, 0], d: [1, 0, 0], q: [0, -1, 0], e: [0, 1, 0] };
  const TURN = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  /** Whether a key belongs to a field that is being filled in. @param {EventTarget} target */
  const typing = (target) =>
    target instanceof Element &&
    (target.closest("textarea, select, [contenteditable], [role=listbox]") !== null ||
      (target instanceof HTMLInputElement && !["radio", "checkbox", "range"].includes(target.type)));

  /** @param {KeyboardEvent} event @returns {string} the act of KEYS that a key stands for */
  const actOf = (event) => {
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    if (control && key === "Z") return event.shiftKey ? "redo" : "undo";
    if (control && key === "Y") return "redo";
    if (control || event.altKey) return "";
    if (key === "=") return "larger";
    if (key === "Backspace") return "erase";
    const row = KEYS.find(([, shown]) => shown === key);
    return row ? row[0] : "";
  };

  /** @param {any} viewer */
  const hotkeys = (viewer) => {
    document.addEventListener("keydown", (event) => {
      if (typing(event.target) || !viewer.visible() || event.defaultPrevented) return;
      const onButton = event.target instanceof Element && event.target.closest("button, a");
      if (onButton && (event.key === "Enter" || event.key === " ")) return;
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
      const fly = plain && FLY[event.key.toLowerCase()];
      const turn = plain && viewer.focused() && TURN[event.key];
      const act = actOf(event);
      if (viewer.bar.sheet.open && !["help", "clear"].includes(act)) return;
      if (fly) {
        viewer.camera.fly(...fly.map((v) => v * (event.shiftKey ? 0.15 : 0.05)));
        viewer.moved();
      } else if (turn) {
        viewer.camera.orbit(turn[0] * 0.08, turn[1] * 0.08);
        viewer.moved();
      } else if (plain && /^[1-9]$/.test(event.key)) {
        viewer.chooseClass(Number(event.key) - 1);
      } else if (!act || !viewer.act(act)) {
        return;
      }
      event.preventDefault();
    });
  };

  Object.assign(window.s4, { KEYS, MORE, hotkeys });
})();

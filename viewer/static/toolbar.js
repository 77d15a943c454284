/* Buttons on the picture, the list of classes, the sheet of keys. Every text is set as text. */
(() => {
  const { KEYS, MORE } = window.s4;
  const ICONS = {
    fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
    top: "M12 3v12M7 10l5 5 5-5M4 20h16",
    larger: "M12 6v12M6 12h12",
    smaller: "M6 12h12",
    background: "M12 4a8 8 0 1 0 8 8 6 6 0 0 1-8-8z",
    picture: "M4 8h4l2-3h4l2 3h4v11H4zM12 10a3 3 0 1 0 .01 0",
    link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
    help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 18v.5",
    move: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
    label: "M4 4h8l8 8-8 8-8-8zM8.5 8.5h.01",
    lasso: "M12 5c5 0 8 2 8 5s-3 5-8 5-8-2-8-5 3-5 8-5zM8 15c-2 1-2 4 1 5",
    box: "M5 5h14v14H5z",
    brush: "M14 4l6 6-8 7-5-5zM7 12c-3 2-1 5-4 7 4 2 8 0 9-2",
    polygon: "M5 9l8-5 7 7-4 9-9-2z",
    next: "M4 12h10M10 7l5 5-5 5M20 6v12",
    split: "M4 4h16v16H4zM12 4v16M12 12h8",
    instance: "M5 8l7-4 7 4v8l-7 4-7-4zM12 9v6M9 12h6",
    objects: "M8 4a4 4 0 1 0 .01 0M17 8a3 3 0 1 0 .01 0M13 15a3 3 0 1 0 .01 0",
    lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
    through: "M3 12c4-6 14-6 18 0-4 6-14 6-18 0zM12 9.500a2.500 2.500 0 1 0 .01 0",
    whole: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
    grow: "M12 8v8M8 12h8M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
    shrink: "M8 12h8M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5",
    propose: "M12 3l2 6 6 2-6 2-2 6-2-6-6-2 6-2zM19 17v4M17 19h4",
    apply: "M4 12l5 6L20 6",
    erase: "M9 6l10 10-4 4H9l-5-5zM20 20h-6",
    undo: "M8 5L4 9l4 4M4 9h9a5 5 0 0 1 0 10H8",
    redo: "M16 5l4 4-4 4M20 9h-9a5 5 0 0 0 0 10h5",
  };
  const VIEW = ["fit", "top", "smaller", "larger", "background", "picture", "link", "help"];
  const EDIT = [
    ["move", "label", "lasso", "polygon", "box", "brush"], ["through", "whole"],
    ["grow", "shrink", "propose", "next"], ["apply", "erase", "instance", "split"],
    ["objects", "lock"], ["undo", "redo"],
  ];

  const SWITCHES = [...EDIT[0], ...EDIT[1], ...EDIT[4]];
  const PARTS = { least: 2, most: 32, first: 4 };

  const icon = (act) =>
    `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[act]}"/></svg>`;

  /** @param {string} tag @param {string} kind @param {string} [text] */
  const make = (tag, kind, text) => {
    const element = document.createElement(tag);
    element.className = kind;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  class Toolbar {
    /** @param {any} viewer @param {HTMLElement} root */
    constructor(viewer, root) {
      this.viewer = viewer;
      this.buttons = {};
      const view = make("div", "s4-bar-view s4-float");
      VIEW.forEach((act) => view.append(this.button(act)));
      this.edit = make("div", "s4-bar-edit s4-float");
      EDIT.forEach((group) => {
        const row = make("div", "s4-group");
        group.forEach((act) => row.append(this.button(act)));
        this.edit.append(row);
      });
      this.classes = make("div", "s4-classes s4-float");
      this.field = this.partsField();
      this.sheet = this.help();
      this.tip = make("div", "s4-tip");
      this.note = make("div", "s4-note s4-float");
      this.note.setAttribute("role", "status");
      [this.edit, this.classes, this.note, this.tip].forEach((e) => { e.hidden = true; });
      root.append(view, this.edit, this.classes, this.note, this.tip, this.sheet);
    }

    button(act) {
      const [, key, says] = KEYS.find(([name]) => name === act);
      const button = make("button", "s4-tool");
      button.type = "button";
      button.dataset.act = act;
      button.title = `${says} (${key})`;
      button.setAttribute("aria-label", says);
      button.innerHTML = icon(act);
      button.addEventListener("click", () => this.viewer.act(act));
      this.buttons[act] = button;
      return button;
    }

    /** The sheet of keys: a dialog over the page, as its list is longer than a picture is high. */
    help() {
      const sheet = make("dialog", "s4-sheet");
      sheet.setAttribute("aria-label", "Keys and mouse");
      const keys = (editing) => KEYS.filter((row) => row[3] === editing)
        .map(([, key, says]) => [key, says]);
      const parts = { "Mouse and moving": MORE, Look: keys(false), "Correct, in the view Annotate": keys(true) };
      for (const [title, rows] of Object.entries(parts)) {
        const list = make("dl", "");
        rows.forEach(([key, says]) => {
          const row = make("div", "");
          const term = make("dt", "");
          term.append(make("kbd", "", key));
          row.append(term, make("dd", "", says));
          list.append(row);
        });
        sheet.append(make("h4", "", title), list);
      }
      const close = make("button", "s4-tool", "✕");
      close.type = "button";
      close.setAttribute("aria-label", "Close");
      sheet.append(close);
      sheet.addEventListener("click", () => sheet.close());
      return sheet;
    }

    /** Show what is chosen and what can be done. */
    update() {
      const { viewer } = this;
      const { classes, active } = viewer.editor;
      const editing = viewer.editing();
      this.edit.hidden = this.classes.hidden = !editing;
      const { through, whole, objects } = viewer;
      const lock = Boolean(classes && classes[active] && classes[active].locked);
      const on = { [viewer.tool]: true, through, whole, objects, lock };
      const off = {
        apply: !viewer.selected, erase: !viewer.selected, grow: !viewer.selected,
        shrink: !viewer.selected, instance: !viewer.selected, split: !viewer.selected,
        undo: !viewer.can.undo, redo: !viewer.can.redo,
      };
      for (const [act, button] of Object.entries(this.buttons)) {
        if (SWITCHES.includes(act)) {
          button.setAttribute("aria-pressed", on[act] ? "true" : "false");
        }
        button.disabled = off[act] === true;
      }
    }

    /** List the classes that can be given, with a field for a new one. */
    listClasses(classes, active, choose, add) {
      const title = make("div", "s4-classes-title", "Label as");
      const rows = classes.map(({ name, color, locked }, i) => {
        const row = make("button", "s4-class");
        row.type = "button";
        row.setAttribute("aria-pressed", i === active ? "true" : "false");
        const chip = make("span", "s4-chip");
        chip.style.background = color;
        const key = make("kbd", "", i < 9 ? String(i + 1) : "");
        row.append(chip, make("span", "s4-class-name", name));
        if (locked) {
          const mark = make("span", "s4-class-locked");
          mark.innerHTML = icon("lock");
          mark.title = "Locked: no edit changes its points";
          row.append(mark);
        }
        row.append(key);
        row.addEventListener("click", () => choose(i));
        return row;
      });
      const field = make("input", "s4-class-new");
      Object.assign(field, { placeholder: "New class, Enter", maxLength: 80 });
      field.setAttribute("aria-label", "New class");
      field.addEventListener("keydown", (event) => {
        const name = field.value.trim().replace(/\s+/g, " ");
        if (event.key === "Enter" && name) add(name);
        event.stopPropagation();
      });
      const list = make("div", "s4-class-list");
      list.append(...rows);
      this.classes.replaceChildren(title, list, field, this.field);
    }

    /** A field for how many parts a split makes. */
    partsField() {
      const row = make("label", "s4-parts", "Parts of a split");
      const field = make("input", "s4-class-new");
      const { least, most, first } = PARTS;
      Object.assign(field, { type: "number", min: least, max: most, value: first });
      field.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.viewer.surface.focus();
        event.stopPropagation();
      });
      row.append(field);
      return row;
    }

    /** Parts that a split makes. @returns {number} */
    parts() {
      const field = this.field.querySelector("input");
      const asked = Math.round(Number(field.value)) || PARTS.first;
      const parts = Math.min(Math.max(asked, PARTS.least), PARTS.most);
      field.value = String(parts);
      return parts;
    }

    /** Show a text beside the pointer; "" hides it. */
    point(text, x = 0, y = 0) {
      this.tip.hidden = !text;
      this.tip.textContent = text;
      const wide = this.tip.parentElement.clientWidth;
      this.tip.style.transform = `translate(${Math.min(x + 14, wide - this.tip.offsetWidth - 8)}px, ${y + 16}px)`;
    }

    /** Say something at the lower edge of the picture; "" says nothing. */
    say(text, error = false) {
      this.note.hidden = !text;
      this.note.textContent = text;
      this.note.classList.toggle("s4-error", error);
    }
  }

  Object.assign(window.s4, { Toolbar, make });
})();

/* Links: what the page shows, as text behind the # of its address, which never leaves the browser
   until the page itself reads it. */
(() => {
  const SHOWN = 4000; // ms that a note stays
  const PAUSE = 400; // ms without a change until the address follows
  let timer = 0;

  /** The address of what a viewer shows; "" for a scan that was uploaded. @param {any} viewer */
  const linkOf = (viewer) => {
    if (!viewer.scene || !viewer.scene.link) return "";
    const { target, yaw, pitch, distance } = viewer.camera.state;
    const camera = [...target, yaw, pitch, distance].map((v) => Number(v.toPrecision(6)));
    return `${location.origin}${location.pathname}${location.search}#${viewer.scene.link}&camera=${camera}`;
  };

  /** Copy where there is no clipboard: the page of another machine, without https. */
  const copyByHand = (text) => {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  };

  /** Copy the link and put it into the address. @param {any} viewer */
  const copyLink = async (viewer) => {
    const say = (text) => {
      viewer.bar.say(text);
      setTimeout(() => { if (viewer.bar.note.textContent === text) viewer.bar.say(""); }, SHOWN);
    };
    const link = linkOf(viewer);
    if (!link) return say("Only bundled rooms on the first page can be linked to: uploaded scans are nobody else's.");
    history.replaceState(null, "", link);
    try {
      await navigator.clipboard.writeText(link);
    } catch (error) {
      if (!copyByHand(link)) return say("The link is in the address bar: copy it from there.");
    }
    return say("Link copied: scan, words, thresholds, view and camera. The address follows changes.");
  };

  /** Keep a link in the address up to date; an address without one stays so. @param {any} viewer */
  const followLink = (viewer) => {
    if (viewer.root.dataset.name !== "s4-canvas") return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!location.hash.includes("scan=") || !viewer.scene) return;
      history.replaceState(null, "", linkOf(viewer) || location.pathname + location.search);
    }, PAUSE);
  };

  /** Put the address's link into the first input of an event, and the look into its last. */
  const fromLink = (inputs) => [location.hash, ...window.s4.look("s4-plot", inputs).slice(1)];

  window.addEventListener("hashchange", () => {
    if (location.hash.includes("scan=")) location.reload();
  });
  Object.assign(window.s4, { copyLink, followLink, linkOf, fromLink });
})();

/* What a person chose last, kept in this browser: the view and the scale of heatmaps here, point
   size and background beside the picture they belong to. */
(() => {
  /** @param {string} name @param {string} value */
  const remember = (name, value) => {
    try {
      localStorage.setItem(`s4-${name}`, value);
    } catch (error) {
      /* a browser that keeps nothing still works */
    }
    return [];
  };

  /**
   * The kept value of each name, or the first one that is possible.
   * @param {Record<string, string[]>} choices possible values by name
   */
  const remembered = (choices) =>
    Object.entries(choices).map(([name, possible]) => {
      let found = null;
      try {
        found = localStorage.getItem(`s4-${name}`);
      } catch (error) {
        /* the same */
      }
      return found !== null && possible.includes(found) ? found : possible[0];
    });

  Object.assign(window.s4, { remember, remembered });
})();

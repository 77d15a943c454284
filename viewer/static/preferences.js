/* What a person chose last, kept in this browser. */
(() => {
  /** The kept value of a name. @param {string} name @param {string} fallback */
  const kept = (name, fallback) => {
    try {
      return localStorage.getItem(`s4-${name}`) || fallback;
    } catch (error) {
      return fallback;
    }
  };

  /** @param {string} name @param {string} value */
  const keep = (name, value) => {
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
      const found = kept(name, possible[0]);
      return possible.includes(found) ? found : possible[0];
    });

  Object.assign(window.s4, { kept, keep, remembered });
})();

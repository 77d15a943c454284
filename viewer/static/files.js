/* Binary files from the server: fetched once, kept as long as a viewer needs them. */
(() => {
  const files = new Map();

  /** The bytes of a file. @param {{url: string}} file @param {string} key @returns {Promise<ArrayBuffer>} */
  const fetched = (file, key) => {
    if (!files.has(key)) {
      const asked = fetch(file.url).then((answer) => {
        if (!answer.ok) throw new Error(`the server answered ${answer.status} for the points`);
        return answer.arrayBuffer();
      });
      asked.catch(() => files.delete(key));
      files.set(key, asked);
    }
    return files.get(key);
  };

  /** Let go of the files that no scene on the page names any more. */
  const forget = () => {
    const used = new Set(Object.values(window.s4.viewers).flatMap((v) => [...v.keys]));
    for (const key of files.keys()) if (!used.has(key)) files.delete(key);
  };

  Object.assign(window.s4, { fetched, forget });
})();

/* WebGL2 helpers: programs, data textures, and the namespace of all scripts of the page. */
window.s4 = window.s4 || {};
(() => {
  /** Width of textures that hold one value per point. */
  const WIDE = 4096;

  /**
   * Compile a program and look its uniforms up.
   * @param {WebGL2RenderingContext} gl
   * @param {string} vertex
   * @param {string} fragment
   * @param {Object<string, number|boolean>} fixed macros: what a picture does not need is not in
   *   its program at all, as software GL computes both sides of every branch
   */
  const program = (gl, vertex, fragment, fixed = {}) => {
    const made = gl.createProgram();
    const head = ["#version 300 es", "precision highp float;", "precision highp int;",
      ...Object.entries(fixed).map(([name, value]) => `#define ${name} ${Number(value)}`)].join("\n");
    for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, `${head}\n${source}`);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
        throw new Error(`shader: ${gl.getShaderInfoLog(shader)}`);
      }
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    /** @type {Object<string, WebGLUniformLocation>} */
    const at = {};
    const count = gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS) || 0;
    for (let i = 0; i < count; i += 1) {
      const { name } = gl.getActiveUniform(made, i);
      at[name.replace("[0]", "")] = gl.getUniformLocation(made, name);
    }
    return { program: made, at };
  };

  /**
   * Programs of one source by what is fixed in them, each compiled when it is first needed.
   * @param {WebGL2RenderingContext} gl @param {string} vertex @param {string} fragment
   */
  const programs = (gl, vertex, fragment) => {
    const made = new Map();
    return (fixed) => {
      const key = JSON.stringify(fixed);
      if (!made.has(key)) made.set(key, program(gl, vertex, fragment, fixed));
      return made.get(key);
    };
  };

  /**
   * Formats of data textures by name: internal format, format, type, numbers per texel, array.
   * @param {WebGL2RenderingContext} gl
   */
  const formats = (gl) => ({
    rgb8: [gl.RGB8, gl.RGB, gl.UNSIGNED_BYTE, 3, Uint8Array],
    rgba8: [gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, 4, Uint8Array],
    r8ui: [gl.R8UI, gl.RED_INTEGER, gl.UNSIGNED_BYTE, 1, Uint8Array],
    r32ui: [gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, 1, Uint32Array],
  });

  /**
   * Put values into a texture of WIDE columns, one texel per value; an old one is filled again.
   * @param {WebGL2RenderingContext} gl
   * @param {keyof ReturnType<formats>} name
   * @param {Uint8Array|Uint32Array} values
   * @param {{texture: WebGLTexture, rows: number}|null} old
   */
  const dataTexture = (gl, name, values, old = null) => {
    const [internal, format, type, width, Kind] = formats(gl)[name];
    const rows = Math.max(1, Math.ceil(values.length / width / WIDE));
    let full = values;
    if (values.length !== rows * WIDE * width) {
      full = new Kind(rows * WIDE * width);
      full.set(values);
    }
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    const made = old && old.rows === rows ? old : { texture: gl.createTexture(), rows };
    if (old && old !== made) gl.deleteTexture(old.texture);
    gl.bindTexture(gl.TEXTURE_2D, made.texture);
    if (made === old) {
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, WIDE, rows, format, type, full);
      return made;
    }
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, internal, WIDE, rows, 0, format, type, full);
    return made;
  };

  /** Decode base64 into bytes. @param {string} text */
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  /** Decode compressed bytes. @param {string} text zlib's, as base64 @returns {Promise<Uint8Array>} */
  const inflate = async (text) => {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  /**
   * Read a bit per place of a walk, lowest first, and then the values of the places marked.
   * @param {Uint8Array} data @param {Uint32Array} walk @param {1|4} wide bytes of a value
   * @param {(point: number, value: number) => void} put
   */
  const unpack = (data, walk, wide, put) => {
    const rest = data.slice(Math.ceil(walk.length / 8));
    const values = wide === 4 ? new Uint32Array(rest.buffer) : rest;
    let next = 0;
    for (let byte = 0; 8 * byte < walk.length; byte += 1) {
      if (!data[byte]) continue; // most are empty
      for (let bit = 0; bit < 8; bit += 1) {
        if (!(data[byte] & (1 << bit))) continue;
        put(walk[8 * byte + bit], values[next]);
        next += 1;
      }
    }
  };

  /** Encode bytes as base64. @param {Uint8Array} data */
  const base64 = (data) => {
    const parts = [];
    for (let i = 0; i < data.length; i += 32768) {
      parts.push(String.fromCharCode(...data.subarray(i, i + 32768)));
    }
    return btoa(parts.join(""));
  };

  /** Whether this browser draws with WebGL2. */
  const supported = (() => {
    try {
      const gl = document.createElement("canvas").getContext("webgl2");
      if (!gl) return false;
      const lose = gl.getExtension("WEBGL_lose_context");
      if (lose) lose.loseContext();
      return true;
    } catch (error) {
      return false;
    }
  })();

  Object.assign(window.s4, { WIDE, program, programs, dataTexture, bytes, inflate, unpack, base64, supported });
})();

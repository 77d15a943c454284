/* An orbit camera: turns about a target, pans, zooms to the pointer, flies. Matrices are column
   major, as WebGL wants them. */
(() => {
  const FIELD = (45 * Math.PI) / 180; // vertical field of view

  /** @typedef {[number, number, number]} Vector */
  /** @type {(a: Vector, b: Vector) => number} */
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  /** @type {(a: Vector, b: Vector) => Vector} */
  const cross = (a, b) => [
    a[1] * b[2] - a[2] * b[1],
    a[2] * b[0] - a[0] * b[2],
    a[0] * b[1] - a[1] * b[0],
  ];
  /** @type {(a: Vector) => Vector} */
  const unit = (a) => {
    const length = Math.hypot(...a) || 1;
    return [a[0] / length, a[1] / length, a[2] / length];
  };
  /** @type {(a: Vector, b: Vector, share: number) => Vector} */
  const along = (a, b, share) => [a[0] + share * b[0], a[1] + share * b[1], a[2] + share * b[2]];

  class Camera {
    constructor() {
      this.aspect = 1; // of the picture: in a narrow one a scan must be farther away
      this.frame([0, 0, 1], 1);
    }

    /** Look at a scan of this radius around the origin from above a corner. */
    frame(up, radius) {
      /** @type {Vector} */
      this.up = unit(up);
      const least = this.up.map(Math.abs).indexOf(Math.min(...this.up.map(Math.abs)));
      this.east = unit(cross(this.up, [0, 1, 2].map((i) => (i === least ? 1 : 0))));
      this.north = cross(this.up, this.east);
      this.radius = radius || 1;
      this.reset();
    }

    /** Go back to the first view. */
    reset() {
      /** @type {Vector} */
      this.target = [0, 0, 0];
      this.yaw = -0.65;
      this.pitch = 0.85;
      // Nearer than the ball around a scan asks for, as its corners seldom reach that; less so in a
      // narrow picture, where they soon do.
      const narrow = Math.min(this.aspect, 1) ** 1.25;
      this.distance = ((this.radius / Math.sin(FIELD / 2)) * 0.92) / narrow;
    }

    /** Look along one of the axes: "top", "front" or "side". */
    face(side) {
      [this.yaw, this.pitch] = { top: [0, 1.5707], front: [0, 0], side: [1.5708, 0] }[side];
    }

    /** Unit vector from the target to the eye. @returns {Vector} */
    back() {
      const flat = Math.cos(this.pitch);
      const level = along(
        this.north.map((v) => -v * Math.cos(this.yaw) * flat),
        this.east,
        Math.sin(this.yaw) * flat,
      );
      return along(level, this.up, Math.sin(this.pitch));
    }

    axes() {
      const back = this.back();
      const side = unit([
        this.east[0] * Math.cos(this.yaw) + this.north[0] * Math.sin(this.yaw),
        this.east[1] * Math.cos(this.yaw) + this.north[1] * Math.sin(this.yaw),
        this.east[2] * Math.cos(this.yaw) + this.north[2] * Math.sin(this.yaw),
      ]);
      return { side, top: cross(back, side), back };
    }

    eye() {
      return along(this.target, this.back(), this.distance);
    }

    /** Turn by angles in radians. */
    orbit(yaw, pitch) {
      this.yaw += yaw;
      this.pitch = Math.min(Math.max(this.pitch + pitch, -1.5707), 1.5707);
    }

    /** Shift the target by shares of the viewport's height. */
    pan(x, y) {
      const height = 2 * this.distance * Math.tan(FIELD / 2);
      const { side, top } = this.axes();
      this.target = along(along(this.target, side, -x * height), top, y * height);
    }

    /** Come nearer (factor < 1) while the point under (x, y), in [-1, 1], keeps its place. */
    zoom(factor, x = 0, y = 0, aspect = 1) {
      const next = Math.min(Math.max(this.distance * factor, this.radius * 1e-3), this.radius * 50);
      const shift = (this.distance - next) * Math.tan(FIELD / 2);
      const { side, top } = this.axes();
      this.target = along(along(this.target, side, x * aspect * shift), top, y * shift);
      this.distance = next;
    }

    /** Move with the gaze: right, up and forward in shares of the distance. */
    fly(right, up, forward) {
      const { side, back } = this.axes();
      let target = along(this.target, side, right * this.distance);
      target = along(target, this.up, up * this.distance);
      this.target = along(target, back, -forward * this.distance);
    }

    /** Nearest and farthest depth that the scan can have. */
    range() {
      const eye = this.eye();
      const away = Math.hypot(...eye);
      const far = away + this.radius * 1.01;
      return { near: Math.max(away - this.radius * 1.01, far / 4000), far };
    }

    /** View times projection, 16 numbers. */
    matrix(aspect) {
      const { side, top, back } = this.axes();
      const eye = this.eye();
      const { near, far } = this.range();
      const f = 1 / Math.tan(FIELD / 2);
      const a = (far + near) / (near - far);
      const b = (2 * far * near) / (near - far);
      const rows = [
        [...side.map((v) => (v * f) / aspect), (-dot(side, eye) * f) / aspect],
        [...top.map((v) => v * f), -dot(top, eye) * f],
        [...back.map((v) => v * a), -dot(back, eye) * a + b],
        [...back.map((v) => -v), dot(back, eye)],
      ];
      const out = new Float32Array(16);
      for (let c = 0; c < 4; c += 1) for (let r = 0; r < 4; r += 1) out[4 * c + r] = rows[r][c];
      return out;
    }

    /** What a link or a test needs to come back to this view. */
    get state() {
      const { target, yaw, pitch, distance } = this;
      return { target: [...target], yaw, pitch, distance };
    }

    /** Take a view back; anything that is no camera is left alone. */
    set state(from) {
      const numbers = from && [...(from.target || []), from.yaw, from.pitch, from.distance];
      if (!numbers || numbers.length !== 6 || !numbers.every(Number.isFinite)) return;
      Object.assign(this, { ...from, target: [...from.target] });
      this.orbit(0, 0);
      this.zoom(1);
    }
  }

  Object.assign(window.s4, { Camera, FIELD, dot });
})();

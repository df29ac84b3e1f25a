// What was drawn of a stretch of time, kept as pixels: of the next picture only what is new is
// drawn, and the rest moves.

export class Film {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.pen = this.canvas.getContext("2d");
    this.key = null;
    this.drawn = 0; // pixels of its width that were drawn anew, for tests
  }

  // Draw a pane, of which `paint(g, from)` draws what lies behind a time. What was drawn stays good
  // as long as `key` is the same, but for what is less than `margin` pixels before `since`, or the
  // time `done` of the picture before; `done` is that time of this one.
  draw(r, x, key, since, done, margin, paint) {
    const { canvas, pen } = this;
    const ratio = 1 / x.dot, w = Math.ceil(r.w * ratio), h = Math.ceil(r.h * ratio);
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
      this.key = null;
    }
    const per = 1 / (x.slope * ratio), shift = (x.from - this.from) / per, whole = Math.round(shift);
    const isKept = key === this.key && per === this.per && whole >= 0 && whole < w &&
      Math.abs(shift - whole) < 0.05;
    const dirty = isKept
      ? Math.max(0, Math.floor((Math.min(this.done, since) - x.from) / per - margin * ratio)) : 0;
    if (isKept && whole) {
      pen.globalCompositeOperation = "copy";
      pen.drawImage(canvas, -whole, 0);
      pen.globalCompositeOperation = "source-over";
    }
    if (dirty < w) {
      this.drawn += w - dirty;
      pen.save();
      pen.beginPath();
      pen.rect(dirty, 0, w - dirty, h);
      pen.clip();
      // Also of what the pane covers but a part of, its last row of pixels.
      pen.clearRect(dirty, 0, w - dirty, h);
      pen.setTransform(ratio, 0, 0, ratio, -r.x * ratio, -r.y * ratio);
      paint(pen, x.from + dirty * per);
      pen.restore();
    }
    Object.assign(this, { key, per, ratio, from: x.from, done: Math.min(done, x.to) });
  }

  // Show what was drawn.
  show(g, r) {
    const { canvas, ratio } = this;
    g.imageSmoothingEnabled = false;
    g.drawImage(canvas, r.x, Math.round(r.y * ratio) / ratio, canvas.width / ratio,
      canvas.height / ratio);
  }
}

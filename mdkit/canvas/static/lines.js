// Lines that hold a value until the next one. They are drawn as rectangles: a browser without a
// graphics card strokes a path of a thousand steps ten times as slowly.

import { GAP, T } from "./book.js";

// Draws level stretches, and what joins one to the next, in the context's fill style.
export class Steps {
  constructor(g, width) {
    this.g = g;
    this.width = width;
    this.half = width / 2;
    this.on = false;
  }

  // Hold a level from one pixel to another, joined to the stretch before where that is wanted.
  hold(left, right, level, joined) {
    if (this.on && joined) {
      if (level !== this.level) {
        this.flush(left - this.half);
        const top = Math.min(level, this.level);
        this.g.fillRect(left - this.half, top - this.half, this.width,
          Math.abs(level - this.level) + this.width);
        this.from = left + this.half;
      }
    } else {
      this.end();
      this.from = left;
    }
    this.on = true;
    this.level = level;
    this.right = Math.max(right, left + 0.5);
  }

  flush(to) {
    if (to > this.from) this.g.fillRect(this.from, this.level - this.half, to - this.from, this.width);
  }

  // End the line: what comes next is not joined to it.
  end() {
    if (this.on) this.flush(this.right);
    this.on = false;
  }
}

// A line over rows of books, which breaks where nothing was seen.
export function stepLine(g, width, ring, first, last, until, x, y, value) {
  const steps = new Steps(g, width), data = ring.data;
  let end = NaN;
  for (let row = first, o = ring.offset(first); row <= last; row++, o += ring.width) {
    const at = value(o), t = data[o + T];
    if (Number.isFinite(at)) {
      steps.hold(x.px(t), x.px(until[row - first]), y.px(at), end >= t && !data[o + GAP]);
    } else steps.end();
    end = until[row - first];
  }
  steps.end();
}

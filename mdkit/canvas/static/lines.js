// Lines that hold a value until the next one. They are drawn as rectangles: a browser without a
// graphics card strokes a path of a thousand steps ten times as slowly.

import { GAP, T } from "./book.js";

// Pixels before a time from which on a line is begun that is drawn behind it.
export const BACK = 3;

// Draws level stretches, and what joins one to the next, in the context's fill style. Of what
// moves up and down within one pixel of the screen, `dot` wide, one rectangle is drawn: the same
// one wherever the line begins.
export class Steps {
  constructor(g, width, dot = 1) {
    this.g = g;
    this.dot = dot;
    this.width = width;
    this.half = width / 2;
    this.on = false;
  }

  // Hold a level from one pixel on, to the next level or else to another pixel.
  hold(left, right, level, joined) {
    if (this.on && !joined) this.end();
    if (!this.on) {
      this.on = true;
      this.start(left, level, level);
      this.level = level;
    } else if (level !== this.level) {
      if (this.pixel(left) !== this.pixel(this.column)) {
        this.flush(left - this.half);
        this.start(left, this.level, level);
      } else if (level < this.top) this.top = level;
      else if (level > this.bottom) this.bottom = level;
      this.level = level;
    }
    this.right = Math.max(right, left + 0.5);
  }

  pixel(left) {
    return Math.floor(left / this.dot + 1e-6);
  }

  start(left, from, to) {
    this.column = left;
    this.top = Math.min(from, to);
    this.bottom = Math.max(from, to);
  }

  // Draw what moves within the pixel, and the level that is held after it.
  flush(to) {
    const { g, width, half, column } = this;
    const isLevel = this.top === this.bottom;
    if (!isLevel) g.fillRect(column - half, this.top - half, width, this.bottom - this.top + width);
    const from = isLevel ? column : column + half;
    if (to > from) g.fillRect(from, this.level - half, to - from, width);
  }

  // End the line: what comes next is not joined to it.
  end() {
    if (this.on) this.flush(this.right);
    this.on = false;
  }
}

// A line over rows of books, which breaks where nothing was seen.
export function stepLine(g, width, ring, first, last, until, x, y, value) {
  const steps = new Steps(g, width, x.dot), data = ring.data;
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

// The sizes of books as pixels, kept from picture to picture: what is new is painted, the rest moves.

import { T, place, reach } from "./book.js";
import { Scale } from "./scales.js";
import { heatIndex, heatTable } from "./theme.js";

const MOST_PIXELS = 900000;

export class HeatImage {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.key = "";
    this.painted = 0; // rows of books painted, for tests
  }

  // Bring the pixels up to date. `look`: x, y, theme, contrast, the range of sizes, tick, levels.
  paint(r, ring, first, last, until, past, look) {
    const { x, y, theme, contrast, range, tick, levels } = look;
    const shrink = Math.min(1, Math.sqrt(MOST_PIXELS / (r.w * r.h)));
    const h = Math.max(1, Math.round(r.h * shrink));
    // Columns are counted from the epoch, so that a moment stays in its column; there is one more
    // than fits, since the first begins a little before the pane does.
    const columns = Math.max(1, Math.round(r.w * shrink)), w = columns + 1;
    const per = x.span / columns, begin = Math.floor(x.from / per + 1e-3);
    this.fit(w, h);
    const key = [w, h, per, y.from, y.to, theme.name, contrast, ...range, tick, past].join(" ");
    const shift = begin - this.begin;
    const isKept = key === this.key && shift >= 0 && shift < w;
    // The newest row may have been given anew, and holds longer now: its column is painted again.
    const dirty = isKept ? Math.max(0, Math.floor(this.done / per) - begin) : 0;
    const px = this.pixels;
    if (isKept && shift) px.copyWithin(0, shift);
    for (let line = 0; line < h; line++) px.fill(0, line * w + dirty, (line + 1) * w);
    Object.assign(this, { key, begin, per, left: x.px(begin * per), width: w * per * x.slope });
    const sy = new Scale(y.from, y.to, 0, h), table = heatTable(theme), half = tick / 2;
    const [low, high] = range;
    for (let row = Math.max(first, ring.find((begin + dirty) * per)); row <= last; row++) {
      const o = ring.offset(row), t = ring.data[o + T];
      const start = Math.floor(t / per) - begin, left = Math.max(dirty, start);
      // At least a pixel of its own: of one that ended before what is painted nothing is.
      const right = Math.min(w, Math.max(Math.ceil(until[row - first] / per) - begin, start + 1));
      if (right <= left) continue;
      this.painted++;
      const [deep, tall] = reach(ring.data, o, levels);
      fill(px, w, h, left, right, sy.px(tall + half), sy.px(deep - half), table[0], false);
      for (let level = levels - 1; level >= 0; level--) {
        for (let side = 0; side < 2; side++) {
          const at = o + place(levels, side ? "ask" : "bid", level);
          const price = ring.data[at], size = ring.data[at + 1];
          if (!(size > 0) || price < y.to - tick || price > y.from + tick) continue;
          const colour = table[heatIndex(size, low, high, contrast)];
          fill(px, w, h, left, right, sy.px(price + half), sy.px(price - half), colour, true);
        }
      }
    }
    this.done = Math.min(ring.at(last, T), (begin + w) * per);
    this.pen.putImageData(this.image, 0, 0);
  }

  fit(w, h) {
    if (this.image && this.image.width === w && this.image.height === h) return;
    this.canvas.width = w;
    this.canvas.height = h;
    this.pen = this.canvas.getContext("2d");
    this.image = this.pen.createImageData(w, h);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.key = "";
  }

  // `dot`: how wide a pixel of the screen is.
  draw(g, r, dot) {
    g.imageSmoothingEnabled = false;
    const isPlain = Math.abs(this.width / this.canvas.width - dot) < 1e-6 * dot;
    // A plain copy, which costs least, where a column is a pixel. Else a little off, so that no
    // column ends in the middle of a pixel, where rounding would say which one is seen.
    const left = isPlain ? Math.round(this.left / dot) * dot : this.left + dot / 64;
    g.drawImage(this.canvas, left, r.y, this.width, r.h);
  }
}

function fill(px, w, h, left, right, top, bottom, colour, thick) {
  let from = Math.round(top), to = Math.round(bottom);
  const least = thick ? (h > 160 ? 2 : 1) : 0;
  if (to < from + least) to = from + least;
  from = Math.max(0, from);
  to = Math.min(h, to);
  const count = right - left;
  for (let at = from * w + left, end = to * w; at < end; at += w) {
    if (count > 8) px.fill(colour, at, at + count);
    else for (let i = at; i < at + count; i++) px[i] = colour;
  }
}

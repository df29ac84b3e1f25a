// Pressure or imbalance of the chosen levels, and the strategies' signals beside it.

import { T, holdsUntil, imbalanceOf, pressureOf } from "./book.js";
import { Film } from "./film.js";
import { BACK, stepLine } from "./lines.js";
import { Scale } from "./scales.js";
import { lastRows, signalLines, signalRanges } from "./signals.js";
import { frame, levelsGrid } from "./strips.js";

const RATIOS = [2, 4, 8, 16, 64, 256, 1024];
const MARGIN = 4; // pixels before a new row that its line may reach back

export class PressurePane {
  constructor() {
    this.film = new Film();
    this.power = 1;
  }

  // Returns the scale of the values.
  draw(g, r, store, x, theme, options) {
    const ring = store.rings.books, said = store.rings.signals;
    const first = ring?.length ? Math.max(0, ring.find(x.from)) : 0;
    const last = ring?.length ? ring.find(x.to) : -1;
    const isRatio = options.measure === "pressure";
    const value = (o) => isRatio
      ? Math.log2(pressureOf(ring.data, o, store.levels, options.levels))
      : imbalanceOf(ring.data, o, store.levels, options.levels);
    if (isRatio) this.power = powerOf(ring, first, last, value, this.power);
    const power = isRatio ? this.power : 1;
    const y = new Scale(power * 1.35, -power * 1.35, r.y, r.y + r.h);
    const write = isRatio
      ? (p) => (p === 0 ? "1" : p > 0 ? `${2 ** p}` : `1/${2 ** -p}`) : (p) => `${p}`;
    const count = store.head.strategies?.length ?? 0;
    const ranges = said?.length ? signalRanges(said, x.from, x.to, count) : new Map();
    let done = last >= first ? ring.at(last, T) : Infinity;
    // The next signal of each strategy is joined to its last one.
    if (ranges.size) {
      for (const row of lastRows(said, said.find(x.to), count).values()) {
        done = Math.min(done, said.at(row, T));
      }
    }
    const key = [power, isRatio, options.levels, x.span, r.y, theme.name, store.past,
      ...[...ranges].flat(2)].join(" ");
    this.film.draw(r, x, key, Infinity, done, MARGIN, (pen, from) => {
      frame(pen, r, theme);
      if (last >= first) {
        const start = Math.max(first, ring.find(from - BACK / x.slope) - 1);
        const until = holdsUntil(ring, start, last, store.unseen, store.head.seen);
        pen.fillStyle = theme.queue;
        stepLine(pen, 1.2, ring, start, last, until, x, y, value);
      }
      if (ranges.size) signalLines(pen, r, store, x, theme, ranges, from);
    });
    this.film.show(g, r);
    levelsGrid(g, r, y, [-power, 0, power], write, theme);
    return y;
  }
}

// The power of two that nearly all ratios lie within; the one before as long as it fits as well,
// so that the scale does not go to and fro.
export function powerOf(ring, first, last, value, before) {
  const sizes = [];
  for (let row = first; row <= last; row += 1 + ((last - first) >> 8)) {
    const at = Math.abs(value(ring.offset(row)));
    if (Number.isFinite(at)) sizes.push(at);
  }
  sizes.sort((a, b) => a - b);
  const most = sizes[Math.floor(0.99 * (sizes.length - 1))] ?? 1;
  const fits = (size) => Math.log2(RATIOS.find((ratio) => Math.log2(ratio) >= size) ?? 1024);
  return before >= fits(most) && before <= fits(1.25 * most) ? before : fits(most);
}

// Pressure or imbalance of the chosen levels, and the strategies' signals beside it.

import { T, holdsUntil, imbalanceOf, pressureOf } from "./book.js";
import { Film } from "./film.js";
import { Steps, stepLine } from "./lines.js";
import { Scale } from "./scales.js";
import { frame, isCut, levelsGrid } from "./strips.js";

const RATIOS = [2, 4, 8, 16, 64, 256, 1024];
const MARGIN = 4; // pixels before a new row that its line may reach back

export class PressurePane {
  constructor() {
    this.film = new Film();
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
    const power = isRatio ? powerOf(ring, first, last, value) : 1;
    const y = new Scale(power * 1.35, -power * 1.35, r.y, r.y + r.h);
    const write = isRatio
      ? (p) => (p === 0 ? "1" : p > 0 ? `${2 ** p}` : `1/${2 ** -p}`) : (p) => `${p}`;
    const begin = said?.length ? Math.max(0, said.find(x.from) - 50) : 0;
    const end = said?.length ? said.find(x.to) : -1;
    const ranges = said?.length ? signalRanges(said, begin, end) : new Map();
    let done = Infinity;
    if (last >= first) done = ring.at(last, T);
    if (end >= 0) done = Math.min(done, said.at(end, T));
    const key = [power, isRatio, options.levels, x.span, r.y, theme.name, store.past,
      ...[...ranges].flat(2)].join(" ");
    this.film.draw(g, r, x, key, done, MARGIN, (pen, from) => {
      frame(pen, r, theme);
      if (last >= first) {
        const start = Math.max(first, ring.find(from) - 1);
        const until = holdsUntil(ring, start, last, store.unseen, store.head.seen);
        pen.fillStyle = theme.queue;
        stepLine(pen, 1.2, ring, start, last, until, x, y, value);
      }
      if (end >= 0) signals(pen, r, store, x, theme, ranges, Math.max(begin, said.find(from) - 50), end);
    });
    levelsGrid(g, r, y, [-power, 0, power], write, theme);
    return y;
  }
}

// The power of two that nearly all ratios lie within.
function powerOf(ring, first, last, value) {
  const sizes = [];
  for (let row = first; row <= last; row += 1 + ((last - first) >> 8)) {
    const at = Math.abs(value(ring.offset(row)));
    if (Number.isFinite(at)) sizes.push(at);
  }
  sizes.sort((a, b) => a - b);
  const most = sizes[Math.floor(0.99 * (sizes.length - 1))] ?? 1;
  return Math.log2(RATIOS.find((ratio) => Math.log2(ratio) >= most) ?? 1024);
}

// Each strategy's signal on a scale of its own: what counts is how it moves.
function signals(g, r, store, x, theme, ranges, first, last) {
  const ring = store.rings.signals;
  for (const [strategy, [low, high]] of ranges) {
    const y = new Scale(high, low, r.y + 3, r.y + r.h - 3);
    const steps = new Steps(g, 1);
    g.fillStyle = theme.series[(1 + strategy) % theme.series.length];
    g.globalAlpha = 0.5;
    let since = null;
    for (let row = first; row <= last; row++) {
      const value = ring.at(row, 2);
      if (ring.at(row, 1) !== strategy || !Number.isFinite(value)) continue;
      const t = ring.at(row, 0), px = x.px(t);
      steps.hold(px, px, y.px(value), since !== null && !isCut(store.unseen, since, t));
      since = t;
    }
    steps.end();
    g.globalAlpha = 1;
  }
}

export function signalRanges(ring, first, last) {
  const ranges = new Map();
  for (let row = first; row <= last; row++) {
    const strategy = ring.at(row, 1), value = ring.at(row, 2);
    if (!Number.isFinite(value)) continue;
    const range = ranges.get(strategy);
    if (!range) ranges.set(strategy, [value, value]);
    else {
      range[0] = Math.min(range[0], value);
      range[1] = Math.max(range[1], value);
    }
  }
  for (const range of ranges.values()) {
    if (range[0] === range[1]) {
      range[0] -= 1;
      range[1] += 1;
    }
  }
  return ranges;
}

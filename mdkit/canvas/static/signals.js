// What strategies said. Columns of a row: time, the strategy's number, value.

import { BACK, Steps } from "./lines.js";
import { Scale } from "./scales.js";
import { isCut } from "./strips.js";

const APART = 8; // pixels within which one mark of a side is drawn

// Of each of `count` strategies the last row up to `row` that has a number, by strategy: however
// long ago one spoke, it is what its line and its next turn go on from.
export function lastRows(ring, row, count) {
  const found = new Map();
  for (; row >= 0 && found.size < count; row--) {
    const strategy = ring.at(row, 1);
    if (!found.has(strategy) && Number.isFinite(ring.at(row, 2))) found.set(strategy, row);
  }
  return found;
}

// The smallest and the largest value of each strategy that holds between two times.
export function signalRanges(ring, from, to, count) {
  const ranges = new Map();
  const take = (row) => {
    const strategy = ring.at(row, 1), value = ring.at(row, 2);
    if (!Number.isFinite(value)) return;
    const [low, high] = ranges.get(strategy) ?? [value, value];
    ranges.set(strategy, [Math.min(low, value), Math.max(high, value)]);
  };
  const before = ring.find(from), last = ring.find(to);
  for (const row of lastRows(ring, before, count).values()) take(row);
  for (let row = before + 1; row <= last; row++) take(row);
  for (const range of ranges.values()) {
    if (range[0] === range[1]) {
      range[0] -= 1;
      range[1] += 1;
    }
  }
  return ranges;
}

// Each strategy's signal behind a time, on a scale of its own: what counts is how it moves.
export function signalLines(g, r, store, x, theme, ranges, from) {
  const ring = store.rings.signals, last = ring.find(x.to);
  const before = lastRows(ring, ring.find(from - BACK / x.slope), store.head.strategies.length);
  for (const [strategy, [low, high]] of ranges) {
    const y = new Scale(high, low, r.y + 3, r.y + r.h - 3);
    const steps = new Steps(g, 1, x.dot);
    g.fillStyle = theme.series[(1 + strategy) % theme.series.length];
    g.globalAlpha = 0.5;
    let since = null;
    for (let row = before.get(strategy) ?? 0; row <= last; row++) {
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

// Where a strategy's signal changes its sign: [time, value, strategy].
export function turns(ring, from, to, count) {
  const found = [], signs = new Map();
  if (!ring?.length) return found;
  const first = ring.find(from), last = ring.find(to);
  for (const [strategy, row] of lastRows(ring, first, count)) {
    signs.set(strategy, Math.sign(ring.at(row, 2)));
  }
  for (let row = first + 1; row <= last; row++) {
    const t = ring.at(row, 0), strategy = ring.at(row, 1), value = ring.at(row, 2);
    if (!Number.isFinite(value)) continue;
    const sign = Math.sign(value), before = signs.get(strategy);
    if (before !== undefined && sign !== before) found.push([t, value, strategy]);
    signs.set(strategy, sign);
  }
  return found;
}

// The turns that are marked: of those of one side within some pixels the first. The pixels are
// counted from the epoch, so that the same ones are marked wherever the pane begins.
export function marked(ring, x, count) {
  const cell = APART / x.slope, found = new Map();
  for (const turn of turns(ring, Math.floor(x.from / cell) * cell, x.to, count)) {
    const key = 2 * Math.floor(turn[0] / cell) + (turn[1] > 0);
    if (!found.has(key)) found.set(key, turn);
  }
  return [...found.values()];
}

export function marks(g, r, store, x, theme) {
  const count = store.head.strategies?.length ?? 0;
  for (const [t, value] of marked(store.rings.signals, x, count)) {
    const px = x.px(t), up = value > 0, y = up ? r.y + r.h - 4 : r.y + 20, d = up ? -7 : 7;
    g.beginPath();
    g.moveTo(px - 4, y);
    g.lineTo(px + 4, y);
    g.lineTo(px, y + d);
    g.fillStyle = value > 0 ? theme.buy : value < 0 ? theme.sell : theme.muted;
    g.fill();
    g.strokeStyle = theme.back;
    g.lineWidth = 0.8;
    g.stroke();
  }
}

// The book over time: sizes as colours, best prices as lines, trades, gaps and marks on it.

import { ASK, BID, GAP, MID, SPREAD, T, holdsUntil, microprice, place, reach } from "./book.js";
import { Scale } from "./scales.js";
import { heatIndex, heatTable } from "./theme.js";

const MOST_PIXELS = 900000;
const COVER = 0.035; // of the pane, by the bubbles of trades

// The prices that fit a stretch: the best ones with room for the levels around them.
export function fitPrices(store, from, to, levels) {
  const ring = store.rings.books;
  let low = Infinity, high = -Infinity, deepLow = Infinity, deepHigh = -Infinity;
  if (ring?.length) {
    const first = Math.max(0, ring.find(from)), last = ring.find(to);
    for (let row = first; row <= last; row++) {
      const o = ring.offset(row);
      const bid = ring.data[o + BID], ask = ring.data[o + ASK];
      if (bid < low) low = bid;
      if (ask > high) high = ask;
      if (bid > high) high = bid;
      if (ask < low) low = ask;
      const [deep, tall] = reach(ring.data, o, levels);
      if (deep < deepLow) deepLow = deep;
      if (tall > deepHigh) deepHigh = tall;
    }
  }
  const trades = store.rings.trades;
  if (!(high >= low) && trades?.length) {
    for (let row = Math.max(0, trades.find(from)); row < trades.length; row++) {
      low = Math.min(low, trades.at(row, 1));
      high = Math.max(high, trades.at(row, 1));
    }
  }
  if (!(high >= low)) return null;
  const room = Math.max((high - low) * 0.12, (store.tick < Infinity ? store.tick : 0.01) * 3);
  // As far as the levels reach, but not so far that the best prices become a thread.
  const most = Math.max((high - low) * 0.9, room);
  return [
    Math.max(Math.min(deepLow, low - room), low - most),
    Math.min(Math.max(deepHigh, high + room), high + most),
  ];
}

// Sizes that the scale of colours begins and ends at, from a sample of what is shown.
export function sizeRange(ring, first, last, levels) {
  const sample = [];
  const stride = Math.max(1, Math.floor((last - first + 1) / 60));
  for (let row = first; row <= last; row += stride) {
    const o = ring.offset(row);
    for (const side of ["bid", "ask"]) {
      for (let level = 0; level < levels; level++) {
        const size = ring.data[o + place(levels, side, level) + 1];
        if (size > 0) sample.push(size);
      }
    }
  }
  if (!sample.length) return [1, 10];
  sample.sort((a, b) => a - b);
  const low = sample[Math.floor(0.05 * (sample.length - 1))];
  const high = sample[Math.floor(0.985 * (sample.length - 1))];
  return [low, Math.max(high, low * 1.5)];
}

export class HeatPane {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.range = null;
    this.age = 0;
  }

  draw(g, r, store, x, y, theme, options) {
    const ring = store.rings.books;
    g.fillStyle = theme.panel;
    g.fillRect(r.x, r.y, r.w, r.h);
    if (ring?.length && store.levels) {
      const first = Math.max(0, ring.find(x.from)), last = ring.find(x.to);
      if (last >= first) {
        const until = holdsUntil(ring, first, last, store.unseen, store.head.seen);
        this.paint(g, r, store, ring, first, last, until, x, y, theme, options);
        this.lines(g, r, ring, first, last, until, x, y, theme, store);
      }
    }
    if (options.trades) bubbles(g, r, store, x, y, theme);
  }

  paint(g, r, store, ring, first, last, until, x, y, theme, options) {
    const levels = store.levels;
    if (!this.range || this.age++ % 15 === 0 || this.contrast !== options.contrast) {
      const fresh = sizeRange(ring, first, last, levels);
      // Slowly, so that the colours of the past do not flicker.
      this.range = this.range && this.symbol === store.head.symbol
        ? this.range.map((old, i) => old * (fresh[i] / old) ** 0.3) : fresh;
      this.symbol = store.head.symbol;
      this.contrast = options.contrast;
    }
    const shrink = Math.min(1, Math.sqrt(MOST_PIXELS / (r.w * r.h)));
    const w = Math.max(1, Math.round(r.w * shrink)), h = Math.max(1, Math.round(r.h * shrink));
    if (!this.image || this.image.width !== w || this.image.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.pen = this.canvas.getContext("2d");
      this.image = this.pen.createImageData(w, h);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const px = this.pixels, table = heatTable(theme);
    px.fill(0);
    const [low, high] = this.range;
    const tick = store.tick < Infinity ? store.tick : (y.from - y.to) / h;
    const sx = new Scale(x.from, x.to, 0, w), sy = new Scale(y.from, y.to, 0, h);
    const half = tick / 2;
    for (let row = first; row <= last; row++) {
      const o = ring.offset(row);
      const left = Math.max(0, Math.floor(sx.px(ring.data[o + T])));
      const right = Math.min(w, Math.max(Math.ceil(sx.px(until[row - first])), left + 1));
      if (right <= left) continue;
      const [deep, tall] = reach(ring.data, o, levels);
      fill(px, w, h, left, right, sy.px(tall + half), sy.px(deep - half), table[0], false);
      for (let level = levels - 1; level >= 0; level--) {
        for (let side = 0; side < 2; side++) {
          const at = o + place(levels, side ? "ask" : "bid", level);
          const price = ring.data[at], size = ring.data[at + 1];
          if (!(size > 0) || price < y.to - tick || price > y.from + tick) continue;
          const colour = table[heatIndex(size, low, high, options.contrast)];
          fill(px, w, h, left, right, sy.px(price + half), sy.px(price - half), colour, true);
        }
      }
    }
    this.pen.putImageData(this.image, 0, 0);
    g.imageSmoothingEnabled = false;
    g.drawImage(this.canvas, r.x, r.y, r.w, r.h);
  }

  lines(g, r, ring, first, last, until, x, y, theme, store) {
    g.save();
    g.beginPath();
    g.rect(r.x, r.y, r.w, r.h);
    g.clip();
    const value = {
      bid: (o) => ring.data[o + BID], ask: (o) => ring.data[o + ASK],
      mid: (o) => ring.data[o + MID], micro: (o) => microprice(ring.data, o),
    };
    this.isWide = spreadOf(ring, first, last) * Math.abs(y.slope) > (this.isWide ? 8 : 10);
    for (const [name, colour, width] of [["mid", theme.mid, 0.8], ["micro", theme.micro, 1],
      ["bid", theme.buy, 1.2], ["ask", theme.sell, 1.2]]) {
      if (!this.isWide && (name === "mid" || name === "micro")) continue;
      g.beginPath();
      stepLine(g, ring, first, last, until, x, y, value[name]);
      g.strokeStyle = colour;
      g.lineWidth = width;
      g.globalAlpha = name === "mid" ? 0.7 : 1;
      g.stroke();
      g.globalAlpha = 1;
    }
    g.restore();
  }
}

// The median spread of a sample of rows.
function spreadOf(ring, first, last) {
  const found = [];
  for (let row = first; row <= last; row += 1 + ((last - first) >> 6)) {
    const spread = ring.at(row, SPREAD);
    if (spread === spread) found.push(Math.abs(spread));
  }
  return found.sort((a, b) => a - b)[found.length >> 1] ?? 0;
}

function fill(px, w, h, left, right, top, bottom, colour, thick) {
  let from = Math.round(top), to = Math.round(bottom);
  const least = thick ? (h > 160 ? 2 : 1) : 0;
  if (to < from + least) to = from + least;
  from = Math.max(0, from);
  to = Math.min(h, to);
  for (let line = from; line < to; line++) px.fill(colour, line * w + left, line * w + right);
}

// A line that holds a value to the next row, and breaks where nothing was seen.
export function stepLine(g, ring, first, last, until, x, y, value) {
  let pen = false;
  for (let row = first; row <= last; row++) {
    const o = ring.offset(row);
    const at = value(o);
    if (!Number.isFinite(at)) {
      pen = false;
      continue;
    }
    const left = x.px(ring.data[o + T]), right = x.px(until[row - first]), level = y.px(at);
    if (pen && !ring.data[o + GAP]) g.lineTo(left, level);
    else g.moveTo(left, level);
    g.lineTo(Math.max(right, left + 0.5), level);
    pen = row < last && until[row - first] >= ring.at(row + 1, T);
  }
}

function bubbles(g, r, store, x, y, theme) {
  const ring = store.rings.trades;
  if (!ring?.length) return;
  const first = ring.find(x.from) + 1, last = ring.find(x.to);
  if (last < first) return;
  // Trades that some pixels cannot part are one bubble.
  const merged = new Map();
  const wide = last - first > 600 ? 6 : 3;
  for (let row = first; row <= last; row++) {
    const [t, price, size, side] = [0, 1, 2, 3].map((column) => ring.at(row, column));
    const key = `${Math.round(x.px(t) / wide)} ${Math.round(y.px(price) / wide)} ${side}`;
    const known = merged.get(key);
    if (known) known.size += size;
    else merged.set(key, { x: x.px(t), y: y.px(price), size, side });
  }
  const list = [...merged.values()];
  const sizes = list.map((b) => b.size).sort((a, b) => a - b);
  const large = sizes[Math.floor(0.97 * (sizes.length - 1))] || 1;
  // By area, of which all together may cover only a part of the book behind them.
  const sum = sizes.reduce((total, size) => total + Math.min(1, size / large), 0);
  const fits = Math.sqrt((COVER * r.w * r.h * Math.min(1, (x.px(ring.at(last, 0)) -
    x.px(ring.at(first, 0))) / r.w + 0.02)) / (Math.PI * (sum || 1)));
  const most = Math.max(2.2, Math.min(12, r.h / 16, fits));
  g.save();
  g.beginPath();
  g.rect(r.x, r.y, r.w, r.h);
  g.clip();
  g.lineWidth = 0.8;
  for (const b of list) {
    const radius = Math.max(1, Math.min(1.6 * most, most * Math.sqrt(b.size / large)));
    g.beginPath();
    g.arc(b.x, b.y, radius, 0, 7);
    g.fillStyle = b.side > 0 ? theme.buy : b.side < 0 ? theme.sell : theme.muted;
    g.globalAlpha = 0.62;
    g.fill();
    if (radius < 2.5) continue;
    g.globalAlpha = 0.8;
    g.strokeStyle = theme.back;
    g.stroke();
  }
  g.restore();
}

// Where a strategy's signal changes its sign: [time, value, strategy].
export function turns(ring, from, to) {
  const found = [], signs = new Map();
  if (!ring?.length) return found;
  const last = ring.find(to);
  for (let row = Math.max(0, ring.find(from) - 200); row <= last; row++) {
    const t = ring.at(row, 0), strategy = ring.at(row, 1), value = ring.at(row, 2);
    const sign = Math.sign(value) || 0, before = signs.get(strategy);
    if (before !== undefined && sign !== before && t >= from) found.push([t, value, strategy]);
    signs.set(strategy, sign);
  }
  return found;
}

export function marks(g, r, store, x, theme) {
  let lastX = -Infinity;
  for (const [t, value] of turns(store.rings.signals, x.from, x.to)) {
    const px = x.px(t);
    if (px - lastX < 7) continue;
    lastX = px;
    const up = value > 0, y = up ? r.y + r.h - 4 : r.y + 20, d = up ? -7 : 7;
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

// The book over time: sizes as colours, best prices as lines, trades, gaps and marks on it.

import { ASK, BID, MID, SPREAD, T, holdsUntil, microprice, place, reach } from "./book.js";
import { Bubbles } from "./bubbles.js";
import { Film } from "./film.js";
import { HeatImage } from "./heatimage.js";
import { BACK, stepLine } from "./lines.js";
import { ANEW, KEEP, Seldom } from "./seldom.js";

const MARGIN = 28; // pixels before a new trade in which its bubble, or one that grows, may be
const EASE = Math.log(1.25); // by which sizes must have changed before colours do

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
    this.image = new HeatImage();
    this.bubbles = new Bubbles();
    this.film = new Film();
    this.range = null;
    this.looks = new Seldom();
    this.trades = null; // the ring of those drawn, and how many had come to it
    this.taken = 0;
  }

  draw(g, r, store, x, y, theme, options) {
    const ring = store.rings.books;
    const first = ring?.length ? Math.max(0, ring.find(x.from)) : 0;
    const last = ring?.length && store.levels ? ring.find(x.to) : -1;
    const until = last < first ? null : holdsUntil(ring, first, last, store.unseen, store.head.seen);
    let done = Infinity, key = "", since = Infinity;
    if (until) {
      this.paint(r, store, ring, first, last, until, x, y, theme, options.contrast);
      this.isWide = spreadOf(ring, first, last) * Math.abs(y.slope) > (this.isWide ? 8 : 10);
      key = `${this.image.key} ${this.isWide}`;
      done = ring.at(last, T);
    }
    if (options.trades) {
      this.bubbles.fit(r, store, x, y);
      key += ` ${this.bubbles.key}`;
      since = this.unseen(store.rings.trades);
    }
    key += ` ${[x.span, y.from, y.to, theme.name, store.past]}`;
    this.film.draw(r, x, key, since, done, MARGIN, (pen, from) => {
      pen.fillStyle = theme.panel;
      pen.fillRect(r.x, r.y, r.w, r.h);
      if (until) {
        this.image.draw(pen, r, x.dot);
        const begin = Math.max(first, ring.find(from - BACK / x.slope) - 1);
        this.lines(pen, ring, begin, last, until.subarray(begin - first), x, y, theme);
      }
      if (options.trades) this.bubbles.draw(pen, store, x, y, theme, from);
    });
    this.film.show(g, r);
  }

  // When the first trade was received that the picture before did not have.
  unseen(ring) {
    const taken = ring === this.trades ? this.taken : 0;
    this.trades = ring;
    this.taken = ring?.total ?? 0;
    return this.taken > taken ? ring.at(Math.max(0, ring.length - (this.taken - taken)), T) : Infinity;
  }

  paint(r, store, ring, first, last, until, x, y, theme, contrast) {
    const look = this.looks.look(store.head.symbol, x);
    if (look !== KEEP) {
      const fresh = sizeRange(ring, first, last, store.levels);
      // Of what goes on slowly, so that the colours of the past do not flicker.
      if (look === ANEW) this.range = fresh;
      else if (this.range.some((old, i) => Math.abs(Math.log(fresh[i] / old)) > EASE)) {
        this.range = this.range.map((old, i) => old * (fresh[i] / old) ** 0.5);
      }
    }
    const tick = store.tick < Infinity ? store.tick : (y.from - y.to) / r.h;
    this.image.paint(r, ring, first, last, until, store.past,
      { x, y, theme, contrast, range: this.range, tick, levels: store.levels });
  }

  lines(g, ring, first, last, until, x, y, theme) {
    const value = {
      bid: (o) => ring.data[o + BID], ask: (o) => ring.data[o + ASK],
      mid: (o) => ring.data[o + MID], micro: (o) => microprice(ring.data, o),
    };
    for (const [name, colour, width] of [["mid", theme.mid, 0.8], ["micro", theme.micro, 1],
      ["bid", theme.buy, 1.2], ["ask", theme.sell, 1.2]]) {
      if (!this.isWide && (name === "mid" || name === "micro")) continue;
      g.fillStyle = colour;
      g.globalAlpha = name === "mid" ? 0.7 : 1;
      stepLine(g, width, ring, first, last, until, x, y, value[name]);
      g.globalAlpha = 1;
    }
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

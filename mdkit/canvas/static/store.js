// What the page holds of a session: rings of rows, and the newest header.

import { Ring } from "./ring.js";
import { levelsOf, tickOf } from "./book.js";
import { follows, unpack } from "./wire.js";

const UNDER_WAY = 8; // pictures that the kernel may have sent before it hears of a hole
const CAPACITY = 6000; // of a series of which the kernel has not said how much it keeps

export class Store {
  constructor() {
    this.n = 0;
    this.head = null;
    this.rings = {};
    this.bars = new Map();
    this.profile = this.result = this.fills = null;
    this.tick = Infinity;
    this.holeUntil = -Infinity; // the last picture that tells nothing new of the hole before it
    this.begin = null; // the earliest that came since all was sent
    this.past = 0; // changes with what was seen before the newest row
    this.takeGaps([]);
    this.at = -Infinity; // when the newest picture came, by performance.now()
    this.counters = { pictures: 0, holes: 0, dropped: 0, bytes: 0 };
  }

  // Take a message in; false where one before it is missing. `onHole` is called once for each hole,
  // and again where what was sent anew is missing, too.
  take(message, view, now, onHole = () => {}) {
    if (!follows(this.n, message)) {
      if (message.n > this.holeUntil) {
        this.counters.holes++;
        this.holeUntil = message.n + UNDER_WAY;
        onHole();
      }
      return false;
    }
    this.holeUntil = -Infinity;
    this.n = message.n;
    this.at = now;
    this.counters.pictures++;
    const head = message.head;
    if (message.anew) this.clear();
    this.head = { ...(message.anew ? {} : this.head), ...head };
    if (head.gaps) this.takeGaps(head.gaps);
    if (view) {
      this.counters.bytes += view.byteLength;
      const series = unpack(message.parts, view);
      for (const [name, part] of Object.entries(series)) this.takeSeries(name, part);
    }
    return true;
  }

  clear() {
    this.rings = {};
    this.bars.clear();
    this.profile = this.result = this.fills = null;
    this.tick = Infinity;
    this.begin = null;
    this.takeGaps([]);
    this.past++;
  }

  // Gaps are [from, to, reason, messages lost]. Of what was dropped, others came meanwhile.
  takeGaps(rows) {
    this.gaps = rows;
    const unseen = rows.filter((gap) => gap[2] !== "dropped");
    const isSame = this.unseen?.length === unseen.length &&
      unseen.every((gap, i) => gap[0] === this.unseen[i][0] && gap[1] === this.unseen[i][1]);
    if (!isSame) this.past++;
    this.unseen = unseen;
  }

  takeSeries(name, { rows, width, data }) {
    if (name === "bars") return this.takeBars(data, width);
    if (name === "cells") return this.takeCells(data, width);
    if (name === "profile" || name === "result" || name === "fills") {
      this[name] = { rows, width, data: data.slice() };
      return undefined;
    }
    let ring = this.rings[name];
    if (!ring || ring.width !== width) {
      const step = name === "books" || name === "flow" ? this.head.step : 0;
      ring = this.rings[name] = new Ring(width, this.capacity(name), step);
    }
    ring.append(data);
    if (rows && ["books", "trades", "metrics"].includes(name)) {
      this.begin = Math.min(this.begin ?? Infinity, data[0]);
    }
    if (name === "books" && ring.length) {
      this.levels = levelsOf(width);
      this.tick = tickOf(ring.data, ring.offset(ring.length - 1), this.levels, this.tick);
    }
    return undefined;
  }

  // Columns: start, open, high, low, close, volume, delta, point of control, partial.
  takeBars(data, width) {
    for (let o = 0; o < data.length; o += width) {
      const [start, open, high, low, close, volume, delta, poc, partial] =
        data.subarray(o, o + width);
      this.bars.delete(start); // so that the newest is last
      this.bars.set(start, { start, open, high, low, close, volume, delta, poc, partial,
        cells: [] });
    }
    while (this.bars.size > this.capacity("bars")) this.bars.delete(this.bars.keys().next().value);
  }

  // Columns: start of the bar, price, sold, bought, unknown, imbalance (1 buy, -1 sell).
  takeCells(data, width) {
    for (let o = 0; o < data.length; o += width) {
      const [start, price, sell, buy, neutral, imbalance] = data.subarray(o, o + width);
      this.bars.get(start)?.cells.push({ price, sell, buy, neutral, imbalance });
    }
  }

  capacity(name) {
    return this.head.capacity?.[name] ?? CAPACITY;
  }

  // Seconds since the newest picture came.
  age(now) {
    return (now - this.at) / 1000;
  }
}

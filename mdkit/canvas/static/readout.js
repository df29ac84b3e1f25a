// The values under the crosshair: what stood at that moment, and nothing where it is not known.

import { ASK, ASK_SIZE, BID, BID_SIZE, MID, SPREAD, T, holdsUntil, imbalanceOf, microprice,
  pressureOf, restingAt } from "./book.js";
import { barsIn } from "./footprint.js";
import { QUEUE, isCut } from "./strips.js";
import { clock, price as writePrice, short } from "./scales.js";

// The book that is known to have stood at a time: its row, or -1.
export function bookAt(store, time) {
  const ring = store.rings.books;
  if (!ring?.length) return -1;
  const row = ring.find(time);
  if (row < 0) return -1;
  const until = holdsUntil(ring, row, row, store.unseen, store.head.seen)[0];
  return time <= until || (row === ring.length - 1 && time <= store.head.seen) ? row : -1;
}

// All that is known at a time, and at a price of the heat map where one is given.
export function valuesAt(store, time, options, price = null) {
  const values = { time };
  const head = store.head;
  if (!head) return values;
  const gap = store.unseen.find(([from, to]) => from <= time && time < to);
  if (gap) values.gap = gap[2];
  const row = bookAt(store, time), ring = store.rings.books;
  if (row >= 0) {
    const o = ring.offset(row), data = ring.data;
    Object.assign(values, {
      received: data[o + T], bid: data[o + BID], bid_size: data[o + BID_SIZE],
      ask: data[o + ASK], ask_size: data[o + ASK_SIZE], mid: data[o + MID],
      spread: data[o + SPREAD], microprice: microprice(data, o),
      pressure: pressureOf(data, o, store.levels, options.levels),
      imbalance: imbalanceOf(data, o, store.levels, options.levels),
    });
    if (price !== null) {
      const resting = restingAt(data, o, store.levels, price, store.tick);
      if (resting) values.resting = resting;
    }
  }
  if (price !== null) values.price = price;
  // What was last known holds as long as nothing was missed since, and as far as was seen.
  const holds = (since) => !isCut(store.unseen, since, time) && time <= Math.max(since, head.seen);
  const flow = store.rings.flow;
  if (flow?.length) {
    const at = flow.find(time);
    if (at >= 0 && holds(flow.at(at, 0))) values.cvd = flow.at(at, 4);
  }
  const metrics = store.rings.metrics;
  if (metrics?.length) {
    const at = metrics.find(time);
    if (at >= 0 && time - metrics.at(at, 0) < 1500) {
      for (const [name, column] of QUEUE) values[name] = metrics.at(at, column);
    }
  }
  const signals = store.rings.signals;
  if (signals?.length) {
    const said = {};
    const names = head.strategies ?? [];
    for (let at = signals.find(time), n = 0; at >= 0 && n < 400; at--, n++) {
      const name = names[signals.at(at, 1)];
      if (!holds(signals.at(at, 0))) break;
      if (name !== undefined && !(name in said)) said[name] = signals.at(at, 2);
      if (Object.keys(said).length === names.length) break;
    }
    if (Object.keys(said).length) values.signals = said;
  }
  const bar = head.interval_ms ? barsIn(store, time, time + 1e-6)[0] : null;
  if (bar) values.bar = bar;
  return values;
}

// The lines of the read-out, of the panes that are shown: [name, text].
export function linesOf(values, shown, places, options, pane = "heat") {
  const lines = [["", clock(values.time, 1)]];
  if (values.gap) lines.push(["gap", values.gap]);
  if ("bid" in values) {
    if (values.resting) {
      const { side, level, price, size } = values.resting;
      lines.push([`${side} ${level}`, `${writePrice(price, places)} × ${short(size)}`]);
    } else if ("price" in values) lines.push(["price", writePrice(values.price, places)]);
    lines.push(["ask", `${writePrice(values.ask, places)} × ${short(values.ask_size)}`]);
    lines.push(["bid", `${writePrice(values.bid, places)} × ${short(values.bid_size)}`]);
    lines.push(["micro", writePrice(values.microprice, places + 1)]);
    if (shown.has("pressure")) {
      lines.push([options.measure, Number(values[options.measure]).toPrecision(4)]);
    }
  } else if (!values.gap) lines.push(["book", "not seen"]);
  if (pane === "footprint" && values.bar) {
    const bar = values.bar;
    for (const name of ["open", "high", "low", "close", "poc"]) {
      lines.push([name, writePrice(bar[name], places)]);
    }
    lines.push(["volume", short(bar.volume)], ["delta", short(bar.delta)]);
    if (bar.partial) lines.push(["", "partial bar"]);
  }
  if (shown.has("flow") && "cvd" in values) lines.push(["cvd", short(values.cvd)]);
  if (shown.has("queue") && "queued" in values) {
    lines.push(["queued", `${short(values.queued)}, in ${short(values["in/s"])}/s, out ${
      short(values["out/s"])}/s`]);
  }
  for (const [name, value] of Object.entries(values.signals ?? {}).slice(0, 4)) {
    lines.push(["signal", `${name} ${Number(value).toPrecision(4)}`]);
  }
  return lines;
}

// The page's pure parts under Node: node --test, run by tests/canvas/test_page.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { holdsUntil, imbalanceOf, isOld, microprice, place, pressureOf, reach, restingAt, tickOf }
  from "../static/book.js";
import { merge } from "../static/bubbles.js";
import { barsIn, joinCells } from "../static/footprint.js";
import { fitPrices, sizeRange } from "../static/heat.js";
import { HeatImage } from "../static/heatimage.js";
import { heightFor, layout, paneAt } from "../static/layout.js";
import { Steps } from "../static/lines.js";
import { powerOf } from "../static/pressure.js";
import { bookAt, linesOf, valuesAt } from "../static/readout.js";
import { Ring } from "../static/ring.js";
import { Scale, clock, decimals, niceStep, price, short, ticks, timeTicks }
  from "../static/scales.js";
import { AGAIN, ANEW, KEEP, Seldom } from "../static/seldom.js";
import { noTrades } from "../static/side.js";
import { lastRows, marked, signalRanges, turns } from "../static/signals.js";
import { Store } from "../static/store.js";
import { farOf, isCut } from "../static/strips.js";
import { heatIndex, heatTable } from "../static/theme.js";
import { View } from "../static/view.js";
import { follows, unpack } from "../static/wire.js";

const rows = (...list) => Float64Array.from(list.flat());
const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-9 * Math.max(1, Math.abs(b)), `${a} ${b}`);

const heatTheme = { name: "test", heat: [[0, 0, 0], [255, 128, 0]] };

// -- ring ----------------------------------------------------------------------------------

test("a ring keeps the newest rows in order, whatever comes in one go", () => {
  for (const chunk of [1, 3, 7, 50]) {
    const ring = new Ring(2, 10), all = [];
    for (let n = 0; n < 200; n += chunk) {
      const part = [];
      for (let k = n; k < Math.min(200, n + chunk); k++) part.push([k, -k]);
      all.push(...part);
      ring.append(rows(...part));
      assert.equal(ring.length, Math.min(10, all.length));
      const held = Array.from({ length: ring.length }, (_, i) => [ring.at(i, 0), ring.at(i, 1)]);
      assert.deepEqual(held, all.slice(-10));
    }
  }
});

test("a row of the same step takes the place of the one before", () => {
  const ring = new Ring(2, 10, 50);
  ring.append(rows([0, 1], [49, 2], [50, 3]));
  ring.append(rows([99, 4], [100, 5]));
  assert.deepEqual([0, 1, 2].map((i) => [ring.at(i, 0), ring.at(i, 1)]), [[49, 2], [99, 4], [100, 5]]);
  assert.equal(ring.length, 3);
});

test("find gives the last row at or before a time", () => {
  const ring = new Ring(1, 100);
  assert.equal(ring.find(5), -1);
  ring.append(rows(10, 20, 20, 30));
  assert.deepEqual([9, 10, 15, 20, 29, 30, 99].map((t) => ring.find(t)), [-1, 0, 0, 2, 2, 3, 3]);
});

// -- scales and ticks ------------------------------------------------------------------------

test("a scale maps there and back", () => {
  const scale = new Scale(100, 200, 10, 60);
  assert.equal(scale.px(100), 10);
  assert.equal(scale.px(200), 60);
  for (const value of [100, 133.3, 250, -4]) near(scale.value(scale.px(value)), value);
});

test("steps are 1, 2 or 5 times a power of ten and ticks lie within", () => {
  assert.deepEqual([0.9, 1, 3, 47, 0.004].map((span) => niceStep(span, 10)), [0.1, 0.1, 0.5, 5, 0.0005]);
  assert.equal(niceStep(0, 10), 1);
  assert.equal(niceStep(NaN, 10), 1);
  assert.deepEqual(ticks(0.05, 0.35, 4), [0.1, 0.2, 0.3]);
  for (const [from, to] of [[160.01, 160.42], [61800.1, 61830], [-3, 7], [1e-5, 2e-5]]) {
    const found = ticks(from, to, 8);
    assert.ok(found.length >= 2 && found.length <= 9);
    assert.ok(found.every((value) => value >= from - 1e-12 && value <= to + 1e-12));
  }
});

test("times are written as finely as their ticks", () => {
  const t = Date.UTC(2024, 7, 8, 23, 54, 7, 89);
  assert.equal(clock(t, 1), "23:54:07.089");
  assert.equal(clock(t, 100), "23:54:07.0");
  assert.equal(clock(t, 1000), "23:54:07");
  assert.equal(clock(t, 60000), "23:54");
  assert.equal(clock(t, 864e5), "2024-08-08");
  const { step, found } = timeTicks(t, t + 60000, 6);
  assert.equal(step, 10000);
  assert.ok(found.every((at) => at % step === 0));
});

test("numbers are short, and prices have the decimals of their tick", () => {
  assert.deepEqual([0, 0.006, 0.1999, 1.5, 12.34, 950, 12500, 3.2e6, NaN].map(short),
    ["0", "0.006", "0.2", "1.5", "12.3", "950", "12.5k", "3.2M", "–"]);
  assert.equal(price(61800.3, 2), "61,800.30");
  assert.equal(price(-1234567.891, 1), "-1,234,567.9");
  assert.deepEqual([1, 0.5, 0.01, 0.0025, 1e-8].map(decimals), [0, 1, 2, 4, 8]);
});

// -- books ------------------------------------------------------------------------------------

const LEVELS = 3, WIDTH = 11 + 4 * (LEVELS - 1);
function book(t, { bids, asks, gap = 0 }) {
  const row = new Float64Array(WIDTH).fill(NaN);
  row[0] = t;
  row[1] = gap;
  for (const [side, levels] of [["bid", bids], ["ask", asks]]) {
    levels.forEach(([p, size], level) => {
      row[place(LEVELS, side, level)] = p;
      row[place(LEVELS, side, level) + 1] = size;
    });
  }
  row[6] = (bids[0][0] + asks[0][0]) / 2;
  row[7] = asks[0][0] - bids[0][0];
  return row;
}
const B = { bids: [[10, 5], [9.5, 2], [9, 1]], asks: [[10.5, 1], [11, 4]] };

test("measures of a book are those of mdkit", () => {
  const row = book(0, B);
  assert.equal(pressureOf(row, 0, LEVELS, 1), 5);
  assert.equal(pressureOf(row, 0, LEVELS, 3), 8 / 5);
  assert.equal(imbalanceOf(row, 0, LEVELS, 3), 3 / 13);
  assert.equal(microprice(row, 0), (10 * 1 + 10.5 * 5) / 6);
  assert.deepEqual(reach(row, 0, LEVELS), [9, 11]);
  assert.equal(tickOf(row, 0, LEVELS), 0.5);
});

test("what rests at a price is found within half a tick", () => {
  const row = book(0, B);
  assert.deepEqual(restingAt(row, 0, LEVELS, 9.6, 0.5), { side: "bid", level: 2, price: 9.5, size: 2 });
  assert.equal(restingAt(row, 0, LEVELS, 12, 0.5), null);
  assert.equal(restingAt(row, 0, LEVELS, 10.5, 0.5).side, "ask");
});

function ringOf(...books) {
  const ring = new Ring(WIDTH, 100, 50);
  for (const one of books) ring.append(one);
  return ring;
}

test("a book holds until the next one, but not into a gap nor beyond what was seen", () => {
  const ring = ringOf(book(0, B), book(100, B), book(1000, B), book(1100, { ...B, gap: 1 }));
  const until = [...holdsUntil(ring, 0, 3, [[400, 900, "disconnected"]], 5000)];
  assert.deepEqual(until, [100, 400, 1050, 5000]);
  assert.deepEqual([...holdsUntil(ring, 3, 3, [], 500)], [1100]);
});

test("a book that is not known to stand any more is old, after a moment of grace", () => {
  const store = { rings: { books: ringOf(book(0, B), book(400, B)) }, unseen: [], head: { seen: 5000 } };
  assert.equal(isOld(store, 1, 5900), false);
  assert.equal(isOld(store, 1, 6100), true, "nothing was seen for over a second");
  store.unseen = [[600, 4000, "disconnected", 0]];
  assert.equal(isOld(store, 1, 1500), false);
  assert.equal(isOld(store, 1, 1700), true, "though the feed is fresh again");
});

test("a gap amid a step that a book began in does not make it hold negatively", () => {
  const ring = ringOf(book(100, B), book(300, B));
  assert.deepEqual([...holdsUntil(ring, 0, 1, [[50, 200, "x"]], 400)], [100, 400]);
});

// -- view -------------------------------------------------------------------------------------

test("a view follows, zooms at the pointer, pans, and comes back", () => {
  const view = new View(60), now = 1e6;
  assert.equal(view.times(now)[1], now + 0.03 * 60000);
  view.panTime(-10000, now);
  assert.equal(view.follow, false);
  const [from, to] = view.times(now), at = from + 0.25 * (to - from);
  view.zoomTime(0.5, at, now);
  const [from2, to2] = view.times(now);
  near(to2 - from2, 30000);
  near((at - from2) / (to2 - from2), 0.25);
  assert.deepEqual(view.times(now + 5000), [from2, to2], "what does not follow stands still");
  view.zoomPrice(0.5, 100, [90, 120]);
  assert.deepEqual(view.prices, [95, 110]);
  view.panPrice(5, [0, 1]);
  assert.deepEqual(view.prices, [100, 115]);
  view.reset();
  assert.deepEqual([view.follow, view.prices], [true, null]);
});

test("of what is young as much is shown as there is, by steps, until the chosen span is reached", () => {
  const view = new View(60);
  view.begin = 1e6;
  assert.deepEqual(view.times(1e6), [1e6, 1e6 + 4000]);
  for (let age = 0; age < 70000; age += 100) {
    const [from, to] = view.times(1e6 + age), filled = (1e6 + age - from) / (to - from);
    assert.ok(to - from <= 60000 + 1e-6 && filled <= 0.97 + 1e-9);
    assert.ok(age < 3900 || filled > 0.97 / 1.25 - 1e-9, `${age}: ${filled}`);
    if (age < 0.97 * 48000) near(from, 1e6);
  }
  near(view.times(1e6 + 70000)[1], 1e6 + 70000 + 0.03 * 60000);
});

test("a young view that was moved keeps what it shows, and follows with the chosen span again", () => {
  const view = new View(60), now = 1e6 + 5000;
  view.begin = 1e6;
  const [from, to] = view.times(now);
  view.leave(now);
  assert.deepEqual(view.times(now + 9000), [from, to]);
  view.resume();
  assert.equal(view.span, 60000);
  view.panTime(-1000, now);
  near(view.times(now)[0], from - 1000);
  near(view.times(now)[1], to - 1000);
  view.reset();
  assert.equal(view.span, 60000);
  view.zoomTime(1.1, now, now);
  near(view.span, 66000);
  view.zoomTime(0.5, now, now);
  near(view.span, 0.5 * (to - from));
});

test("a view cannot be zoomed to nothing or panned out of sight", () => {
  const view = new View(60);
  for (let n = 0; n < 100; n++) view.zoomTime(0.1, 0, 0);
  assert.equal(view.span, 500);
  view.panTime(1e12, 1000);
  assert.ok(view.times(1000)[0] <= 1000);
});

// -- lines and bubbles ------------------------------------------------------------------------

test("a line holds its levels, joins them, and breaks where it is told to", () => {
  const drawn = [], steps = new Steps({ fillRect: (...r) => drawn.push(r) }, 2);
  steps.hold(0, 10, 5, false);
  steps.hold(10, 20, 8, true);
  steps.hold(20, 30, 8, true); // goes on
  steps.hold(40, 50, 3, false);
  steps.end();
  assert.deepEqual(drawn, [[0, 4, 9, 2], [9, 4, 2, 5], [11, 7, 19, 2], [40, 2, 10, 2]]);
});

test("within a pixel a line goes as far up and down as its levels do", () => {
  const drawn = [], steps = new Steps({ fillRect: (...r) => drawn.push(r) }, 1);
  [[0, 5], [10, 9], [10.3, 2], [10.6, 6], [20, 6]].forEach(([at, level], n) =>
    steps.hold(at, at, level, n > 0));
  steps.end();
  assert.deepEqual(drawn, [[0, 4.5, 9.5, 1], [9.5, 1.5, 1, 8], [10.5, 5.5, 10, 1]]);
});

test("a line is drawn in the same rectangles wherever it begins", () => {
  const levels = Array.from({ length: 200 }, (_, n) => [0.37 * n, (n * n) % 17]);
  const from = (first) => {
    const drawn = [], steps = new Steps({ fillRect: (...r) => drawn.push(r) }, 1.2, 0.5);
    for (const [at, level] of levels.slice(first)) steps.hold(at, at, level, true);
    steps.end();
    return new Set(drawn.filter(([left]) => left > 40).map((r) => r.join(" ")));
  };
  const whole = from(0);
  assert.ok(whole.size > 60);
  for (const first of [20, 51, 97, 98, 99]) assert.deepEqual(from(first), whole);
});

test("trades are the same bubbles wherever the pane begins", () => {
  const ring = new Ring(6, 100);
  for (let n = 0; n < 60; n++) ring.append(rows([1e12 + 7 * n, 10 + (n % 2), 1 + n, 1, 0, 0]));
  const y = new Scale(15, 9, 0, 100);
  const of = (from, first) => merge(ring, first, 59, new Scale(from, from + 3000, 0, 300, 3000), y, 3)
    .map((b) => [Math.round(from + b.x * 10), Math.round(b.y), b.size, b.side]);
  const all = of(1e12, 0);
  assert.ok(all.length < 60 && all.reduce((sum, b) => sum + b[2], 0) === 1830);
  assert.deepEqual(of(1e12 + 70, 0), all);
});

// -- layout -----------------------------------------------------------------------------------

const ALL = new Set(["heat", "footprint", "pressure", "flow", "queue", "ladder", "tape", "signals"]);

test("panes fit into any width without overlapping", () => {
  for (const width of [320, 600, 700, 848, 1280, 3840]) {
    for (const shown of [ALL, new Set(["heat"]), new Set(["ladder"]), new Set(["heat", "ladder"])]) {
      const height = heightFor(900, width);
      const { rects } = layout(width, height, shown);
      const list = Object.values(rects);
      for (const r of list) {
        assert.ok(r.w > 20 && r.h > 8, JSON.stringify([width, rects]));
        assert.ok(r.x >= 0 && r.y >= 0 && r.x + r.w <= width && r.y + r.h <= height);
      }
      list.forEach((a, i) => list.slice(i + 1).forEach((b) => assert.ok(
        a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y)));
    }
  }
});

test("book and charts fit a laptop's screen", () => {
  assert.ok(heightFor(720, 848) <= 720 - 92 - 22 - 48 - 60, "tabs, toolbars, status line");
});

test("the pane under a point is found", () => {
  const { rects } = layout(1000, 500, ALL);
  const r = rects.flow;
  assert.equal(paneAt(rects, r.x + 1, r.y + 1), "flow");
  assert.equal(paneAt(rects, -5, 3), null);
});

// -- wire and store -----------------------------------------------------------------------------

function message(n, head, series = {}, anew = false) {
  const data = Float64Array.from(Object.values(series).flat(2));
  const padded = new Uint8Array(data.byteLength + 3); // so that it is unaligned
  padded.set(new Uint8Array(data.buffer), 3);
  const parts = Object.entries(series).map(([name, list]) => [name, list.length, list[0].length]);
  return [{ kind: "picture", n, anew, head, parts }, new DataView(padded.buffer, 3)];
}
const HEAD = { now: 2000, seen: 2000, step: 50, symbol: "A", interval_ms: 5000, strategies: ["s"] };

test("series come out of an unaligned buffer as they went in", () => {
  const [{ parts }, view] = message(1, {}, { a: [[1, 2], [3, 4]], b: [[5]] });
  const found = unpack(parts, view);
  assert.deepEqual([...found.a.data], [1, 2, 3, 4]);
  assert.deepEqual([found.a.rows, found.a.width, ...found.b.data], [2, 2, 5]);
  assert.throws(() => unpack([["a", 1, 2]], view), /announced/);
});

test("a hole in the numbers is noticed, and what begins anew mends it", () => {
  assert.equal(follows(4, { n: 5 }), true);
  assert.equal(follows(4, { n: 6 }), false);
  const store = new Store();
  const trade = (t) => ({ trades: [[t, 10, 1, 1, 0]] });
  assert.equal(store.take(...message(1, HEAD, trade(0), true), 0), true);
  assert.equal(store.take(...message(2, { now: 2100 }, trade(1)), 0), true);
  assert.equal(store.take(...message(4, {}, trade(3)), 0), false);
  assert.equal(store.rings.trades.length, 2);
  assert.equal(store.counters.holes, 1);
  assert.equal(store.head.symbol, "A", "what does not change is said once");
  assert.equal(store.take(...message(7, HEAD, trade(9), true), 0), true);
  assert.equal(store.rings.trades.length, 1);
  assert.equal(store.n, 7);
});

test("a hole is told once, and again where what was sent anew is lost as well", () => {
  const store = new Store(), told = [];
  const take = (n, anew = false) =>
    store.take(...message(n, HEAD, {}, anew), 0, () => told.push(n));
  take(1, true);
  for (let n = 3; n <= 10; n++) take(n); // those that were on their way
  assert.deepEqual(told, [3]);
  for (let n = 12; n <= 15; n++) take(n); // 11, which held everything, was lost
  assert.deepEqual(told, [3, 12]);
  assert.equal(take(16, true), true);
  assert.equal(take(17), true);
  take(19);
  assert.deepEqual(told, [3, 12, 19], "each new one");
  assert.equal(store.counters.holes, 3);
});

test("the store keeps as much as the kernel says that it does", () => {
  const store = new Store();
  const head = { ...HEAD, capacity: { trades: 3, bars: 2 } };
  store.take(...message(1, head, {
    trades: [1, 2, 3, 4].map((t) => [t, 10, 1, 1, 0]),
    bars: [0, 5000, 10000].map((start) => [start, 1, 1, 1, 1, 1, 1, 1, 0]),
  }, true), 0);
  assert.equal(store.rings.trades.length, 3);
  assert.deepEqual([...store.bars.keys()], [5000, 10000]);
});

test("what is kept of the past stands until more of it was not seen, or all comes anew", () => {
  const store = new Store(), of = (rows) => { store.takeGaps(rows); return store.past; };
  const first = of([[1, 2, "lost", 0]]);
  assert.equal(of([[1, 2, "lost", 0], [3, 4, "dropped", 7]]), first, "others came meanwhile");
  assert.equal(of([[1, 2, "lost", 0], [3, 9, "dropped", 8]]), first);
  const second = of([[1, 5, "lost", 0], [3, 9, "dropped", 8]]);
  assert.notEqual(second, first);
  store.clear();
  const third = store.past;
  store.clear();
  assert.ok(third !== second && store.past !== third, "even where there was no gap");
});

test("a ring counts the rows that ever came, without those given anew", () => {
  const ring = new Ring(1, 2, 50);
  ring.append(rows([0], [10], [60], [110], [160]));
  assert.equal(ring.total, 4);
});

test("the store knows the age of what it shows", () => {
  const store = new Store();
  assert.equal(store.age(5), Infinity);
  store.take(...message(1, HEAD, {}, true), 1000);
  assert.equal(store.age(13000), 12);
});

function filled() {
  const store = new Store();
  store.take(...message(1, {
    ...HEAD, gaps: [[500, 900, "disconnected", 3], [100, 110, "dropped", 1]],
  }, {
    books: [[...book(0, B)], [...book(400, B)], [...book(1000, { ...B, gap: 1 })]],
    trades: [[10, 10.5, 2, 1, 0], [1100, 10, 3, -1, 1]],
    flow: [[50, 2, 0, 0, 2, 0], [1150, 0, 3, 0, -3, 1]],
    signals: [[0, 0, 1], [1050, 0, -1]],
    metrics: [[0, 1, 0, 5, 5, 0, 0.1], [200, 7, 0, 5, 5, 0, 0.1]],
    bars: [[0, 10.5, 10.5, 10, 10, 5, -1, 10, 1]],
    cells: [[0, 10, 3, 0, 0, 0], [0, 10.5, 0, 2, 0, 1]],
  }, true), 0);
  return store;
}

test("a read-out says what stood at that moment, and nothing of what was not seen", () => {
  const store = filled(), options = { levels: 3, measure: "pressure" };
  const at = valuesAt(store, 450, options, 9.5);
  assert.deepEqual([at.received, at.bid, at.ask, at.mid], [400, 10, 10.5, 10.25]);
  assert.equal(at.pressure, 8 / 5);
  assert.deepEqual(at.resting, { side: "bid", level: 2, price: 9.5, size: 2 });
  assert.equal(at.cvd, 2);
  assert.equal(at.queued, 7);
  assert.deepEqual(at.signals, { s: 1 });
  const unseen = valuesAt(store, 600, options, 9.5);
  assert.equal(unseen.gap, "disconnected");
  assert.ok(!("bid" in unseen) && !("cvd" in unseen) && !("signals" in unseen));
  assert.ok(linesOf(unseen, ALL, 2, options).some(([name, text]) => text === "disconnected"));
  assert.equal(bookAt(store, 1500), 2, "the newest holds while the feed is fresh");
  assert.equal(bookAt(store, 2500), -1, "but not beyond what was seen");
  assert.equal(bookAt(store, -1), -1);
  const behind = valuesAt(store, 1000, options);
  assert.ok("bid" in behind && !("cvd" in behind) && !("signals" in behind),
    "what was known before a gap is not known behind it");
  assert.equal(valuesAt(store, 1200, options).cvd, -3);
});

test("stretches cut lines", () => {
  assert.equal(isCut([[5, 9]], 1, 4), false);
  assert.equal(isCut([[5, 9]], 1, 6), true);
  assert.equal(isCut([[5, 9]], 6, 7), true);
});

test("only turns of sign are marks", () => {
  const ring = new Ring(3, 100);
  ring.append(rows([0, 0, 1], [1, 1, -1], [2, 0, 2], [3, 0, -1], [4, 0, -2], [5, 1, 0], [6, 0, 1]));
  assert.deepEqual(turns(ring, 0, 10, 2), [[3, -1, 0], [5, 0, 1], [6, 1, 0]]);
  assert.deepEqual([...signalRanges(ring, 0, 6, 2)], [[0, [-2, 2]], [1, [-1, 0]]]);
});

test("a strategy's last signal counts however long ago it was and however much others said", () => {
  const ring = new Ring(3, 4000);
  ring.append(rows([0, 1, 5], [1, 1, NaN]));
  for (let n = 0; n < 3000; n++) ring.append(rows([10 + n, 0, n % 7 - 3]));
  ring.append(rows([3020, 1, -5]));
  assert.deepEqual([...lastRows(ring, 3001, 2)], [[0, 3001], [1, 0]]);
  assert.deepEqual([...lastRows(ring, 1, 3)], [[1, 0]], "one that never spoke has none");
  assert.deepEqual(turns(ring, 3015, 3030, 2), [[3020, -5, 1]]);
  assert.deepEqual(signalRanges(ring, 3000, 3010, 2).get(1), [4, 6]);
});

test("the same turns are marked wherever the pane begins, and those of two sides apart", () => {
  const ring = new Ring(3, 4000);
  for (let n = 0; n < 900; n++) ring.append(rows([1e12 + 13 * n, 0, n % 3 ? 1 : -1]));
  const of = (from) => marked(ring, new Scale(from, from + 6000, 0, 750, 6000), 1)
    .map(([t, value]) => `${t} ${value}`);
  const all = of(1e12), moved = of(1e12 + 64);
  assert.ok(all.length > 150 && all.length < 200, "one a side in 64 ms");
  const both = moved.filter((mark) => Number(mark.split(" ")[0]) < 1e12 + 6000);
  assert.deepEqual(both, all.filter((mark) => Number(mark.split(" ")[0]) >= 1e12 + 64));
});

test("what depends on all that is shown changes seldom, but at once with another stretch", () => {
  const looks = new Seldom(), at = (from, span = 1000) => ({ from, span });
  assert.equal(looks.look("A", at(0)), ANEW);
  const next = Array.from({ length: 30 }, (_, n) => looks.look("A", at(n)));
  assert.deepEqual(next.flatMap((look, n) => (look === KEEP ? [] : [[n, look]])),
    [[14, AGAIN], [29, AGAIN]]);
  assert.equal(looks.look("A", at(30, 800)), ANEW, "zoomed");
  assert.equal(looks.look("A", at(-500, 800)), ANEW, "panned");
  assert.equal(looks.look("B", at(-500, 800)), ANEW);
  assert.equal(looks.look("B", at(-500, 800)), KEEP);
});

test("the scale of ratios does not go to and fro where they are at its edge", () => {
  const ring = new Ring(1, 100), value = (o) => ring.data[o];
  ring.append(rows([2.9], [3.1]));
  const of = (row, before) => powerOf(ring, row, row, value, before);
  assert.equal(of(0, 1), 3);
  assert.equal(of(1, 3), 4, "larger as soon as it must be");
  assert.equal(of(0, 4), 4, "not smaller for so little");
  ring.append(rows([1.5]));
  assert.equal(of(2, 4), 2);
});

test("samples of a replay are joined however fast it is played, and no hole is", () => {
  const at = (...times) => {
    const ring = new Ring(1, 100);
    ring.append(Float64Array.from(times));
    return farOf(ring, 0, times.length - 1);
  };
  assert.equal(at(0), 1500);
  assert.equal(at(0, 200, 400, 600, 20600, 20800), 1500);
  assert.equal(at(0, 4000, 8000, 12000), 16000);
});

// -- heat map and footprint ------------------------------------------------------------------------

test("of the heat map what is kept is what painting all would give, behind gaps as well", () => {
  const pen = { putImageData() {}, createImageData: (width, height) =>
    ({ width, height, data: new Uint8ClampedArray(4 * width * height) }) };
  globalThis.document = { createElement: () => ({ getContext: () => pen }) };
  const r = { w: 200, h: 40 }, ring = new Ring(11, 500, 50), theme = heatTheme;
  const y = new Scale(12, 8, 0, 40), gaps = [], kept = new HeatImage();
  const paint = (image, now) => {
    const from = Math.ceil((now - 1000) / 5) * 5, x = new Scale(from, from + 1000, 0, 200, 1000);
    const first = Math.max(0, ring.find(x.from)), last = ring.find(x.to);
    const until = holdsUntil(ring, first, last, gaps, now);
    image.paint(r, ring, first, last, until, gaps.length,
      { x, y, theme, contrast: 1, range: [1, 10], tick: 1, levels: 1 });
    return [...image.pixels];
  };
  let painted = 0;
  for (let n = 0, now = 1e12; n < 300; n++) {
    now += 3 + (n * 7) % 23;
    const isBehind = n % 40 === 39;
    if (isBehind) {
      gaps.push([ring.at(ring.length - 1, 0), now + 150]);
      now += 151;
    }
    ring.append(rows([now, isBehind ? 1 : 0, 9, 1 + n % 9, 11, 2 + n % 7, 10, 2, 1, 1, 1]));
    const whole = paint(new HeatImage(), now + 2);
    assert.deepEqual(paint(kept, now + 2), whole, `picture ${n}`);
    painted += whole.filter(Boolean).length;
  }
  assert.ok(painted > 300 * 500);
  delete globalThis.document;
});

test("colours are a logarithmic scale of sizes", () => {
  assert.equal(heatIndex(0, 1, 100), 0);
  assert.equal(heatIndex(1, 1, 100), 1);
  assert.equal(heatIndex(10, 1, 100), 128);
  assert.equal(heatIndex(1e9, 1, 100), 255);
  assert.equal(heatIndex(NaN, 1, 100), 0);
  assert.ok(heatIndex(10, 1, 100, 2) < 128);
  const table = heatTable(heatTheme);
  assert.equal(table[0], 0xff000000);
  assert.equal(table[255], 0xff0080ff);
});

test("sizes and prices are fitted to what is shown", () => {
  const store = filled(), ring = store.rings.books;
  const [low, high] = sizeRange(ring, 0, 2, LEVELS);
  assert.ok(low >= 1 && high <= 7.5 && high > low);
  const [bottom, top] = fitPrices(store, 0, 2000, LEVELS);
  assert.ok(bottom <= 9.5 && bottom >= 8 && top >= 11 && top <= 12.5);
  assert.equal(fitPrices(new Store(), 0, 1, 1), null);
});

test("bars of a stretch are found, and their cells joined where they would be too thin", () => {
  const store = filled();
  assert.equal(barsIn(store, 0, 10).length, 1);
  assert.equal(barsIn(store, 5000, 6000).length, 0);
  assert.deepEqual(store.bars.get(0).cells.map((cell) => cell.buy), [0, 2]);
  const cells = [10, 10.5, 11, 11.5].map((p) => ({ price: p, sell: 1, buy: 2, neutral: 0 }));
  assert.equal(joinCells(cells, 0.5, 0.01, 10).cells.length, 4);
  const joined = joinCells(cells, 0.5, 0.1, 10);
  assert.equal(joined.step, 1);
  assert.deepEqual(joined.cells.map((cell) => [cell.price, cell.sell, cell.buy]),
    [[10, 2, 4], [11, 2, 4]]);
});

test("a pane without trades says why, and how to get them while that helps", () => {
  const head = { may_trade: false, symbol: "A" };
  assert.equal(noTrades({}), "no trades yet");
  assert.equal(noTrades({ over: true }, true), "no trades");
  assert.equal(noTrades(head), "trades are not subscribed to");
  assert.equal(noTrades(head, true), 'trades are not subscribed to: session.subscribe("trade", "A")');
  assert.equal(noTrades({ ...head, over: true }, true), "trades are not subscribed to");
});

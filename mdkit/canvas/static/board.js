// The canvas: it draws the panes that are shown of what the store holds.

import { MID, isOld } from "./book.js";
import * as bars from "./footprint.js";
import { HeatPane, fitPrices } from "./heat.js";
import { AXIS, heightFor, layout } from "./layout.js";
import { Scale, clock, decimals, price as writePrice, ticks, timeTicks } from "./scales.js";
import { PressurePane } from "./pressure.js";
import { resultPane, tradeTable } from "./result.js";
import { marks } from "./signals.js";
import { Ladder, noTrades, signalTable, tape } from "./side.js";
import * as strips from "./strips.js";
import { themeOf } from "./theme.js";

const TITLES = { equity: "Equity", drawdown: "Drawdown", exposure: "Exposure", heat: "Book", footprint: "Footprint", flow: "Flow", queue: "Queue" };
const FADE_MS = 50;

export class Board {
  constructor(canvas, store, view, options) {
    Object.assign(this, { canvas, store, view, options });
    this.g = canvas.getContext("2d");
    this.heat = new HeatPane();
    this.pressure = new PressurePane();
    this.ladder = new Ladder();
    this.cursor = null;
    this.draws = 0;
    this.scales = {};
    this.onDirty = () => {}; // called whenever it has to be drawn again
    this.dirty = true;
    this.width = this.height = 0;
  }

  get dirty() {
    return this.isDirty;
  }

  set dirty(isDirty) {
    this.isDirty = isDirty;
    if (isDirty) this.onDirty();
  }

  // Take the size of the element and the screen's resolution.
  fit(width) {
    const tall = heightFor(window.innerHeight, width);
    const dots = Math.min(3, window.devicePixelRatio || 1);
    // On a very wide screen everything is drawn larger, texts too.
    const zoom = Math.min(2, Math.max(1, width / 1900)), ratio = dots * zoom;
    const [w, h] = [width / zoom, tall / zoom];
    if (w === this.width && h === this.height && ratio === this.ratio) return;
    Object.assign(this, { width: w, height: h, ratio, zoom, dirty: true });
    this.canvas.width = Math.round(width * dots);
    this.canvas.height = Math.round(tall * dots);
    this.canvas.style.height = `${tall}px`;
  }

  get places() {
    const head = this.store.head;
    const tick = Math.min(this.store.tick, head?.price_step || Infinity);
    return tick < Infinity ? Math.max(2, decimals(tick)) : 2;
  }

  // The newest moment: that of the picture, or of the picture at which it was paused.
  get now() {
    return this.store.paused?.at ?? this.store.head?.now ?? 0;
  }

  get times() {
    return this.view.times(this.now);
  }

  draw(now) {
    const { g, store, options, ratio } = this;
    if (!this.width || this.width < 60) return;
    this.dirty = false;
    this.draws++;
    this.theme = themeOf(this.canvas, options.theme);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.fillStyle = this.theme.back;
    g.fillRect(0, 0, this.width, this.height);
    this.panes = layout(this.width, this.height, options.shown,
      store.head?.mode === "result");
    this.scales = {};
    if (!store.head) return this.message("waiting for the first picture");
    const { rects } = this.panes;
    const plot = this.panes.strips[0] && rects[this.panes.strips[0]];
    if (plot) {
      this.x = this.timeScale(plot);
      for (const name of this.panes.strips) this.strip(name, rects[name]);
      this.timeAxis(rects.times);
    }
    const until = this.now;
    this.drawLadder(now);
    this.tableRows = rects.results
      ? tradeTable(g, rects.results, store, this.theme, this.places, ...this.times) : [];
    if (rects.tape) tape(g, rects.tape, store, this.theme, this.places, until);
    if (rects.signals) signalTable(g, rects.signals, store, this.theme);
    this.crosshair();
    return undefined;
  }

  drawLadder(now) {
    const r = this.panes.rects.ladder;
    if (!r) return;
    this.flashed = now;
    this.ladder.draw(this.g, r, this.store, this.theme, this.options, this.places, now, this.now);
  }

  get moving() {
    return Boolean(this.panes?.rects.ladder) && this.ladder.moving;
  }

  // Let what flashes fade, where no picture has come meanwhile.
  fade(now) {
    if (this.moving && now - this.flashed > FADE_MS) this.drawLadder(now);
  }

  // While it follows, time moves by whole pixels of the screen: all of a pane moves as one, and what
  // is kept of it as pixels stays in its place.
  timeScale(plot) {
    let [from, to] = this.times;
    const span = this.view.shown(this.now), per = span / (plot.w * this.ratio);
    if (this.view.follow) {
      from = Math.ceil(from / per) * per;
      to = from + span;
    }
    return new Scale(from, to, plot.x, plot.x + plot.w, span, 1 / this.ratio);
  }

  strip(name, r) {
    const { g, store, theme, options, x } = this;
    if (store.head.mode === "result") {
      this.scales[name] = resultPane(g, r, store, x, theme, name, this.places);
      this.title(name, r);
      return;
    }
    if (name === "heat") this.heatPane(r);
    else if (name === "pressure") {
      this.scales[name] = this.pressure.draw(g, r, store, x, theme, options);
    }
    else if (name === "footprint") {
      this.scales[name] = bars.footprint(g, r, store, x, theme, this.places);
    } else this.scales[name] = strips[name](g, r, store, x, theme);
    const isOfTrades = name === "flow" || name === "footprint";
    if (isOfTrades && !store.rings.trades?.length) {
      strips.note(g, r, noTrades(store.head, true), theme);
    }
    if (name !== "queue") strips.gaps(g, r, store, x, theme, name === "heat");
    this.title(name, r);
  }

  heatPane(r) {
    const { g, store, theme, options, x } = this;
    const fitted = fitPrices(store, x.from, x.to, store.levels ?? 1);
    this.fitted = this.ease(fitted);
    const shown = this.view.prices ?? this.fitted;
    if (!shown) {
      strips.frame(g, r, theme);
      return;
    }
    const y = new Scale(shown[1], shown[0], r.y, r.y + r.h);
    this.scales.heat = y;
    this.heat.draw(g, r, store, x, y, theme, options);
    if (options.profile) bars.profile(g, r, store, y, theme);
    const values = ticks(shown[0], shown[1], Math.max(2, Math.min(12, r.h / 32)));
    const newest = this.newest();
    const taken = newest ? y.px(newest.mid) : -Infinity;
    strips.levelsGrid(g, r, y, values, (v) => writePrice(v, this.places), theme, taken);
    if (options.marks) marks(g, r, store, x, theme);
    if (taken > r.y && taken < r.y + r.h) {
      const back = newest.isOld ? theme.muted : theme.queue;
      this.tag(r.x + r.w + 1, taken, writePrice(newest.mid, this.places), back, "#ffffff", g);
    }
  }

  // Prices that fit, moved only when they must be: a picture that breathes is hard to read.
  ease(wanted) {
    const old = this.kept;
    if (!wanted) return old ?? null;
    const symbol = this.store.head.symbol;
    if (old && symbol === this.keptSymbol && old[0] <= wanted[0] && old[1] >= wanted[1] &&
        old[1] - old[0] < 1.6 * (wanted[1] - wanted[0])) return old;
    const room = 0.08 * (wanted[1] - wanted[0]);
    this.keptSymbol = symbol;
    this.kept = [wanted[0] - room, wanted[1] + room];
    return this.kept;
  }

  // The newest price that is known, and whether it may have changed since.
  newest() {
    const ring = this.store.rings.books;
    const row = ring?.length ? ring.find(this.now) : -1;
    if (row < 0) return null;
    return { mid: ring.at(row, MID), isOld: isOld(this.store, row, this.now) };
  }

  tag(x, y, text, back, ink, g) {
    g.font = "600 10px system-ui, sans-serif";
    const width = g.measureText(text).width + 8;
    g.fillStyle = back;
    g.fillRect(x, y - 7.5, width, 15);
    g.fillStyle = ink;
    g.textAlign = "left";
    g.textBaseline = "middle";
    g.fillText(text, x + 4, y + 0.5);
  }

  title(name, r) {
    const { g, theme, options, store } = this;
    let text = TITLES[name] ?? "";
    const extra = [];
    if (name === "price") {
      text = store.head.symbol ?? "";
      extra.push(["bought", theme.buy], ["sold", theme.sell]);
    } else if (name === "heat") {
      text = store.head.symbol ?? "";
      extra.push(["bid", theme.buy], ["ask", theme.sell]);
      if (this.heat.isWide) extra.push(["mid", theme.mid], ["micro", theme.micro]);
    } else if (name === "pressure") {
      text = options.measure === "pressure" ? "Pressure" : "Imbalance";
      extra.push([`${options.levels} levels`, theme.queue]);
      (store.head.strategies ?? []).slice(0, 4).forEach((strategy, i) =>
        extra.push([strategy, theme.series[(1 + i) % theme.series.length]]));
    } else if (name === "queue") {
      for (const [label, column, colour] of strips.QUEUE) {
        if (column === 2 || column === 5) continue;
        extra.push([label, theme[colour]]);
      }
    } else if (name === "flow") extra.push(["cvd", theme.ink], ["bought", theme.buy], ["sold", theme.sell]);
    else if (name === "footprint") {
      extra.push([`${store.head.interval ?? ""} sold × bought`, theme.muted]);
    }
    let x = r.x + 6;
    g.textBaseline = "top";
    g.textAlign = "left";
    const write = (part, font, colour) => {
      g.font = font;
      const width = g.measureText(part).width;
      if (x + width > r.x + r.w - 4) return;
      // A rim in the colour of the ground, so that it can be read on whatever is drawn.
      g.strokeStyle = theme.panel;
      g.lineWidth = 3.5;
      g.lineJoin = "round";
      g.strokeText(part, x, r.y + 4);
      g.fillStyle = colour;
      g.fillText(part, x, r.y + 4);
      x += width + 9;
    };
    write(text, "600 11px system-ui, sans-serif", theme.ink);
    if (r.h > 34) for (const [label, colour] of extra) write(label, "10.5px system-ui, sans-serif", colour);
  }

  timeAxis(r) {
    const { g, theme, x } = this;
    const { step, found } = timeTicks(x.from, x.to, Math.max(2, r.w / 92));
    g.font = "10px system-ui, sans-serif";
    g.textBaseline = "middle";
    g.textAlign = "center";
    for (const at of found) {
      const px = Math.round(x.px(at)) + 0.5;
      g.strokeStyle = theme.grid;
      g.lineWidth = 1;
      g.beginPath();
      g.moveTo(px, 0);
      g.lineTo(px, r.y + 3);
      g.stroke();
      if (px < 24 || px > r.w - 24) continue;
      g.fillStyle = theme.muted;
      g.fillText(clock(at, step), px, r.y + r.h / 2 + 1);
    }
    g.textAlign = "left";
    g.fillStyle = theme.muted;
    g.fillText("UTC", r.w + 5, r.y + r.h / 2 + 1);
  }

  crosshair() {
    const { g, theme, cursor, panes } = this;
    if (!cursor || !this.x) return;
    const plot = panes.rects[panes.strips[0]];
    if (cursor.x < plot.x || cursor.x > plot.x + plot.w) return;
    const bottom = panes.rects.times;
    g.strokeStyle = theme.muted;
    g.lineWidth = 1;
    g.setLineDash([3, 3]);
    g.beginPath();
    const px = Math.round(cursor.x) + 0.5;
    g.moveTo(px, plot.y);
    g.lineTo(px, bottom.y);
    const r = panes.rects[cursor.pane];
    if (r && cursor.pane !== "times") {
      const py = Math.round(cursor.y) + 0.5;
      g.moveTo(r.x, py);
      g.lineTo(r.x + r.w, py);
    }
    g.stroke();
    g.setLineDash([]);
    const at = this.x.value(cursor.x), isLong = this.x.to - this.x.from > 864e5;
    const text = isLong ? `${clock(at, 864e5)} ${clock(at, 6e4)}` : clock(at, 1);
    g.font = "600 10px system-ui, sans-serif";
    const width = g.measureText(text).width + 8;
    const left = Math.max(0, Math.min(bottom.w - width, px - width / 2));
    this.tag(left, bottom.y + 9, text, theme.tag, theme.tagInk, g);
    const y = this.scales[cursor.pane];
    if (y && (["heat", "footprint", "price"].includes(cursor.pane))) {
      const value = writePrice(y.value(cursor.y), this.places);
      this.tag(r.x + r.w + 1, cursor.y, value, theme.tag, theme.tagInk, g);
    }
  }

  message(text) {
    const { g, theme } = this;
    g.font = "13px system-ui, sans-serif";
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.fillStyle = theme.muted;
    g.fillText(text, this.width / 2, this.height / 2);
  }
}

// The panes beside the charts: ladder, tape and signals.

import { SPREAD, T, isOld, microprice, place, pressureOf } from "./book.js";
import { clock, price as writePrice, short } from "./scales.js";

const FONT = "11px system-ui, sans-serif";
const FLASH_MS = 300, RECENT_MS = 10000;

function title(g, r, text, theme) {
  g.fillStyle = theme.panel;
  g.fillRect(r.x, r.y, r.w, r.h);
  g.font = "600 11px system-ui, sans-serif";
  g.textAlign = "left";
  g.textBaseline = "top";
  g.fillStyle = theme.ink;
  g.fillText(text, r.x + 6, r.y + 4);
}

function fit(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  let cut = text;
  while (cut.length > 1 && g.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1);
  return `${cut}…`;
}

export class Ladder {
  constructor() {
    this.sizes = new Map();
    this.flashes = new Map();
  }

  // Note which sizes have changed since the last book that was shown.
  note(book, now, symbol) {
    if (symbol !== this.symbol) {
      this.sizes.clear();
      this.flashes.clear();
      this.symbol = symbol;
    }
    const sizes = new Map();
    for (const { price, size } of book) {
      sizes.set(price, size);
      // A price that has only come into sight has not changed, as far as is known.
      if (this.sizes.has(price) && this.sizes.get(price) !== size) this.flashes.set(price, now);
    }
    this.sizes = sizes;
    for (const [price, at] of this.flashes) if (now - at > FLASH_MS) this.flashes.delete(price);
  }

  draw(g, r, store, theme, options, places, now, until) {
    const ring = store.rings.books;
    const row = ring?.length ? ring.find(until) : -1;
    const old = row >= 0 && isOld(store, row, until) ? `, as of ${clock(ring.at(row, T), 1000)}` : "";
    title(g, r, `${store.head.symbol || "Ladder"}${old}`, theme);
    if (row < 0) {
      g.font = FONT;
      g.fillStyle = theme.muted;
      g.fillText("no book yet", r.x + 6, r.y + 22);
      return;
    }
    const o = ring.offset(row), levels = store.levels, data = ring.data;
    const height = 15;
    const room = Math.floor((r.h - 20 - 18) / height / 2);
    const count = Math.max(1, Math.min(levels, room));
    const sides = ["ask", "bid"].map((side) => {
      let total = 0;
      return Array.from({ length: count }, (_, level) => {
        const at = o + place(levels, side, level);
        total += data[at + 1] || 0;
        return { side, price: data[at], size: data[at + 1], total };
      }).filter((line) => Number.isFinite(line.price));
    });
    const [asks, bids] = sides;
    this.note([...asks, ...bids], now, store.head.symbol);
    const largest = Math.max(...asks.map((a) => a.size), ...bids.map((b) => b.size), 1e-12);
    const recent = recentTrades(store, until);
    let y = Math.round(r.y + 20 + (r.h - 20) / 2) - 9 - height * asks.length;
    // What may have changed since is shown faintly, and as no more than what it was.
    const fade = old ? 0.4 : 1;
    g.font = FONT;
    const widest = g.measureText(writePrice(asks.at(-1)?.price ?? bids[0]?.price, places)).width;
    // What was traded stands left of the price, and must not run into it.
    const middle = Math.max(r.w * (r.w > 230 ? 0.47 : 0.5), widest + 46);
    const line = { g, r, theme, places, largest, recent, height, now, fade, middle };
    for (const ask of [...asks].reverse()) {
      this.row(line, ask, y);
      y += height;
    }
    g.globalAlpha = fade;
    this.middle(g, r, theme, data, o, levels, options, places, y);
    g.globalAlpha = 1;
    y += 18;
    for (const bid of bids) {
      this.row(line, bid, y);
      y += height;
    }
  }

  row(line, { side, price, size, total }, y) {
    const { g, r, theme, places, largest, recent, height, now, fade, middle } = line;
    const colour = side === "bid" ? theme.buy : theme.sell;
    const at = [r.x + 6, r.x + middle, r.x + r.w - 6];
    const bar = (at[2] - at[1]) * 0.98 * Math.min(1, size / largest);
    // A change lights the bar up in its own colour.
    const flash = Math.max(0, 1 - (now - (this.flashes.get(price) ?? -Infinity)) / FLASH_MS);
    g.globalAlpha = (0.24 + 0.26 * flash) * fade;
    g.fillStyle = colour;
    g.fillRect(at[1] + 3, y + 1, Math.max(bar, 3 * flash), height - 2);
    g.globalAlpha = fade;
    const text = y + height / 2 + 0.5;
    g.font = FONT;
    g.textBaseline = "middle";
    g.fillStyle = colour;
    g.textAlign = "right";
    g.fillText(writePrice(price, places), at[1] - 2, text);
    g.fillStyle = theme.ink;
    g.textAlign = "left";
    g.fillText(short(size), at[1] + 7, text);
    g.fillStyle = theme.muted;
    g.textAlign = "right";
    g.fillText(short(total), at[2], text);
    const traded = recent.get(price);
    if (traded) {
      g.textAlign = "left";
      g.fillStyle = traded.net >= 0 ? theme.buy : theme.sell;
      g.fillText(short(traded.size), at[0], text);
    }
    g.globalAlpha = 1;
  }

  middle(g, r, theme, data, o, levels, options, places, y) {
    g.strokeStyle = theme.line;
    g.lineWidth = 1;
    g.strokeRect(r.x + 4.5, y + 1.5, r.w - 9, 15);
    const parts = [
      `spread ${writePrice(data[o + SPREAD], places)}`,
      `micro ${writePrice(microprice(data, o), places + 1)}`,
      `pressure ${short(pressureOf(data, o, levels, options.levels))}`,
    ];
    g.font = "10px system-ui, sans-serif";
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.fillStyle = theme.ink;
    while (parts.length > 1 && g.measureText(parts.join("  ")).width > r.w - 16) parts.pop();
    g.fillText(parts.join("  "), r.x + r.w / 2, y + 9.5);
  }

  get moving() {
    return this.flashes.size > 0;
  }
}

// Sizes traded at each price in the last ten seconds, and bought minus sold.
export function recentTrades(store, until) {
  const found = new Map(), ring = store.rings.trades;
  if (!ring?.length) return found;
  for (let row = ring.find(until); row >= 0 && ring.at(row, T) > until - RECENT_MS; row--) {
    const price = ring.at(row, 1), size = ring.at(row, 2);
    const known = found.get(price) ?? { size: 0, net: 0 };
    known.size += size;
    known.net += size * ring.at(row, 3);
    found.set(price, known);
  }
  return found;
}

// Why there are no trades, and where there is room and time how to get them.
export function noTrades(head, isWide = false) {
  if (head.may_trade !== false) return head.over ? "no trades" : "no trades yet";
  const cure = isWide && !head.over ? `: session.subscribe("trade", "${head.symbol}")` : "";
  return `trades are not subscribed to${cure}`;
}

export function tape(g, r, store, theme, places, until) {
  title(g, r, "Trades", theme);
  const ring = store.rings.trades;
  g.font = FONT;
  g.textBaseline = "top";
  if (!ring?.length) {
    g.textAlign = "left";
    g.fillStyle = theme.muted;
    g.fillText(noTrades(store.head), r.x + 6, r.y + 21, r.w - 12);
    return;
  }
  let y = r.y + 21;
  for (let row = ring.find(until); row >= 0 && y + 13 <= r.y + r.h; row--, y += 14) {
    const side = ring.at(row, 3);
    g.textAlign = "left";
    g.fillStyle = theme.muted;
    const wide = r.w > 185;
    if (r.w > 150) g.fillText(clock(ring.at(row, T), wide ? 1 : 1000), r.x + 6, y);
    g.textAlign = "right";
    g.fillStyle = side > 0 ? theme.buy : side < 0 ? theme.sell : theme.ink;
    g.fillText(writePrice(ring.at(row, 1), places), r.x + r.w * (wide ? 0.73 : 0.7), y);
    g.fillStyle = theme.ink;
    g.fillText(short(ring.at(row, 2)), r.x + r.w - 6, y);
  }
}

export function signalTable(g, r, store, theme) {
  const head = store.head ?? {};
  title(g, r, `Signals${head.signals ? ` (${head.signals.toLocaleString("en")})` : ""}`, theme);
  g.font = FONT;
  g.textBaseline = "top";
  let y = r.y + 21;
  for (const [t, symbol, strategy, value] of head.newest ?? []) {
    if (y + 13 > r.y + r.h) break;
    g.textAlign = "left";
    g.fillStyle = theme.muted;
    const isWide = r.w > 170;
    if (isWide) g.fillText(clock(t, 1000), r.x + 6, y);
    g.fillStyle = theme.ink;
    g.fillText(fit(g, `${symbol} ${strategy}`, r.w - (isWide ? 112 : 58)), r.x + (isWide ? 60 : 6), y);
    g.textAlign = "right";
    g.fillStyle = value > 0 ? theme.buy : value < 0 ? theme.sell : theme.ink;
    g.fillText((value ?? NaN).toPrecision(3).replace(/e\+?/, "e"), r.x + r.w - 6, y);
    y += 14;
  }
}

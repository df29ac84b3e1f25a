// A backtest on the canvas: price with fills, equity, drawdown and exposure; its trades.

import { Scale, clock, price as writePrice, short, ticks } from "./scales.js";
import { clipped, frame, levelsGrid } from "./strips.js";

// Columns of a result: time, close, equity, drawdown, exposure.
export const COLUMNS = { price: 1, equity: 2, drawdown: 3, exposure: 4 };

// The row at or before a time, or -1.
export function rowAt(part, time) {
  let low = 0, high = part?.rows ?? 0;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (part.data[middle * part.width] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export function resultValues(store, time) {
  const part = store.result, row = rowAt(part, time), values = { time };
  if (row < 0) return values;
  const o = row * part.width;
  values.received = part.data[o];
  for (const [name, column] of Object.entries(COLUMNS)) values[name] = part.data[o + column];
  return values;
}

export function resultLines(values, places) {
  const lines = [["", `${clock(values.received ?? values.time, 864e5)} ${
    clock(values.received ?? values.time, 1000)}`]];
  if (!("price" in values)) return lines;
  lines.push(["close", writePrice(values.price, places)]);
  lines.push(["equity", writePrice(values.equity, 2)]);
  lines.push(["drawdown", `${(100 * values.drawdown).toFixed(2)} %`]);
  lines.push(["exposure", values.exposure.toFixed(3)]);
  return lines;
}

export function resultPane(g, r, store, x, theme, name, places) {
  frame(g, r, theme);
  const part = store.result, column = COLUMNS[name];
  if (!part?.rows) return null;
  const first = Math.max(0, rowAt(part, x.from)), last = Math.min(part.rows - 1,
    rowAt(part, x.to) + 1);
  let low = Infinity, high = -Infinity;
  for (let row = first; row <= last; row++) {
    const value = part.data[row * part.width + column];
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high >= low)) return null;
  if (name === "drawdown") high = Math.max(high, 0);
  if (name === "exposure") [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  const room = 0.08 * (high - low) || Math.abs(high) * 0.01 || 1;
  const y = new Scale(high + room, low - room, r.y, r.y + r.h);
  const write = { price: (v) => writePrice(v, places), equity: short,
    drawdown: (v) => `${Number((100 * v).toFixed(1))} %`, exposure: (v) => `${v}` }[name];
  levelsGrid(g, r, y, ticks(y.to, y.from, Math.max(2, r.h / 40)), write, theme);
  const colour = { price: theme.mid, equity: theme.queue, drawdown: theme.bad,
    exposure: theme.spill }[name];
  clipped(g, r, () => {
    const line = (isStep) => {
      g.beginPath();
      for (let row = first; row <= last; row++) {
        const o = row * part.width, px = x.px(part.data[o]), py = y.px(part.data[o + column]);
        if (row === first) g.moveTo(px, py);
        else {
          if (isStep) g.lineTo(px, y.px(part.data[o - part.width + column]));
          g.lineTo(px, py);
        }
      }
    };
    const isFilled = name === "drawdown" || name === "exposure";
    line(name === "exposure");
    if (isFilled) {
      g.lineTo(x.px(part.data[last * part.width]), y.px(0));
      g.lineTo(x.px(part.data[first * part.width]), y.px(0));
      g.fillStyle = colour;
      g.globalAlpha = 0.25;
      g.fill();
      g.globalAlpha = 1;
      line(name === "exposure");
    }
    g.strokeStyle = colour;
    g.lineWidth = 1.2;
    g.stroke();
    if (name === "price") fills(g, store, x, y, theme);
  });
  return y;
}

// Columns of fills: time, price, units (negative: sold).
function fills(g, store, x, y, theme) {
  const part = store.fills;
  for (let row = 0; row < (part?.rows ?? 0); row++) {
    const [t, price, units] = part.data.subarray(row * part.width, row * part.width + 3);
    if (t < x.from || t > x.to) continue;
    const px = x.px(t), py = y.px(price), d = units > 0 ? 7 : -7;
    g.beginPath();
    g.moveTo(px, py);
    g.lineTo(px - 4, py + d);
    g.lineTo(px + 4, py + d);
    g.closePath();
    g.fillStyle = units > 0 ? theme.buy : theme.sell;
    g.fill();
    g.strokeStyle = theme.back;
    g.lineWidth = 0.8;
    g.stroke();
  }
}

// The trades in a table; returns where each row is, for clicks.
export function tradeTable(g, r, store, theme, places, from, to) {
  g.fillStyle = theme.panel;
  g.fillRect(r.x, r.y, r.w, r.h);
  const all = store.head.trades ?? [];
  g.textBaseline = "top";
  g.textAlign = "left";
  g.font = "600 11px system-ui, sans-serif";
  g.fillStyle = theme.ink;
  g.fillText(`Trades (${store.head.trade_count ?? all.length})`, r.x + 6, r.y + 4);
  g.font = "11px system-ui, sans-serif";
  const rows = [];
  const inside = all.filter((trade) => trade.exit >= from && trade.entry <= to);
  let y = r.y + 22;
  for (const trade of inside) {
    if (y + 14 > r.y + r.h) break;
    rows.push({ y, h: 15, trade });
    g.textAlign = "left";
    g.fillStyle = theme.muted;
    g.fillText(clock(trade.entry, 864e5), r.x + 6, y);
    g.fillStyle = theme.ink;
    g.fillText(trade.side, r.x + 78, y);
    g.textAlign = "right";
    g.fillStyle = trade.gain >= 0 ? theme.buy : theme.sell;
    g.fillText(`${trade.gain >= 0 ? "+" : ""}${(100 * trade.gain).toFixed(2)} %`, r.x + r.w - 6, y);
    y += 15;
  }
  if (!inside.length) {
    g.fillStyle = theme.muted;
    g.fillText("none in this stretch", r.x + 6, y);
  }
  return rows;
}

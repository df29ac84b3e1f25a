// Footprint bars and candles on the time axis, and the volume profile at the heat map's edge.

import { levelsGrid, clipped, frame } from "./strips.js";
import { Scale, price as writePrice, short, ticks } from "./scales.js";

export function barsIn(store, from, to) {
  const span = store.head.interval_ms;
  return [...store.bars.values()].filter((bar) => bar.start + span > from && bar.start < to)
    .sort((a, b) => a.start - b.start);
}

// Cells of a bar joined so that each is at least `least` pixels high.
export function joinCells(cells, step, perPixel, least) {
  const times = Math.max(1, Math.ceil((least * perPixel) / step));
  if (times === 1) return { cells, step };
  const joined = new Map();
  for (const cell of cells) {
    const key = Math.floor(Math.round(cell.price / step) / times);
    const known = joined.get(key) ??
      { price: key * times * step, sell: 0, buy: 0, neutral: 0, imbalance: 0 };
    known.sell += cell.sell;
    known.buy += cell.buy;
    known.neutral += cell.neutral;
    joined.set(key, known);
  }
  return { cells: [...joined.values()], step: step * times };
}

export function footprint(g, r, store, x, theme, places) {
  frame(g, r, theme);
  const bars = barsIn(store, x.from, x.to);
  if (!bars.length) return null;
  let low = Infinity, high = -Infinity;
  for (const bar of bars) {
    low = Math.min(low, bar.low);
    high = Math.max(high, bar.high);
  }
  const step = store.head.price_step || 0.01;
  const room = Math.max((high - low) * 0.06, step);
  const y = new Scale(high + room + step, low - room, r.y + 2, r.y + r.h - 12);
  const perPixel = (y.from - y.to) / (y.high - y.low);
  levelsGrid(g, r, y, ticks(y.to, y.from, Math.max(2, r.h / 34)),
    (v) => writePrice(v, places), theme);
  clipped(g, r, () => {
    for (const bar of bars) drawBar(g, bar, store, x, y, theme, step, perPixel, r);
  });
  return y;
}

function drawBar(g, bar, store, x, y, theme, step, perPixel, r) {
  const left = x.px(bar.start), right = x.px(bar.start + store.head.interval_ms);
  const width = right - left;
  const rising = bar.close >= bar.open, colour = rising ? theme.buy : theme.sell;
  g.globalAlpha = bar.partial ? 0.55 : 1;
  const candle = Math.max(1, Math.min(7, width * (width > 40 ? 0.09 : 0.6)));
  const cx = width > 40 ? left + 2 + candle / 2 : (left + right) / 2;
  g.strokeStyle = g.fillStyle = colour;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(cx, y.px(bar.high));
  g.lineTo(cx, y.px(bar.low));
  g.stroke();
  const top = y.px(Math.max(bar.open, bar.close)), bottom = y.px(Math.min(bar.open, bar.close));
  g.fillRect(cx - candle / 2, top, candle, Math.max(1, bottom - top));
  if (width > 40) {
    const texts = width > 92;
    const { cells, step: height } = joinCells(bar.cells, step, perPixel, texts ? 11 : 2);
    const begin = left + candle + 5, room = right - begin - 2;
    let most = 0, poc = 0;
    for (const cell of cells) {
      const volume = cell.sell + cell.buy + cell.neutral;
      if (volume > poc) poc = volume;
      most = Math.max(most, cell.sell, cell.buy);
    }
    const middle = begin + room / 2;
    for (const cell of cells) {
      const low = y.px(cell.price), tall = Math.max(1, low - y.px(cell.price + height) - 0.6);
      const top = low - tall;
      const half = room / 2 - 1;
      g.globalAlpha = (bar.partial ? 0.6 : 1) * 0.4;
      g.fillStyle = theme.sell;
      g.fillRect(middle - (cell.sell / most) * half, top, (cell.sell / most) * half, tall);
      g.fillStyle = theme.buy;
      g.fillRect(middle, top, (cell.buy / most) * half, tall);
      g.globalAlpha = bar.partial ? 0.7 : 1;
      if (cell.sell + cell.buy + cell.neutral === poc && tall > 3) {
        g.globalAlpha *= 0.7;
        g.strokeStyle = theme.ink;
        g.lineWidth = 1;
        g.strokeRect(begin + 0.5, top + 0.5, room - 1, tall - 1);
      }
      if (texts && tall >= 9) {
        g.font = "9.5px system-ui, sans-serif";
        g.textBaseline = "middle";
        g.fillStyle = cell.imbalance < 0 ? theme.sell : theme.ink;
        g.textAlign = "right";
        g.fillText(short(cell.sell), middle - 3, top + tall / 2 + 0.5);
        g.fillStyle = cell.imbalance > 0 ? theme.buy : theme.ink;
        g.textAlign = "left";
        g.fillText(short(cell.buy), middle + 3, top + tall / 2 + 0.5);
      }
    }
  }
  g.globalAlpha = 1;
  if (width > 30) {
    g.font = "9.5px system-ui, sans-serif";
    g.textAlign = "center";
    g.textBaseline = "bottom";
    g.fillStyle = bar.delta >= 0 ? theme.buy : theme.sell;
    const delta = `${bar.delta >= 0 ? "+" : "−"}${short(Math.abs(bar.delta))}`;
    if (g.measureText(delta).width < width - 3) g.fillText(delta, (left + right) / 2, r.y + r.h - 1);
  }
}

// At the left, where the oldest is: the newest stays free. Columns: price, sold, bought, neutral,
// point of control, value area.
export function profile(g, r, store, y, theme) {
  const part = store.profile;
  if (!part?.rows) return;
  let most = 0, least = Infinity;
  for (let o = 0; o < part.data.length; o += part.width) {
    most = Math.max(most, part.data[o + 1] + part.data[o + 2] + part.data[o + 3]);
    if (o) least = Math.min(least, part.data[o] - part.data[o - part.width]);
  }
  if (!(most > 0)) return;
  const reach = Math.min(120, r.w * 0.16);
  const height = Math.max(1, Math.min(12, Math.abs(y.slope) * (least < Infinity ? least : 1)) - 0.5);
  clipped(g, r, () => {
    for (let o = 0; o < part.data.length; o += part.width) {
      const [price, sell, buy, neutral, poc, inside] = part.data.subarray(o, o + part.width);
      const py = y.px(price) - height / 2;
      if (py < r.y - height || py > r.y + r.h) continue;
      let left = r.x;
      g.globalAlpha = poc ? 0.95 : inside ? 0.62 : 0.36;
      for (const [size, colour] of [[buy, theme.buy], [sell, theme.sell], [neutral, theme.muted]]) {
        const w = (size / most) * reach;
        g.fillStyle = colour;
        g.fillRect(left, py, w, height);
        left += w;
      }
    }
    g.globalAlpha = 1;
  });
}

// Trades as bubbles: colour by side, area by size.

import { ANEW, KEEP, Seldom } from "./seldom.js";

const COVER = 0.035; // of the pane, by all bubbles together
const EASE = Math.log(1.25); // by which bubbles must be too large or too small to be drawn anew
const MOST_RADIUS = 20;

export class Bubbles {
  constructor() {
    this.scale = null;
    this.looks = new Seldom();
  }

  // Choose how large bubbles are, and how many pixels make one of several trades: seldom another,
  // so that the past does not flicker.
  fit(r, store, x, y) {
    const ring = store.rings.trades;
    if (!ring?.length) return;
    const look = this.looks.look(store.head.symbol, x);
    if (look === KEEP) return;
    const fresh = scaleOf(r, ring, x, y);
    const isOther = look === ANEW || this.scale.wide !== fresh.wide;
    if (isOther || ["large", "most"].some(
      (name) => Math.abs(Math.log(fresh[name] / this.scale[name])) > EASE)) this.scale = fresh;
  }

  get key() {
    return this.scale ? Object.values(this.scale).join(" ") : "";
  }

  // Draw those that reach into the time behind `from`.
  draw(g, store, x, y, theme, from) {
    const ring = store.rings.trades;
    if (!ring?.length || !this.scale) return;
    const { large, most, wide } = this.scale, cell = wide / x.slope;
    const begin = Math.floor((from - (MOST_RADIUS + wide) / x.slope) / cell) * cell;
    const list = merge(ring, ring.find(begin) + 1, ring.find(x.to), x, y, wide);
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
    g.globalAlpha = 1;
  }
}

// By area, of which all together may cover only a part of the book behind them.
function scaleOf(r, ring, x, y) {
  const first = ring.find(x.from) + 1, last = ring.find(x.to);
  const wide = last - first > 600 ? 6 : 3;
  const sizes = merge(ring, first, last, x, y, wide).map((b) => b.size).sort((a, b) => a - b);
  const large = sizes[Math.floor(0.97 * (sizes.length - 1))] || 1;
  const sum = sizes.reduce((total, size) => total + Math.min(1, size / large), 0);
  const reach = last < first ? 0 : x.px(ring.at(last, 0)) - x.px(ring.at(first, 0));
  const fits = Math.sqrt((COVER * r.w * r.h * Math.min(1, reach / r.w + 0.02)) /
    (Math.PI * (sum || 1)));
  return { large, most: Math.max(2.2, Math.min(12, r.h / 16, fits)), wide };
}

// Trades that `wide` pixels cannot part, as one: [{x, y, size, side}]. In time these are counted
// from the epoch, so that they are the same ones wherever the pane begins.
export function merge(ring, first, last, x, y, wide) {
  const found = new Map(), data = ring.data, cell = wide / x.slope;
  for (let row = first, o = ring.offset(first); row <= last; row++, o += ring.width) {
    const t = data[o], py = y.px(data[o + 1]), size = data[o + 2], side = data[o + 3];
    const key = (Math.floor(t / cell) * 65536 + Math.round(py / wide)) * 4 + side;
    const known = found.get(key);
    if (known) known.size += size;
    else found.set(key, { x: x.px(t), y: py, size, side });
  }
  return [...found.values()];
}

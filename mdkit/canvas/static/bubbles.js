// Trades as bubbles: colour by side, area by size. Each kind of bubble is drawn once and copied,
// since circles take a browser without a graphics card long.

const COVER = 0.035; // of the pane, by all bubbles together
const sprites = new Map();
const MOST_SPRITES = 400;

// Trades that some pixels cannot part, as one: [{x, y, size, side}].
export function merge(ring, first, last, x, y) {
  const wide = last - first > 600 ? 6 : 3;
  const found = new Map(), data = ring.data;
  for (let row = first, o = ring.offset(first); row <= last; row++, o += ring.width) {
    const px = x.px(data[o]), py = y.px(data[o + 1]), size = data[o + 2], side = data[o + 3];
    const key = (Math.round(px / wide) * 65536 + Math.round(py / wide)) * 4 + side;
    const known = found.get(key);
    if (known) known.size += size;
    else found.set(key, { x: px, y: py, size, side });
  }
  return [...found.values()];
}

export function bubbles(g, r, store, x, y, theme) {
  const ring = store.rings.trades;
  if (!ring?.length) return;
  const first = ring.find(x.from) + 1, last = ring.find(x.to);
  if (last < first) return;
  const list = merge(ring, first, last, x, y);
  const sizes = list.map((b) => b.size).sort((a, b) => a - b);
  const large = sizes[Math.floor(0.97 * (sizes.length - 1))] || 1;
  // By area, of which all together may cover only a part of the book behind them.
  const sum = sizes.reduce((total, size) => total + Math.min(1, size / large), 0);
  const fits = Math.sqrt((COVER * r.w * r.h * Math.min(1, (x.px(ring.at(last, 0)) -
    x.px(ring.at(first, 0))) / r.w + 0.02)) / (Math.PI * (sum || 1)));
  const most = Math.max(2.2, Math.min(12, r.h / 16, fits));
  const ratio = g.getTransform().a;
  g.imageSmoothingEnabled = false;
  for (const b of list) {
    const radius = Math.max(1, Math.min(1.6 * most, most * Math.sqrt(b.size / large)));
    const bubble = sprite(Math.round(4 * radius) / 4, b.side, theme, ratio);
    const half = bubble.width / 2, wide = bubble.width / ratio;
    g.drawImage(bubble, Math.round(b.x * ratio - half) / ratio,
      Math.round(b.y * ratio - half) / ratio, wide, wide);
  }
}

// A bubble in the resolution of the screen.
function sprite(radius, side, theme, ratio) {
  const key = `${radius} ${side} ${theme.name} ${ratio}`;
  if (sprites.has(key)) return sprites.get(key);
  if (sprites.size >= MOST_SPRITES) sprites.clear(); // another screen, or zoomed
  const canvas = document.createElement("canvas"), g = canvas.getContext("2d");
  canvas.width = canvas.height = 2 * Math.ceil((radius + 0.5) * ratio) + 1;
  g.translate(canvas.width / 2, canvas.width / 2);
  g.scale(ratio, ratio);
  g.arc(0, 0, radius, 0, 7);
  g.fillStyle = side > 0 ? theme.buy : side < 0 ? theme.sell : theme.muted;
  g.globalAlpha = 0.62;
  g.fill();
  if (radius >= 2.5) {
    g.globalAlpha = 0.8;
    g.strokeStyle = theme.back;
    g.lineWidth = 0.8;
    g.stroke();
  }
  sprites.set(key, canvas);
  return canvas;
}

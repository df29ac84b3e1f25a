// The panes below the heat map, flow and the queue; grids and shaded gaps.

import { Steps } from "./lines.js";
import { Scale, niceStep, short } from "./scales.js";

export function frame(g, r, theme) {
  g.fillStyle = theme.panel;
  g.fillRect(r.x, r.y, r.w, r.h);
}

export function clipped(g, r, draw) {
  g.save();
  g.beginPath();
  g.rect(r.x, r.y, r.w, r.h);
  g.clip();
  draw();
  g.restore();
}

// A word in the middle of a pane that has nothing to show.
export function note(g, r, text, theme) {
  g.font = "11px system-ui, sans-serif";
  g.textAlign = "center";
  g.textBaseline = "middle";
  g.fillStyle = theme.muted;
  g.fillText(text, r.x + r.w / 2, r.y + r.h / 2);
}

// Horizontal lines with their values at the right, within the pane's height; none of them where
// something else is written, around the pixel `taken`.
export function levelsGrid(g, r, scale, values, write, theme, taken = -Infinity) {
  g.font = "10px system-ui, sans-serif";
  g.textAlign = "left";
  g.textBaseline = "middle";
  g.lineWidth = 1;
  for (const value of values) {
    const y = Math.round(scale.px(value)) + 0.5;
    if (y < r.y + 4 || y > r.y + r.h - 4) continue;
    g.strokeStyle = theme.grid;
    g.beginPath();
    g.moveTo(r.x, y);
    g.lineTo(r.x + r.w, y);
    g.stroke();
    if (Math.abs(y - taken) < 14) continue;
    g.fillStyle = theme.muted;
    g.fillText(write(value), r.x + r.w + 5, y);
  }
}

export function gaps(g, r, store, x, theme, named) {
  const top = r.y, all = store.gaps;
  for (const [from, to, reason, lost] of all) {
    if (to < x.from || from > x.to) continue;
    const left = Math.max(r.x, x.px(from)), right = Math.min(r.x + r.w, Math.max(x.px(to), left + 1));
    if (right < left) continue;
    if (reason === "dropped") { // some messages are missing, others came
      g.fillStyle = theme.bad;
      g.fillRect(left, top, right - left, 3);
      continue;
    }
    g.fillStyle = theme.gap;
    g.fillRect(left, top, right - left, r.h);
    if (!named || right - left < 34) continue;
    const text = lost > 0 ? `${reason}, ${lost} lost` : reason;
    clipped(g, { x: left, y: top, w: right - left, h: r.h }, () => {
      g.font = "10.5px system-ui, sans-serif";
      g.fillStyle = theme.gapInk;
      g.textAlign = "left";
      g.textBaseline = "top";
      g.fillText(text, left + 4, top + 18);
    });
  }
}

// Whether a stretch that was not seen lies between two times.
export function isCut(unseen, from, to) {
  return unseen.some((gap) => gap[0] < to && gap[1] > from);
}

// Flow: volume by side as bars up and down, cumulative delta as a line.
// Columns: end of the step, bought, sold, neutral, cvd, gap.
export function flow(g, r, store, x, theme) {
  frame(g, r, theme);
  const ring = store.rings.flow;
  if (!ring?.length) return null;
  const step = ring.step;
  const first = ring.find(x.from) + 1, last = ring.find(x.to + step);
  // As wide as some pixels need: sums of steps.
  const wide = Math.max(step, step * Math.ceil((4 * (x.to - x.from)) / r.w / step));
  const bars = new Map();
  let low = Infinity, high = -Infinity;
  for (let row = first; row <= last; row++) {
    const key = Math.ceil(ring.at(row, 0) / wide) * wide;
    const bar = bars.get(key) ?? [0, 0];
    bar[0] += ring.at(row, 1);
    bar[1] += ring.at(row, 2);
    bars.set(key, bar);
    low = Math.min(low, ring.at(row, 4));
    high = Math.max(high, ring.at(row, 4));
  }
  let most = 0;
  for (const [bought, sold] of bars.values()) most = Math.max(most, bought, sold);
  const middle = r.y + r.h / 2, unit = (0.46 * r.h) / (most || 1);
  const room = (high - low) * 0.1 || 1;
  const y = new Scale(high + room, low - room, r.y, r.y + r.h);
  const by = niceStep(high - low + 2 * room, 2);
  const values = [];
  for (let v = Math.ceil((low - room) / by) * by; v < high + room; v += by) values.push(v);
  levelsGrid(g, r, y, values.slice(0, 4), short, theme);
  clipped(g, r, () => {
    g.globalAlpha = 0.5;
    for (const [key, [bought, sold]] of bars) {
      const left = x.px(key - wide), width = Math.max(1, x.px(key) - left - 0.6);
      g.fillStyle = theme.buy;
      g.fillRect(left, middle - bought * unit, width, bought * unit);
      g.fillStyle = theme.sell;
      g.fillRect(left, middle, width, sold * unit);
    }
    g.globalAlpha = 1;
    g.fillStyle = theme.ink;
    const steps = new Steps(g, 1.3, x.dot);
    let since = null;
    for (let row = first; row <= last; row++) {
      const t = Math.min(ring.at(row, 0), store.head.now), px = x.px(t);
      const joined = since !== null && !ring.at(row, 5) && !isCut(store.unseen, since, t);
      steps.hold(px, px, y.px(ring.at(row, 4)), joined);
      since = t;
    }
    steps.end();
  });
  return y;
}

// Columns of metrics: time, queued, spilled, in, out, lost (messages a second), lag (ms).
export const QUEUE = [
  ["queued", 1, "queue"], ["on disk", 2, "spill"], ["in/s", 3, "in"], ["out/s", 4, "out"],
  ["lost/s", 5, "bad"], ["lag ms", 6, "muted"],
];
const FAR = 1500; // ms between two samples (five a second) that are not joined

// From how far apart on samples are not joined: in a replay that is played faster, they lie so many
// times further apart.
export function farOf(ring, first, last) {
  const steps = [];
  for (let row = first + 1; row <= last; row++) steps.push(ring.at(row, 0) - ring.at(row - 1, 0));
  const median = steps.sort((a, b) => a - b)[steps.length >> 1] ?? 0;
  return Math.max(FAR, 4 * median);
}

export function queue(g, r, store, x, theme) {
  frame(g, r, theme);
  const ring = store.rings.metrics;
  if (!ring?.length) return null;
  const first = Math.max(0, ring.find(x.from)), last = ring.find(x.to);
  if (last < 0 || ring.at(last, 0) < x.from) {
    note(g, r, "no samples of this time", theme);
    return null;
  }
  const most = [0, 0, 0, 0, 0, 0, 0];
  for (let row = first; row <= last; row++) {
    for (let column = 1; column < 7; column++) {
      most[column] = Math.max(most[column], ring.at(row, column) || 0);
    }
  }
  const maxsize = store.head.maxsize || 1;
  let depth = Math.max(10, most[1], most[2]);
  const isNear = depth > 0.5 * maxsize;
  if (isNear) depth = Math.max(depth, maxsize);
  const y = new Scale(depth * 1.1, 0, r.y, r.y + r.h);
  const rates = new Scale(Math.max(10, most[3], most[4], most[5]) * 1.1, 0, r.y, r.y + r.h);
  const lags = new Scale(Math.max(20, most[6]) * 1.1, 0, r.y, r.y + r.h);
  const by = niceStep(depth, 2), far = farOf(ring, first, last);
  levelsGrid(g, r, y, [by, 2 * by, 3 * by].filter((v) => v < depth * 1.05), short, theme);
  clipped(g, r, () => {
    if (isNear) {
      for (const [share, colour] of [[0.8, theme.warn], [0.95, theme.bad]]) {
        const py = y.px(share * maxsize);
        g.setLineDash([5, 4]);
        g.strokeStyle = colour;
        g.lineWidth = 1;
        g.beginPath();
        g.moveTo(r.x, py);
        g.lineTo(r.x + r.w, py);
        g.stroke();
        g.setLineDash([]);
        g.font = "10px system-ui, sans-serif";
        g.fillStyle = colour;
        g.textAlign = "right";
        g.textBaseline = "top";
        g.fillText(`${share * 100} %`, r.x + r.w - (share > 0.9 ? 36 : 4), py + 1);
      }
    }
    for (const [name, column, colour] of [...QUEUE].reverse()) {
      if (!most[column] && column !== 1) continue;
      const scale = column < 3 ? y : column < 6 ? rates : lags;
      g.beginPath();
      let before = -Infinity;
      for (let row = first; row <= last; row++) {
        const t = ring.at(row, 0), value = ring.at(row, column);
        if (!Number.isFinite(value)) continue;
        const px = x.px(t), py = scale.px(value);
        if (t - before > far) {
          g.moveTo(px - 0.75, py); // so that one that nothing is joined to is seen as well
          g.lineTo(px, py);
        } else g.lineTo(px, py);
        before = t;
      }
      g.strokeStyle = theme[colour];
      g.lineWidth = name === "queued" ? 1.6 : 1;
      g.globalAlpha = column === 6 ? 0.5 : 1;
      g.stroke();
      g.globalAlpha = 1;
    }
  });
  return y;
}

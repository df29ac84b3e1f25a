// Where the panes are, in CSS pixels.

// Panes over one time axis, from top to bottom; `share` of the height that is left over.
export const STRIPS = [
  { name: "heat", title: "Book", share: 8, least: 120 },
  { name: "footprint", title: "Footprint", share: 2, least: 66 },
  { name: "pressure", title: "Pressure", share: 1.25, least: 44 },
  { name: "flow", title: "Flow", share: 1.25, least: 44 },
  { name: "queue", title: "Queue", share: 1.25, least: 44 },
];
export const SIDES = [
  { name: "ladder", title: "Ladder", share: 3, least: 130 },
  { name: "tape", title: "Tape", share: 1.1, least: 60 },
  { name: "signals", title: "Signals", share: 1.1, least: 60 },
];
// Panes of a backtest.
export const RESULT_STRIPS = [
  { name: "price", title: "Price", share: 4, least: 110 },
  { name: "equity", title: "Equity", share: 2.5, least: 70 },
  { name: "drawdown", title: "Drawdown", share: 1.5, least: 50 },
  { name: "exposure", title: "Exposure", share: 1, least: 40 },
];
export const RESULT_SIDES = [{ name: "results", title: "Trades", share: 1, least: 120 }];
export const EXTRAS = [
  { name: "profile", title: "Profile" },
  { name: "trades", title: "Trades" },
  { name: "marks", title: "Marks" },
];
export const AXIS = 64; // room for prices and values, at the right of the strips
export const TIMES = 18;
const GAP = 5, NARROW = 620;

// How high the canvas should be: it fits a laptop's screen with the notebook around it.
export function heightFor(windowHeight, width) {
  const fits = Math.round(Math.min(1500, Math.max(400, windowHeight * 0.8 - 84)));
  return width < NARROW ? fits + 230 : fits;
}

export function layout(width, height, shown, isResult = false) {
  const strips = isResult ? RESULT_STRIPS : STRIPS.filter((pane) => shown.has(pane.name));
  const sides = isResult ? RESULT_SIDES : SIDES.filter((pane) => shown.has(pane.name));
  const isNarrow = width < NARROW;
  const below = isNarrow && sides.length > 0 ? 225 : 0;
  const wide = !isNarrow && sides.length > 0 && strips.length > 0;
  const sideWidth = wide ? Math.round(Math.min(420, Math.max(196, width * 0.25))) : 0;
  const left = { x: 0, y: 0, w: width - (sideWidth ? sideWidth + GAP : 0), h: height - below };
  const rects = {};
  if (strips.length) {
    const plot = { ...left, w: left.w - AXIS, h: left.h - TIMES };
    stack(strips, plot, rects);
    rects.times = { x: 0, y: left.h - TIMES, w: plot.w, h: TIMES };
  }
  if (wide) {
    stack(sides, { x: width - sideWidth, y: 0, w: sideWidth, h: height }, rects);
  } else if (below && strips.length) {
    row(sides, { x: 0, y: height - below + GAP, w: width, h: below - GAP }, rects);
  } else if (sides.length) {
    row(sides, { x: 0, y: 0, w: width, h: height }, rects);
  }
  return { rects, strips: strips.map((pane) => pane.name), sides: sides.map((pane) => pane.name) };
}

function stack(panes, room, rects) {
  const least = panes.reduce((sum, pane) => sum + pane.least + GAP, -GAP);
  const shares = panes.reduce((sum, pane) => sum + pane.share, 0);
  const more = Math.max(0, room.h - least);
  const squeeze = Math.min(1, room.h / least);
  let y = room.y;
  for (const pane of panes) {
    const h = Math.floor(pane.least * squeeze + (more * pane.share) / shares);
    rects[pane.name] = { x: room.x, y, w: room.w, h };
    y += h + GAP;
  }
}

function row(panes, room, rects) {
  const shares = panes.reduce((sum, pane) => sum + pane.share, 0);
  let x = room.x;
  for (const pane of panes) {
    const w = Math.floor(((room.w - GAP * (panes.length - 1)) * pane.share) / shares);
    rects[pane.name] = { x, y: room.y, w, h: room.h };
    x += w + GAP;
  }
}

// The pane under a point, or null.
export function paneAt(rects, x, y) {
  for (const [name, r] of Object.entries(rects)) {
    if (x >= r.x && x < r.x + r.w && y >= r.y && y < r.y + r.h) return name;
  }
  return null;
}

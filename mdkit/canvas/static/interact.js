// Mouse, touch and keyboard on the canvas.

import { AXIS, paneAt } from "./layout.js";

const ZOOM = 1.0016;

// Attach all listeners to `board`; `act` has changed(), pause(), follow(), readout(). Returns
// what takes them away.
export function interact(board, act, signal) {
  const { canvas, view } = board;
  const pointers = new Map();
  const listen = (name, handler, options = {}) =>
    canvas.addEventListener(name, handler, { signal, ...options });
  const plot = () => board.panes && board.panes.rects[board.panes.strips[0]];
  const local = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * board.width,
      ((event.clientY - box.top) / box.height) * board.height];
  };
  const isInPlot = (x) => plot() && x <= plot().x + plot().w + AXIS;
  const moveCursor = (x, y) => {
    const pane = board.panes ? paneAt(board.panes.rects, x, y) : null;
    board.cursor = pane ? { x, y, pane } : null;
    act.readout();
    board.dirty = true;
  };
  const zoomPrice = (factor, y) => {
    const scale = board.scales.heat;
    if (scale) view.zoomPrice(factor, scale.value(y), [scale.to, scale.from]);
  };

  listen("wheel", (event) => {
    const [x, y] = local(event);
    if (!isInPlot(x) || !board.x) return;
    event.preventDefault();
    // With shift some browsers turn the wheel sideways.
    const by = (event.deltaY || event.deltaX) * (event.deltaMode === 1 ? 33 : 1);
    const factor = ZOOM ** Math.max(-400, Math.min(400, by));
    if (event.shiftKey || x > plot().x + plot().w) zoomPrice(factor, y);
    else view.zoomTime(factor, board.x.value(x), board.now);
    act.changed();
  }, { passive: false });

  listen("pointerdown", (event) => {
    const [x, y] = local(event);
    canvas.focus({ preventScroll: true });
    if (!isInPlot(x)) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x, y, startX: x, startY: y });
  });

  listen("pointermove", (event) => {
    const [x, y] = local(event);
    const held = pointers.get(event.pointerId);
    if (held && board.x) {
      if (pointers.size === 2) pinch(held, x, y);
      else drag(held, x, y);
      Object.assign(held, { x, y });
      act.changed();
    }
    moveCursor(x, y);
  });

  function drag(held, x, y) {
    const r = board.panes.rects.heat;
    if (Math.hypot(x - held.startX, y - held.startY) < 3) return;
    if (held.startX > plot().x + plot().w) { // on the axis of prices: stretch it
      zoomPrice(1 + (y - held.y) / 200, r ? r.y + r.h / 2 : y);
      return;
    }
    if (x !== held.x) view.panTime(-(x - held.x) / board.x.slope, board.now);
    const isHeat = r && held.startY >= r.y && held.startY <= r.y + r.h;
    // A hand that moves along time should not lose the prices.
    const isSteep = view.prices || Math.abs(y - held.startY) > 12;
    if (isHeat && board.scales.heat && isSteep && y !== held.y) {
      const scale = board.scales.heat;
      view.panPrice(-(y - held.y) / scale.slope, [scale.to, scale.from]);
    }
  }

  function pinch(held, x, y) {
    const other = [...pointers.values()].find((pointer) => pointer !== held);
    const before = [Math.abs(held.x - other.x), Math.abs(held.y - other.y)];
    const after = [Math.abs(x - other.x), Math.abs(y - other.y)];
    if (before[0] > before[1]) {
      const middle = board.x.value((x + other.x) / 2);
      view.zoomTime(Math.max(10, before[0]) / Math.max(10, after[0]), middle, board.now);
    } else zoomPrice(Math.max(10, before[1]) / Math.max(10, after[1]), (y + other.y) / 2);
  }

  listen("click", (event) => {
    const [x, y] = local(event), r = board.panes?.rects.results;
    if (!r || x < r.x) return;
    const row = board.tableRows.find((one) => y >= one.y && y < one.y + one.h);
    if (!row) return;
    const { entry, exit } = row.trade;
    view.setSpan(Math.max(4 * (exit - entry), board.store.head.bar_ms * 40));
    view.goTo((entry + exit) / 2);
    act.changed();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    listen(name, (event) => pointers.delete(event.pointerId));
  }
  listen("pointerleave", () => {
    if (pointers.size) return;
    board.cursor = null;
    act.readout();
    board.dirty = true;
  });
  listen("dblclick", (event) => {
    event.preventDefault();
    view.reset();
    act.changed();
  });

  listen("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const span = view.shown(board.now), middle = board.x ? (board.x.from + board.x.to) / 2 : 0;
    const scale = board.scales.heat;
    const prices = scale ? [scale.to, scale.from] : null;
    const keys = {
      ArrowLeft: () => view.panTime(-span / 8, board.now),
      ArrowRight: () => view.panTime(span / 8, board.now),
      ArrowUp: () => prices && view.panPrice((prices[1] - prices[0]) / 10, prices),
      ArrowDown: () => prices && view.panPrice(-(prices[1] - prices[0]) / 10, prices),
      "+": () => view.zoomTime(0.8, middle, board.now),
      "=": () => view.zoomTime(0.8, middle, board.now),
      "-": () => view.zoomTime(1.25, middle, board.now),
      "*": () => prices && view.zoomPrice(0.8, (prices[0] + prices[1]) / 2, prices),
      "/": () => prices && view.zoomPrice(1.25, (prices[0] + prices[1]) / 2, prices),
      " ": () => act.pause(),
      f: () => act.follow(),
      0: () => view.reset(),
      Home: () => view.reset(),
      Escape: () => { board.cursor = null; act.readout(); },
    };
    const key = keys[event.key];
    if (!key) return;
    event.preventDefault();
    event.stopPropagation();
    key();
    act.changed();
  });
}

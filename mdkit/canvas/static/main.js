// The widget: what anywidget calls, and the talk with the kernel.

import { Board } from "./board.js";
import { controls, make, refresh, set } from "./controls.js";
import { interact } from "./interact.js";
import { Keeper } from "./keep.js";
import { player } from "./player.js";
import { STRIPS, SIDES } from "./layout.js";
import { linesOf, valuesAt } from "./readout.js";
import { resultLines, resultValues } from "./result.js";
import { clock } from "./scales.js";
import { Store } from "./store.js";
import { View } from "./view.js";

const LATE = 3; // seconds without a picture from which on the page says so
const stores = new WeakMap();

// All views of a model share what came and what is shown of it. Several may be open: one in the
// notebook, another docked beside it.
function storeOf(model) {
  // anywidget hands each view an object of its own; the layout is the model's own in all of them.
  const layout = model.get?.("layout");
  const key = layout && typeof layout === "object" ? layout : model;
  if (stores.has(key)) return stores.get(key);
  const store = new Store();
  store.view = new View(60);
  store.options = {
    shown: new Set([...STRIPS, ...SIDES].map((pane) => pane.name)), levels: 5, theme: "auto",
    measure: "pressure", contrast: 1.5, profile: true, trades: true, marks: true,
  };
  store.views = new Set();
  store.watched = new Set(); // of its views, those that somebody can see
  stores.set(key, store);
  return store;
}

function render({ model, el }) {
  const store = storeOf(model), { view, options } = store;
  const stop = new AbortController();
  const root = make("div", { class: "mdkit-canvas", "data-lm-suppress-shortcuts": "true" });
  const canvas = make("canvas", { tabIndex: 0, role: "img" });
  canvas.setAttribute("aria-label", "order book over time; arrows pan, + and - zoom, space pauses");
  const health = make("div", { class: "mdkit-health", role: "status" });
  const readout = make("div", { class: "mdkit-readout", hidden: true });
  const late = make("div", { class: "mdkit-late", hidden: true, role: "alert" });
  const board = new Board(canvas, store, view, options);
  const send = (content, buffers) => {
    try {
      model.send(content, undefined, buffers);
    } catch (error) {
      store.counters.dropped++; // the kernel is gone: the page says so by its age
    }
  };
  let frame = 0, shown = store.n, isVisible = true, wantedLevel = null, seenSince = 0, zoom = null;
  const self = {};

  const act = {
    symbol: (symbol) => { view.prices = null; send({ kind: "ask", symbol }); },
    interval: (interval) => send({ kind: "ask", interval }),
    window: (seconds) => { view.setSpan(Number(seconds) * 1000); act.changed(); },
    levels: (count) => {
      options.levels = Math.max(1, Math.min(store.head?.levels ?? 10, Math.round(count) || 1));
      act.changed();
    },
    measure: (measure) => { options.measure = measure; act.changed(); },
    contrast: (value) => { options.contrast = 2 ** -value; act.changed(); },
    theme: (theme) => { options.theme = theme; act.changed(); },
    pane: (name, isOn) => {
      if (name in options) options[name] = isOn;
      else if (isOn) options.shown.add(name);
      else options.shown.delete(name);
      act.changed();
    },
    pause: () => {
      store.paused = store.paused ? null : { at: store.head?.now ?? 0 };
      if (store.paused) view.leave(board.now);
      else view.resume();
      send({ kind: "pause", on: Boolean(store.paused) });
      act.changed();
    },
    follow: () => {
      view.reset();
      if (store.paused) act.pause();
      act.changed();
    },
    stop: () => send({ kind: "stop" }),
    changed: () => {
      board.dirty = true;
      askForLevel();
      report();
      readOut();
      refreshAll();
    },
    readout: () => readOut(),
  };
  const bar = controls(act, stop.signal);
  const scrub = player((content) => send({ kind: "player", ...content }), stop.signal);
  root.append(bar.bar, scrub.bar, health, make("div", { class: "mdkit-stage" }, canvas, readout, late));
  el.append(root);
  root.mdkit = { store, view, options, board, act, values: null };
  interact(board, act, stop.signal);
  const keeper = new Keeper(root, canvas, store, send);

  // The finest series that reaches back to the left edge: else the kernel is asked for another.
  function askForLevel() {
    const steps = store.head?.steps;
    if (!steps) return;
    const back = board.now - board.times[0];
    let level = steps.findIndex((step) => step * 2400 >= back);
    if (level < 0) level = steps.length - 1;
    if (level !== store.head.level && level !== wantedLevel) {
      wantedLevel = level;
      send({ kind: "ask", level });
    } else if (level === store.head.level) wantedLevel = null;
  }

  let reported = 0;
  let later = 0;
  function report() {
    clearTimeout(later); // the last of many moves must not go unreported
    later = setTimeout(report, 260);
    if (performance.now() - reported < 250) return;
    clearTimeout(later);
    reported = performance.now();
    send({ kind: "range", from: board.times[0], to: board.times[1] });
  }

  function readOut() {
    const { cursor, panes } = board;
    const plot = panes && panes.rects[panes.strips[0]];
    root.mdkit.values = null;
    if (!cursor || !plot || !board.x || cursor.x > plot.x + plot.w || !store.head) {
      set(readout, "hidden", true);
      return;
    }
    const price = cursor.pane === "heat" && board.scales.heat
      ? board.scales.heat.value(cursor.y) : null;
    const isResult = store.head.mode === "result", time = board.x.value(cursor.x);
    const values = isResult ? resultValues(store, time) : valuesAt(store, time, options, price);
    root.mdkit.values = values;
    const lines = isResult ? resultLines(values, board.places)
      : linesOf(values, options.shown, board.places, options, cursor.pane);
    readout.replaceChildren(...lines.map(
      ([name, text]) => make("div", {}, make("b", {}, name), text)));
    set(readout, "hidden", false);
    const isLeft = cursor.x > plot.x + plot.w / 2;
    readout.style.left = isLeft ? "8px" : "";
    readout.style.right = isLeft ? "" : `${(board.width - plot.w) * board.zoom + 8}px`;
  }

  function refreshAll() {
    const { head, paused } = store;
    refresh(bar.parts, { head, view, options, paused });
    set(root.dataset, "theme", board.theme?.name ?? "light");
    if (board.zoom !== zoom) root.style.setProperty("--zoom", String((zoom = board.zoom) ?? 1));
    root.classList.toggle("mdkit-narrow", board.width < 620);
    root.classList.toggle("mdkit-result", head?.mode === "result");
    if (!head) return;
    scrub.refresh(head);
    showAge();
  }

  // How the session is; of a picture that is not of now, how it was then, in no colour.
  function showHealth(then) {
    const { head } = store;
    const words = [then ? `At ${then}: ` : " ", head.sentence, ` ${head.ledger ?? ""}`];
    set(health.dataset, "state", then ? "unknown" : head.state);
    if (health.dataset.text === head.state + words.join("")) return;
    health.dataset.text = head.state + words.join("");
    health.title = words.join("").trim();
    health.replaceChildren(make("b", {}, head.state), ` ${words[0]}${words[1]} `,
      make("span", {}, words[2]));
  }

  function showAge() {
    const { head, paused } = store;
    const age = store.age(performance.now());
    const isOver = !head || head.over || paused || !isVisible ||
      performance.now() - seenSince < 1500;
    const isLate = head && !isOver && age > LATE;
    const seconds = Math.floor(age);
    const moment = head && `${clock(board.now, 1000)} UTC`;
    set(bar.parts.age, "textContent", paused ? `paused at ${moment}`
      : isLate ? `no picture for ${seconds} s`
      : head?.rate && board.width >= 620 ? `${Math.round(head.rate)}/s` : "");
    bar.parts.age.classList.toggle("mdkit-bad", Boolean(isLate));
    set(late, "hidden", !isLate);
    if (head) showHealth(paused || isLate ? moment : "");
    if (isLate) {
      set(late, "textContent", `no picture for ${seconds} s: the kernel is busy, or gone`);
    }
  }

  // Frames are asked for only while there is something to draw: a quiet page rests.
  function wake() {
    frame ||= requestAnimationFrame(turn);
  }

  function turn() {
    frame = 0;
    const isNew = store.n !== shown;
    if (isNew) {
      shown = store.n;
      askForLevel();
      refreshAll();
      if (board.cursor) readOut();
    }
    if (!isVisible) return;
    if (isNew || board.dirty) board.draw(performance.now());
    else board.fade(performance.now());
    if (board.moving) wake();
  }

  function look(isOn) {
    if (isOn && !isVisible) seenSince = performance.now();
    if (!isOn && isVisible) keeper.look(performance.now(), true);
    isVisible = isOn;
    const before = store.watched.size;
    if (isOn) store.watched.add(self);
    else store.watched.delete(self);
    if (Boolean(before) !== Boolean(store.watched.size)) send({ kind: "visible", on: isOn });
    board.dirty = true;
  }

  // Of a session that had ended before anything was shown, no more time than there is.
  function fitEnded() {
    const begins = ["books", "trades"].map((name) => store.rings[name])
      .filter((ring) => ring?.length).map((ring) => ring.at(0, 0));
    const span = 1.05 * (board.now - Math.min(...begins));
    if (span < view.span) view.setSpan(Math.max(span, 5000));
  }

  function onMessage(message, buffers) {
    if (message.kind !== "picture") return;
    wake();
    if (store.last === message) return; // another view of the model has taken it in
    store.last = message;
    const onHole = () => send({ kind: "hole", n: store.n });
    if (!store.take(message, buffers?.[0], performance.now(), onHole)) return;
    view.begin = store.begin;
    const { paused, first_levels: levels, whole } = message.head;
    if (whole) {
      view.whole = whole;
      view.reset();
    }
    if (message.head.over && store.counters.pictures === 1) fitEnded();
    if (levels !== undefined && !store.hasLevels) options.levels = levels;
    store.hasLevels = true;
    if (paused !== undefined && Boolean(paused) !== Boolean(store.paused)) {
      store.paused = paused ? { at: paused } : null; // by the kernel's hand
      if (paused) view.leave(board.now);
      else view.resume();
    }
    // Before it is drawn, which may take a while: what is drawn is the newest anyway.
    if (message.asks) send({ kind: "ack", n: store.n, from: board.times[0], to: board.times[1] });
  }

  model.on("msg:custom", onMessage);
  let onScreen = true;
  const watcher = new IntersectionObserver((entries) => {
    onScreen = entries[entries.length - 1].isIntersecting;
    look(onScreen && !document.hidden);
  });
  watcher.observe(root);
  document.addEventListener("visibilitychange", () => look(onScreen && !document.hidden),
    { signal: stop.signal });
  const sizes = new ResizeObserver(() => {
    board.fit(Math.floor(root.clientWidth));
    // At once: a canvas that takes another size is empty, and would be shown so.
    if (board.dirty && isVisible) board.draw(performance.now());
    refreshAll();
  });
  sizes.observe(root);
  window.addEventListener("resize", () => board.fit(Math.floor(root.clientWidth)),
    { signal: stop.signal });
  document.addEventListener("pointerdown", (event) => {
    const menu = root.querySelector(".mdkit-more");
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  }, { signal: stop.signal });
  const clockTimer = setInterval(() => {
    showAge();
    board.dirty = true;
    if (isVisible) keeper.look(performance.now());
  }, 500);
  board.fit(Math.floor(root.clientWidth));
  board.onDirty = wake;
  wake();
  store.views.add(self);
  store.watched.add(self);
  send({ kind: "hello" });
  refreshAll();

  return () => {
    stop.abort();
    cancelAnimationFrame(frame);
    clearInterval(clockTimer);
    clearTimeout(later);
    watcher.disconnect();
    sizes.disconnect();
    model.off("msg:custom", onMessage);
    store.views.delete(self);
    look(false);
    if (!store.views.size) store.clear();
    root.remove();
  };
}

export default { render };

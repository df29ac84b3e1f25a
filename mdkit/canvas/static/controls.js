// The bar of controls above the canvas, and the line that says how the session is.

import { EXTRAS, SIDES, STRIPS } from "./layout.js";

export const WINDOWS = [
  [15, "15 s"], [30, "30 s"], [60, "1 min"], [120, "2 min"], [300, "5 min"], [900, "15 min"],
  [3600, "1 h"], [10800, "3 h"],
];
export const INTERVALS = ["1s", "5s", "15s", "30s", "1m", "5m", "15m", "1h"];

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Set a select's options, if they have changed, and its value.
export function fill(select, options, value) {
  const wanted = JSON.stringify(options);
  if (select.dataset.options !== wanted) {
    select.dataset.options = wanted;
    select.replaceChildren(...options.map(([key, label]) => make("option", { value: key }, label)));
  }
  if (document.activeElement !== select && select.value !== String(value)) select.value = value;
}

export function controls(act, signal) {
  const on = (node, name, handler) => {
    node.addEventListener(name, handler, { signal });
    return node;
  };
  const choice = (label, tip, change) => on(
    make("select", { title: tip, "aria-label": label }), "change",
    (event) => change(event.target.value));
  const button = (label, tip, press) => on(
    make("button", { type: "button", title: tip }, label), "click", press);
  const parts = {
    symbol: choice("symbol", "Symbol, in every pane", act.symbol),
    window: choice("window", "How much time is shown", act.window),
    interval: choice("interval", "How long a footprint bar is", act.interval),
    levels: on(make("input", { type: "number", min: 1, max: 10, title:
      "Levels that pressure sums and the ladder shows", "aria-label": "levels" }), "change",
    (event) => act.levels(Number(event.target.value))),
    measure: choice("measure", "What the pressure pane shows", act.measure),
    pause: button("Pause", "Pause the picture; the feed goes on (space)", act.pause),
    follow: Object.assign(button("Follow", "Go back to the newest moment, or to the whole (f)",
      act.follow), { className: "mdkit-always" }),
    stop: button("Stop", "Stop the feed and keep the last picture", act.stop),
    theme: choice("theme", "Light, dark, or as the page", act.theme),
    contrast: on(make("input", { type: "range", min: -1.5, max: 1.5, step: 0.1, title:
      "Which sizes the heat map brings out", "aria-label": "contrast" }), "input",
    (event) => act.contrast(Number(event.target.value))),
  };
  const boxes = [...STRIPS, ...SIDES, ...EXTRAS].map(({ name, title }) => {
    const box = on(make("input", { type: "checkbox" }), "change",
      (event) => act.pane(name, event.target.checked));
    parts[`pane ${name}`] = box;
    return make("label", {}, box, ` ${title}`);
  });
  const more = make("details", { class: "mdkit-more" }, make("summary", { title:
    "Panes, colours" }, "Panes"), make("div", { class: "mdkit-menu" }, ...boxes, make("hr"),
  make("label", {}, "contrast ", parts.contrast), make("label", {}, "theme ", parts.theme),
  make("label", {}, "measure ", parts.measure)));
  const bar = make("div", { class: "mdkit-bar", role: "toolbar", "aria-label": "controls" },
    parts.symbol, parts.window, parts.interval,
    make("label", { class: "mdkit-levels" }, "levels ", parts.levels),
    parts.pause, parts.follow, parts.stop, more,
    (parts.age = make("span", { class: "mdkit-age", role: "status" })));
  on(more, "keydown", (event) => {
    if (event.key === "Escape") more.open = false;
  });
  return { bar, parts };
}

// Change a property of an element, unless it is so already: the browser lays out and paints anew
// even where the same text is set again.
export function set(element, name, value) {
  if (element[name] !== value) element[name] = value;
}

// Bring the controls in line with what is shown.
export function refresh(parts, { head, view, options, paused }) {
  const symbols = head?.symbols ?? [];
  fill(parts.symbol, symbols.map((symbol) => [symbol, symbol]), head?.symbol ?? "");
  const seconds = view.span / 1000;
  const known = WINDOWS.some(([length]) => length === seconds);
  fill(parts.window, known ? WINDOWS : [...WINDOWS, [seconds, spanText(seconds)]], seconds);
  fill(parts.interval, INTERVALS.map((text) => [text, text]), head?.interval ?? "5s");
  fill(parts.theme, [["auto", "as the page"], ["light", "light"], ["dark", "dark"]],
    options.theme);
  fill(parts.measure, [["pressure", "pressure"], ["imbalance", "imbalance"]], options.measure);
  set(parts.levels, "max", String(head?.levels ?? 10));
  if (document.activeElement !== parts.levels) parts.levels.value = options.levels;
  if (document.activeElement !== parts.contrast) {
    parts.contrast.value = -Math.log2(options.contrast);
  }
  set(parts.pause, "textContent", paused ? "Resume" : "Pause");
  parts.pause.classList.toggle("mdkit-on", Boolean(paused));
  set(parts.follow, "textContent", head?.mode === "result" ? "All" : "Follow");
  parts.follow.disabled = view.follow && !view.prices;
  parts.stop.disabled = !head?.can_stop;
  for (const { name } of [...STRIPS, ...SIDES]) {
    parts[`pane ${name}`].checked = options.shown.has(name);
  }
  for (const { name } of EXTRAS) parts[`pane ${name}`].checked = options[name];
}

function spanText(seconds) {
  if (seconds < 100) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 6000) return `${Number((seconds / 60).toPrecision(3))} min`;
  return `${Number((seconds / 3600).toPrecision(3))} h`;
}

// The scrub bar of a recording: play, pause, speed, and jumps.

import { fill, make, set } from "./controls.js";
import { clock } from "./scales.js";

const SPEEDS = [[0.1, "0.1×"], [0.5, "0.5×"], [1, "1×"], [2, "2×"], [5, "5×"], [10, "10×"],
  [50, "50×"], ["", "as fast as possible"]];
const PARTS = 10000;

// `send` sends what the kernel is asked for.
export function player(send, signal) {
  const on = (node, name, handler) => {
    node.addEventListener(name, handler, { signal });
    return node;
  };
  let state = null, isHeld = false;
  const play = on(make("button", { type: "button" }, "Play"), "click",
    () => send({ do: state?.paused ? "play" : "pause" }));
  const slider = make("input", { type: "range", min: 0, max: PARTS, step: 1,
    "aria-label": "moment of the recording" });
  const at = make("span", { class: "mdkit-at" });
  const moment = () => state.from + (Number(slider.value) / PARTS) * (state.to - state.from);
  on(slider, "input", () => {
    isHeld = true;
    if (state) at.textContent = clock(moment(), 1000);
  });
  on(slider, "change", () => {
    isHeld = false;
    if (state) send({ do: "seek", at: moment() });
  });
  const speed = on(make("select", { title: "How many times faster than it was",
    "aria-label": "speed" }), "change",
  (event) => send({ do: "speed", speed: event.target.value === "" ? null : Number(event.target.value) }));
  const jumps = ["gap", "burst", "signal"].map((kind) => on(make("button", { type: "button",
    title: `Go to the next ${kind}; strategies begin anew behind a jump` }, `next ${kind}`),
  "click", () => send({ do: "next", kind })));
  const track = make("div", { class: "mdkit-track" }, slider);
  const bar = make("div", { class: "mdkit-player", role: "toolbar", hidden: true,
    "aria-label": "recording" }, play, track, at, speed, ...jumps);

  function marks() {
    for (const old of track.querySelectorAll("i")) old.remove();
    for (const [kind, times] of Object.entries(state.marks)) {
      for (const time of times) {
        const mark = make("i", { "data-kind": kind });
        mark.style.left = `${(100 * (time - state.from)) / (state.to - state.from || 1)}%`;
        track.append(mark);
      }
    }
  }

  function refresh(head) {
    set(bar, "hidden", !head.player);
    if (!head.player) return;
    const isNew = !state || state.from !== head.player.from || state.to !== head.player.to;
    state = head.player;
    if (isNew) marks();
    set(play, "textContent", state.paused ? "Play" : "Pause replay");
    const isListed = SPEEDS.some(([value]) => value === (state.speed ?? ""));
    fill(speed, isListed ? SPEEDS : [[state.speed, `${state.speed}×`], ...SPEEDS],
      state.speed ?? "");
    jumps[0].disabled = !state.marks.gap.length;
    jumps[1].disabled = !state.marks.burst.length;
    jumps[2].disabled = !(head.strategies ?? []).length;
    if (isHeld) return;
    slider.value = Math.round((PARTS * (head.now - state.from)) / (state.to - state.from || 1));
    set(at, "textContent", `${clock(head.now, 1000)} UTC${state.note ? `, ${state.note}` : ""}`);
  }

  return { bar, refresh };
}

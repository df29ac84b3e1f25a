// Scales, ticks and how numbers are written.

export class Scale {
  // Maps [from, to] to pixels [low, high]. Times since the epoch are too large for `to - from` to
  // be exact: where it must be, `span` is given. `dot` is how wide a pixel of the screen is.
  constructor(from, to, low, high, span = to - from, dot = 1) {
    this.from = from;
    this.to = to;
    this.low = low;
    this.high = high;
    this.span = span;
    this.dot = dot;
    this.slope = (high - low) / (span || 1);
  }

  px(value) {
    return this.low + (value - this.from) * this.slope;
  }

  value(px) {
    return this.from + (px - this.low) / (this.slope || 1);
  }
}

// The step, 1, 2 or 5 times a power of ten, that makes at most `most` steps of `span`.
export function niceStep(span, most) {
  if (!(span > 0) || !Number.isFinite(span)) return 1;
  const least = span / Math.max(1, most);
  const scale = 10 ** Math.floor(Math.log10(least));
  for (const factor of [1, 2, 5, 10]) {
    if (factor * scale >= least * (1 - 1e-9)) return factor * scale;
  }
  return 10 * scale;
}

export function ticks(from, to, most) {
  const step = niceStep(to - from, most);
  const places = decimals(step);
  const found = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-9; n++) {
    found.push(Number((n * step).toFixed(places)));
    if (found.length > 1000) break;
  }
  return found;
}

const TIME_STEPS = [
  100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5,
  144e5, 216e5, 432e5, 864e5, 1728e5, 6048e5, 26784e5, 80352e5, 316224e5,
];

export function timeStep(span, most) {
  return TIME_STEPS.find((step) => span / step <= most) ?? TIME_STEPS[TIME_STEPS.length - 1];
}

export function timeTicks(from, to, most) {
  const step = timeStep(to - from, most);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  return { step, found };
}

// Decimals that a step between ticks needs.
export function decimals(step) {
  for (let places = 0; places < 9; places++) {
    const scaled = step * 10 ** places;
    const whole = Math.round(scaled);
    if (whole >= 1 && Math.abs(scaled - whole) < 1e-6 * whole) return places;
  }
  return 9;
}

const pad = (value, width = 2) => String(value).padStart(width, "0");

// A time in UTC, as fine as `step` (ms) needs.
export function clock(time, step) {
  if (!Number.isFinite(time)) return "";
  const date = new Date(time);
  if (step >= 864e5) {
    return `${date.getUTCFullYear()}-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}`;
  }
  const minutes = `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}`;
  if (step >= 6e4) return minutes;
  const seconds = `${minutes}:${pad(date.getUTCSeconds())}`;
  if (step >= 1e3) return seconds;
  return `${seconds}.${pad(date.getUTCMilliseconds(), 3).slice(0, step >= 100 ? 1 : 3)}`;
}

// A count or a size in at most five characters or so: 950, 12.5k, 3.2M.
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, scale] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (size >= scale) return `${trim(value / scale, size >= 100 * scale ? 0 : 1)}${unit}`;
  }
  if (size >= 100 || size === 0) return trim(value, 0);
  return trim(value, size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

function trim(value, places) {
  const text = value.toFixed(places);
  return places ? text.replace(/\.?0+$/, "") : text;
}

// A price with a fixed number of decimals and thousands apart.
export function price(value, places) {
  if (!Number.isFinite(value)) return "–";
  const [whole, part] = value.toFixed(places).split(".");
  const apart = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return part ? `${apart}.${part}` : apart;
}

// What a row of books says. Columns: time, gap, bid, bid size, ask, ask size, mid, spread,
// pressure, size bid and asked over five levels, then bid 2, its size, ..., ask 2, its size, ...

export const T = 0;
export const GAP = 1;
export const BID = 2;
export const BID_SIZE = 3;
export const ASK = 4;
export const ASK_SIZE = 5;
export const MID = 6;
export const SPREAD = 7;
const FIRST = 11;
const OLD_MS = 1000;

export const levelsOf = (width) => (width - FIRST) / 4 + 1;

// Where the price of a level is; level 0 is the best one, and the size is in the next column.
export function place(levels, side, level) {
  if (level === 0) return side === "bid" ? BID : ASK;
  return FIRST + 2 * (level - 1) + (side === "bid" ? 0 : 2 * (levels - 1));
}

// (bid x ask size + ask x bid size) / (bid size + ask size), as mdkit.microprice.
export function microprice(data, o) {
  const bidSize = data[o + BID_SIZE], askSize = data[o + ASK_SIZE];
  const total = bidSize + askSize;
  return total ? (data[o + BID] * askSize + data[o + ASK] * bidSize) / total : NaN;
}

// Size summed over the first levels of a side, one after the other, as mdkit's measures do.
export function sizeOf(data, o, levels, side, count) {
  let total = 0;
  for (let level = 0; level < Math.min(levels, count); level++) {
    const size = data[o + place(levels, side, level) + 1];
    if (size === size) total += size;
  }
  return total;
}

export function pressureOf(data, o, levels, count) {
  const bid = sizeOf(data, o, levels, "bid", count), ask = sizeOf(data, o, levels, "ask", count);
  return ask ? bid / ask : bid > 0 ? Infinity : NaN;
}

export function imbalanceOf(data, o, levels, count) {
  const bid = sizeOf(data, o, levels, "bid", count), ask = sizeOf(data, o, levels, "ask", count);
  return bid + ask ? (bid - ask) / (bid + ask) : NaN;
}

// The size that rests at a price, and on which side and level; null where the book has none
// within half a tick of it.
export function restingAt(data, o, levels, price, tick) {
  for (const side of ["bid", "ask"]) {
    for (let level = 0; level < levels; level++) {
      const at = o + place(levels, side, level);
      if (Math.abs(data[at] - price) <= tick / 2) {
        return { side, level: level + 1, price: data[at], size: data[at + 1] };
      }
    }
  }
  return null;
}

// The deepest prices known, for what lies beyond them is unknown and not nothing.
export function reach(data, o, levels) {
  let low = NaN, high = NaN;
  for (let level = levels - 1; level >= 0; level--) {
    const bid = data[o + place(levels, "bid", level)], ask = data[o + place(levels, "ask", level)];
    if (low !== low) low = bid;
    if (high !== high) high = ask;
  }
  const bid = data[o + BID], ask = data[o + ASK];
  return [low === low ? low : ask, high === high ? high : bid];
}

// The smallest step between neighbouring prices of a book, rounded at nine decimals.
export function tickOf(data, o, levels, smallest = Infinity) {
  for (const side of ["bid", "ask"]) {
    for (let level = 1; level < levels; level++) {
      const step = Math.abs(
        data[o + place(levels, side, level)] - data[o + place(levels, side, level - 1)]);
      const rounded = Math.round(step * 1e9) / 1e9;
      if (rounded > 0 && rounded < smallest) smallest = rounded;
    }
  }
  const spread = Math.round((data[o + ASK] - data[o + BID]) * 1e9) / 1e9;
  return spread > 0 && spread < smallest ? spread : smallest;
}

// Whether a row is not known to stand any more at a time: what is shown of it says so. A moment
// is passed over, in which the next book is on its way.
export function isOld(store, row, time) {
  const until = holdsUntil(store.rings.books, row, row, store.unseen, store.head.seen)[0];
  return time - until > OLD_MS;
}

// Until when each row in [first, last] holds: to the next one, but not into a gap, and the
// newest to `now`. `gaps` are [from, to, ...] by time. Rows behind a gap say so in column GAP.
export function holdsUntil(ring, first, last, gaps, now) {
  const until = new Float64Array(Math.max(0, last - first + 1));
  let next = 0;
  for (let row = first; row <= last; row++) {
    const t = ring.at(row, T);
    const newest = row + 1 >= ring.length;
    let end = newest ? Math.max(now, t) : ring.at(row + 1, T);
    while (next < gaps.length && gaps[next][1] <= t) next++;
    for (let g = next; g < gaps.length && gaps[g][0] < end; g++) {
      if (gaps[g][1] > t) {
        end = Math.max(t, gaps[g][0]);
        break;
      }
    }
    // Behind a gap of which no stretch is known, a row is good for its own step only.
    if (!newest && end === ring.at(row + 1, T) && ring.at(row + 1, GAP)) {
      end = Math.min(end, t + ring.step);
    }
    until[row - first] = end;
  }
  return until;
}

// What part of time and price is looked at, and how the user's hand changes that.

const LEAST = 500, MOST = 200 * 366 * 86400e3;

export class View {
  constructor(seconds = 60) {
    this.span = seconds * 1000;
    this.follow = true;
    this.end = 0; // the right edge in ms, where the view does not follow
    this.prices = null; // [low, high] once the user has chosen, else null
    this.whole = null; // the span to come back to, where there is a beginning and an end
    this.room = 0.03; // of the span, free at the right of the newest
  }

  // The stretch of time shown when the newest moment is `now`.
  times(now) {
    const end = this.follow ? now + this.room * this.span : this.end;
    return [end - this.span, end];
  }

  zoomTime(factor, at, now) {
    const [from, to] = this.times(now);
    const span = Math.min(MOST, Math.max(LEAST, this.span * factor));
    const share = (at - from) / (to - from || 1);
    this.span = span;
    // While it follows, the newest stays at the edge, whatever the pointer is at.
    if (!this.follow) this.end = at + (1 - share) * span;
  }

  panTime(by, now) {
    this.end = this.times(now)[1] + by;
    this.follow = false;
    if (this.end > now + 0.5 * this.span) this.end = now + 0.5 * this.span;
  }

  zoomPrice(factor, at, shown) {
    const [low, high] = this.prices ?? shown;
    this.prices = [at - (at - low) * factor, at + (high - at) * factor];
  }

  panPrice(by, shown) {
    const [low, high] = this.prices ?? shown;
    this.prices = [low + by, high + by];
  }

  goTo(time) {
    this.follow = false;
    this.end = time + 0.5 * this.span;
  }

  fix(now) {
    if (this.follow) this.end = this.times(now)[1];
    this.follow = false;
  }

  setSpan(ms, now) {
    const [, to] = this.times(now);
    this.span = Math.min(MOST, Math.max(LEAST, ms));
    if (!this.follow) this.end = to;
  }

  reset() {
    if (this.whole) this.span = this.whole;
    this.follow = true;
    this.prices = null;
  }
}

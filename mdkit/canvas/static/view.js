// What part of time and price is looked at, and how the user's hand changes that.

const LEAST = 500, MOST = 200 * 366 * 86400e3;
const YOUNG = 4000, GROWTH = 1.25;

export class View {
  constructor(seconds = 60) {
    this.span = seconds * 1000;
    this.follow = true;
    this.end = 0; // the right edge in ms, where the view does not follow
    this.prices = null; // [low, high] once the user has chosen, else null
    this.whole = null; // the span to come back to, where there is a beginning and an end
    this.room = 0.03; // of the span, free at the right of the newest
    this.begin = null; // when what is looked at began, where that is known
    this.chosen = null; // the span to follow with again
  }

  // How much time is shown: of what has only just begun less than was chosen, and more by steps, so
  // that the picture is full and yet stands still most of the time.
  shown(now) {
    if (!this.follow || this.begin === null) return this.span;
    const age = Math.max(0, now - this.begin) / (1 - this.room);
    const steps = Math.max(0, Math.ceil(Math.log(age / YOUNG) / Math.log(GROWTH)));
    return Math.min(this.span, YOUNG * GROWTH ** steps);
  }

  // The stretch of time shown when the newest moment is `now`.
  times(now) {
    if (!this.follow) return [this.end - this.span, this.end];
    const span = this.shown(now);
    const end = span < this.span ? this.begin + span : now + this.room * span;
    return [end - span, end];
  }

  // Follow no more: what is shown now stays.
  leave(now) {
    if (!this.follow) return;
    const span = this.shown(now);
    this.end = this.times(now)[1];
    if (span < this.span) [this.chosen, this.span] = [this.span, span];
    this.follow = false;
  }

  resume() {
    this.follow = true;
    this.span = this.chosen ?? this.span;
    this.chosen = null;
  }

  zoomTime(factor, at, now) {
    const [from, to] = this.times(now);
    const before = factor < 1 ? this.shown(now) : this.span;
    const span = Math.min(MOST, Math.max(LEAST, before * factor));
    const share = (at - from) / (to - from || 1);
    this.span = span;
    this.chosen = null;
    // While it follows, the newest stays at the edge, whatever the pointer is at.
    if (!this.follow) this.end = at + (1 - share) * span;
  }

  panTime(by, now) {
    this.leave(now);
    this.end += by;
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

  setSpan(ms) {
    this.span = Math.min(MOST, Math.max(LEAST, ms));
    this.chosen = null;
  }

  reset() {
    this.resume();
    if (this.whole) this.span = this.whole;
    this.prices = null;
  }
}

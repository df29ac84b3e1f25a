// When to look again at what depends on all that is shown, as the sizes that colours span.

const DRAWS = 15, FAR = 0.2;

export const KEEP = 0;
export const AGAIN = 1;
export const ANEW = 2;

export class Seldom {
  constructor() {
    this.age = 0;
    this.from = NaN;
  }

  // KEEP mostly, so that the past does not flicker; now and then AGAIN; and ANEW at once where
  // another symbol, or quite another stretch of time, is shown.
  look(symbol, x) {
    const isSame = symbol === this.symbol && x.span === this.span &&
      Math.abs(x.from - this.from) < FAR * x.span;
    if (isSame && ++this.age < DRAWS) return KEEP;
    Object.assign(this, { age: 0, symbol, span: x.span, from: x.from });
    return isSame ? AGAIN : ANEW;
  }
}

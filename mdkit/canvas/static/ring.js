// The newest rows of a series: one Float64Array of twice the capacity, so that rows lie in order.

export class Ring {
  // `step`: milliseconds within which a row takes the place of the one before; 0 for never.
  constructor(width, capacity, step = 0) {
    this.width = width;
    this.capacity = capacity;
    this.step = step;
    this.data = new Float64Array(width * Math.min(2 * capacity, 512));
    this.start = 0;
    this.end = 0;
    this.total = 0; // rows that ever came, without those given anew
  }

  get length() {
    return this.end - this.start;
  }

  // The value in a column of a row; row 0 is the oldest.
  at(row, column) {
    return this.data[(this.start + row) * this.width + column];
  }

  // Where a row begins in `data`.
  offset(row) {
    return (this.start + row) * this.width;
  }

  // Append rows that lie one after the other in `rows`.
  append(rows) {
    const count = rows.length / this.width;
    for (let row = 0; row < count; row++) {
      const first = row * this.width;
      const same = this.step && this.length &&
        this.key(rows[first]) === this.key(this.at(this.length - 1, 0));
      if (!same) {
        this.makeRoom();
        this.total++;
      }
      const place = same ? this.end - 1 : this.end++;
      this.data.set(rows.subarray(first, first + this.width), place * this.width);
      if (this.length > this.capacity) this.start = this.end - this.capacity;
    }
  }

  key(time) {
    return Math.floor(time / this.step);
  }

  makeRoom() {
    if ((this.end + 1) * this.width <= this.data.length) return;
    const kept = this.data.subarray(this.start * this.width, this.end * this.width);
    const full = 2 * this.capacity * this.width;
    if (this.data.length < full) {
      const wider = new Float64Array(Math.min(2 * this.data.length, full));
      wider.set(kept);
      this.data = wider;
    } else {
      this.data.copyWithin(0, this.start * this.width, this.end * this.width);
    }
    this.end -= this.start;
    this.start = 0;
  }

  // The last row whose first column is at most `time`, or -1.
  find(time) {
    let low = 0, high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at(middle, 0) <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

// What the kernel sends: a header, and one buffer with all series one after the other.

// Return the series by name. A DataView may be unaligned within a larger buffer: it is copied.
export function unpack(parts, view) {
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  const numbers = new Float64Array(bytes);
  const found = {};
  let first = 0;
  for (const [name, rows, width] of parts) {
    found[name] = { rows, width, data: numbers.subarray(first, first + rows * width) };
    first += rows * width;
  }
  if (first !== numbers.length) throw new Error(`${numbers.length} numbers, ${first} announced`);
  return found;
}

// Whether a message follows the last one; a first one, and one that begins anew, always does.
export function follows(last, message) {
  return message.anew || message.n === last + 1;
}

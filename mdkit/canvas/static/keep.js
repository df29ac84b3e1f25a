// The picture that a notebook shows which is saved meanwhile: the page's own canvas, sent to the
// kernel now and then. It lies in an output beside the canvas, unseen as long as that is there.

const FIRST = 3000, EVERY = 30000, WIDEST = 1100;
const TYPE = "image/webp", QUALITY = 0.8;

export class Keeper {
  // `send` sends a message with buffers.
  constructor(root, canvas, store, send) {
    Object.assign(this, { root, canvas, store, send });
    this.style = document.createElement("style");
    root.append(this.style);
  }

  // Send the picture where one is wanted and it is time; `hides`: nobody sees it any more.
  look(now, hides = false) {
    const { store } = this, head = store.head;
    if (!head?.kept || head.over) return;
    if (store.keeps !== head.kept) {
      store.keeps = head.kept;
      store.keptNext = now + FIRST;
    }
    const rule = `[data-mdkit-kept="${head.kept}"] { display: none; }`;
    if (this.style.textContent !== rule) this.style.textContent = rule;
    if (store.keptN === store.n || (now < store.keptNext && !hides)) return;
    store.keptNext = now + EVERY;
    store.keptN = store.n;
    const said = `${head.state}. ${head.sentence} ${head.ledger}`;
    this.small().toBlob(async (blob) => {
      if (blob) this.send({ kind: "still", type: blob.type, said }, [await blob.arrayBuffer()]);
    }, TYPE, QUALITY);
  }

  // The canvas, no larger than a saved notebook should have to hold.
  small() {
    const { canvas } = this;
    if (canvas.width <= WIDEST) return canvas;
    const small = document.createElement("canvas");
    small.width = WIDEST;
    small.height = Math.round((canvas.height * WIDEST) / canvas.width);
    small.getContext("2d").drawImage(canvas, 0, 0, small.width, small.height);
    return small;
  }
}

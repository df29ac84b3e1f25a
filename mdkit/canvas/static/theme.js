// Colours, light and dark, and the scale of the heat map: no green or red in it, which are the
// sides' and have to be seen on it.

const LIGHT = {
  name: "light", back: "#ffffff", panel: "#f7f8fa", ink: "#1f2933", muted: "#66707c",
  grid: "rgba(31,41,51,0.09)", line: "rgba(31,41,51,0.18)", buy: "#13845a", sell: "#c8323c",
  mid: "#4a5563", micro: "#b36b00", queue: "#1f6fb2", spill: "#8e5bb5", in: "#c77700",
  out: "#13845a", warn: "#c77700", bad: "#c8323c", gap: "rgba(110,118,130,0.26)",
  gapInk: "#4c5560", tag: "#1f2933", tagInk: "#ffffff",
  series: ["#1f6fb2", "#8e5bb5", "#c77700", "#13845a", "#c2488f", "#5f7a1f"],
  heat: [[243, 246, 250], [227, 236, 247], [200, 219, 240], [158, 193, 228], [106, 153, 211],
    [64, 105, 186], [50, 64, 146], [232, 146, 28]],
};
const DARK = {
  name: "dark", back: "#101419", panel: "#161b22", ink: "#e3e8ee", muted: "#8c97a5",
  grid: "rgba(227,232,238,0.07)", line: "rgba(227,232,238,0.17)", buy: "#35c08a",
  sell: "#f0626b", mid: "#cdd5df", micro: "#f2b84b", queue: "#5aa9ee", spill: "#b58adb",
  in: "#f0a444", out: "#35c08a", warn: "#f0a444", bad: "#f0626b",
  gap: "rgba(150,160,175,0.24)", gapInk: "#c3ccd6", tag: "#e3e8ee",
  tagInk: "#101419",
  series: ["#5aa9ee", "#b58adb", "#f0a444", "#35c08a", "#e679b5", "#a3bf5c"],
  heat: [[15, 20, 30], [18, 33, 58], [20, 52, 98], [26, 82, 146], [48, 124, 190],
    [112, 174, 216], [236, 208, 142], [255, 190, 70]],
};

// `chosen`: "light", "dark" or "auto", which looks at the page that the element is in.
export function themeOf(element, chosen) {
  if (chosen === "light") return LIGHT;
  if (chosen === "dark") return DARK;
  const page = document.body;
  if (page.dataset.jpThemeLight === "false") return DARK;
  if (page.dataset.jpThemeLight === "true") return LIGHT;
  if (page.classList.contains("vscode-dark") || page.classList.contains("vscode-high-contrast")) {
    return DARK;
  }
  if (page.classList.contains("vscode-light")) return LIGHT;
  for (let node = element; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (colour && (colour[3] ?? 1) > 0.5) {
      return 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2] < 110 ? DARK : LIGHT;
    }
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
}

const tables = new Map();

// 256 pixels, as Uint32 in the order of ImageData (little-endian), from nothing to most.
export function heatTable(theme) {
  if (tables.has(theme.name)) return tables.get(theme.name);
  const table = new Uint32Array(256);
  const stops = theme.heat;
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(place)), part = place - low;
    const [r, g, b] = [0, 1, 2].map(
      (c) => Math.round(stops[low][c] + part * (stops[low + 1][c] - stops[low][c])));
    table[i] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
  tables.set(theme.name, table);
  return table;
}

// Where a size is on the scale of colours, 1 to 255: logarithmic between `low` and `high`.
export function heatIndex(size, low, high, contrast = 1) {
  if (!(size > 0)) return 0;
  const span = Math.log(high / low) || 1;
  const share = Math.min(1, Math.max(0, Math.log(size / low) / span));
  return 1 + Math.round(254 * share ** contrast);
}

// The theme's colours, for what is drawn on canvases.

const dark = matchMedia('(prefers-color-scheme: dark)');

let cache = null;
dark.addEventListener('change', () => {
  cache = null;
});

/** Calls back when the colours change. */
export const onThemeChange = (callback) => dark.addEventListener('change', callback);

/**
 * The colours of the style sheet by their names; `ramp`, 256 of them from class A to class B;
 * `clusters`, one for each, and `tints`, those of their grounds; and `font(pixels)`.
 */
export function theme() {
  if (cache) return cache;
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  cache = Object.fromEntries(
    ['ink', 'muted', 'line', 'card', 'zero', 'one', 'map-zero', 'map-one', 'map-middle', 'accent', 'edge', 'boundary'].map(
      (name) => [name, color(name)]),
  );
  cache.clusters = Array.from({ length: 8 }, (_, i) => color(`c${i + 1}`));
  cache.tints = cache.clusters.map((hex) => mixed(hex, cache.card, 0.17));
  const family = getComputedStyle(document.body).fontFamily;
  cache.font = (pixels) => `${pixels}px ${family}`;
  cache.ramp = ramp(cache['map-zero'], cache['map-middle'], cache['map-one']);
  return cache;
}

/** So much of one colour on another. */
function mixed(color, ground, share) {
  const [a, b] = [color, ground].map(channels);
  const hex = (value) => Math.round(value).toString(16).padStart(2, '0');
  return `#${a.map((value, i) => hex(b[i] + (value - b[i]) * share)).join('')}`;
}

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** 256 colours as words in the byte order of ImageData on little-endian machines. */
function ramp(from, middle, to) {
  const [a, m, b] = [from, middle, to].map(channels);
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const t = (i - 127.5) / 127.5;
    const end = t < 0 ? a : b;
    const share = Math.abs(t) ** 0.85;
    const [red, green, blue] = m.map((value, c) => Math.round(value + (end[c] - value) * share));
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

/** Paints values in [-1, 1] with the ramp into the pixels of an ImageData. */
export function paint(image, values, from = 0) {
  const pixels = new Uint32Array(image.data.buffer);
  const { ramp: colors } = theme();
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = colors[Math.max(0, Math.min(255, Math.round(values[from + i] * 127.5 + 127.5)))];
  }
  return image;
}

/** Makes a canvas as sharp as the screen; returns its context, in CSS pixels, and its size. */
export function sharpen(canvas, width, height) {
  const scale = Math.min(globalThis.devicePixelRatio || 1, 2);
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

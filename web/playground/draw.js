// A pad to draw a digit on, and the digit as the data set would have it.

import { onThemeChange, sharpen, theme } from './colors.js';

/** Width of the pen, as a share of the pad. */
const PEN = 0.07;
/** How far an arrow key moves the pen. */
const NUDGE = 0.04;

// The data set's digits were bitmaps of 32 × 32, scaled to fill 32 rows and at most 20 columns, with
// strokes thick enough for about 310 dark pixels; a pixel of the 8 × 8 counts those of a 4 × 4 cell.
const SIDE = 32;
const WIDEST = 20;
const INK = 310;
const CELL = 4;
const bitmap = new OffscreenCanvas(SIDE, SIDE).getContext('2d', { willReadFrequently: true });

/** Strokes (lists of points in [0, 1]²) as 64 numbers from 0 to 16; null if there are none. */
export function toPixels(strokes) {
  const points = strokes.flat();
  if (points.length === 0) return null;
  let best = null;
  for (let pen = 3; pen <= 10; pen++) {
    const dark = rasterise(strokes, points, pen);
    const ink = dark.reduce((sum, pixel) => sum + pixel, 0);
    if (!best || Math.abs(ink - INK) < Math.abs(best.ink - INK)) best = { dark, ink };
    if (ink > INK) break;
  }
  const pixels = new Float32Array(64);
  best.dark.forEach((pixel, i) => {
    const [row, column] = [Math.floor(i / SIDE / CELL), Math.floor((i % SIDE) / CELL)];
    pixels[row * 8 + column] += pixel;
  });
  return pixels;
}

function rasterise(strokes, points, pen) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  const tall = (SIDE - pen) / Math.max(bottom - top, 0.15);
  const wide = Math.min(tall, (WIDEST - pen) / Math.max(right - left, 1e-3));
  const place = ([x, y]) => [
    SIDE / 2 + (x - (left + right) / 2) * wide,
    SIDE / 2 + (y - (top + bottom) / 2) * tall,
  ];
  bitmap.clearRect(0, 0, SIDE, SIDE);
  bitmap.lineWidth = pen;
  trace(bitmap, strokes, place);
  const { data } = bitmap.getImageData(0, 0, SIDE, SIDE);
  return Array.from({ length: SIDE * SIDE }, (_, i) => (data[4 * i + 3] > 127 ? 1 : 0));
}

/** Draws strokes with round ends; a single point is a dot. */
function trace(context, strokes, place) {
  context.lineCap = context.lineJoin = 'round';
  context.beginPath();
  for (const stroke of strokes) {
    context.moveTo(...place(stroke[0]));
    for (const point of stroke) context.lineTo(...place(point));
  }
  context.stroke();
}

export class Pad {
  #canvas;
  #changed;
  #strokes = [];
  #pixels = null; // a picture shown instead of strokes
  #drawing = null; // the pointer that draws
  #pen = { at: [0.5, 0.2], down: false, shown: false };

  /** `changed(pixels)` is called with the drawing as 64 numbers from 0 to 16, or null. */
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    new ResizeObserver(() => this.draw()).observe(canvas);
    onThemeChange(() => this.draw());
    canvas.addEventListener('pointerdown', (event) => this.#start(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    for (const end of ['pointerup', 'pointercancel']) {
      canvas.addEventListener(end, () => { this.#drawing = null; });
    }
    canvas.addEventListener('keydown', (event) => this.#onKey(event));
    canvas.addEventListener('blur', () => {
      Object.assign(this.#pen, { down: false, shown: false });
      this.draw();
    });
  }

  clear() {
    this.#strokes = [];
    this.#pixels = null;
    this.#pen.down = false;
    this.#update();
  }

  /** Shows a picture of 8 × 8 numbers from 0 to 16 in place of a drawing. */
  show(pixels) {
    this.#strokes = [];
    this.#pixels = pixels;
    this.draw();
    this.#changed(pixels);
  }

  #update() {
    this.draw();
    this.#changed(toPixels(this.#strokes));
  }

  #point(event) {
    const side = this.#canvas.clientWidth;
    return [event.offsetX / side, event.offsetY / side];
  }

  #begin(point) {
    this.#pixels = null;
    this.#strokes.push([point]);
  }

  #start(event) {
    if (event.button !== 0 || this.#drawing !== null) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#drawing = event.pointerId;
    Object.assign(this.#pen, { down: false, shown: false });
    this.#begin(this.#point(event));
    this.#update();
  }

  #move(event) {
    if (event.pointerId !== this.#drawing) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length > 0 ? events : [event]) {
      this.#strokes.at(-1).push(this.#point(one));
    }
    this.#update();
  }

  #onKey(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const pen = this.#pen;
    if (event.key === 'Delete' || event.key === 'Backspace') {
      event.preventDefault();
      this.clear();
    } else if (event.key === ' ') {
      event.preventDefault();
      Object.assign(pen, { down: !pen.down, shown: true });
      if (pen.down) this.#begin([...pen.at]);
      this.#update();
    } else if (moves[event.key]) {
      event.preventDefault();
      pen.shown = true;
      pen.at = pen.at.map((value, i) => Math.max(0, Math.min(1, value + NUDGE * moves[event.key][i])));
      if (pen.down) this.#strokes.at(-1).push([...pen.at]);
      if (pen.down) this.#update();
      else this.draw();
    }
  }

  draw() {
    const side = this.#canvas.clientWidth;
    if (side === 0) return;
    const { context } = sharpen(this.#canvas, side, side);
    const { ink, line, accent, muted } = theme();
    if (this.#pixels) drawPixels(context, this.#pixels, side, ink);
    if (this.#strokes.length === 0 && !this.#pixels) {
      context.strokeStyle = line;
      context.setLineDash([4, 5]);
      context.strokeRect(side * 0.24, side * 0.12, side * 0.52, side * 0.76);
      context.setLineDash([]);
      context.fillStyle = muted;
      context.font = theme().font(14);
      context.textAlign = 'center';
      context.textBaseline = 'middle';
      context.fillText('draw here', side / 2, side / 2);
    }
    context.strokeStyle = ink;
    context.lineWidth = PEN * side;
    trace(context, this.#strokes, ([x, y]) => [x * side, y * side]);
    if (this.#pen.shown) {
      const [x, y] = this.#pen.at;
      context.beginPath();
      context.arc(x * side, y * side, (PEN * side) / 2 + 2, 0, 2 * Math.PI);
      context.strokeStyle = context.fillStyle = accent;
      context.lineWidth = 2;
      if (this.#pen.down) context.fill();
      context.stroke();
    }
  }
}

/** Paints 64 numbers from 0 to 16 as an 8 × 8 picture of ink. */
export function drawPixels(context, pixels, side, ink) {
  const cell = side / 8;
  context.fillStyle = ink;
  pixels.forEach((value, i) => {
    context.globalAlpha = value / 16;
    context.fillRect((i % 8) * cell, Math.floor(i / 8) * cell, cell, cell);
  });
  context.globalAlpha = 1;
}

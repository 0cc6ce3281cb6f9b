// The map of a net's answer over the square, with the points of the data set on it.

import { onThemeChange, paint, sharpen, theme } from './colors.js';
import { EXTENT } from './data.js';
import { stillHeld } from './editor.js';
import { drawClass, drawCursor, drawValue } from './marks.js';

/** Pixels of the map between two points of the grid. */
const FINE = 4;
/** How near a point one must come to take hold of it, in CSS pixels. */
const REACH = 14;

export class Surface {
  #canvas;
  #size;
  #tile; // the map's pixels
  #values = null;
  #squash = null;
  #data = { train: [], test: [], values: false };
  /** Whether test points are shown. */
  showTest = true;
  /** Whether the map shows nothing but on which side an answer is. */
  discrete = false;
  /** A point in another place, while it is moved: `{ index, x, y }`. */
  held = null;
  /** A place to mark, `{ x, y }`: that of the keyboard's crosshair. */
  cursor = null;

  /** `size`: points of the grid on a side. */
  constructor(canvas, size) {
    this.#canvas = canvas;
    this.#size = size;
    const pixels = (size - 1) * FINE;
    this.#tile = new OffscreenCanvas(pixels, pixels);
    new ResizeObserver(() => this.draw()).observe(canvas);
    onThemeChange(() => this.draw());
  }

  get canvas() {
    return this.#canvas;
  }

  /** `{ train, test, values }`: points, and whether they have values rather than classes. */
  set data(data) {
    this.#data = data;
    this.held = stillHeld(this.held, [...data.train, ...data.test]);
    this.draw();
  }

  /** Shows values on the grid; `squash` takes what lies between them into [-1, 1]. */
  show(values, squash) {
    this.#values = values;
    this.#squash = squash;
    this.draw();
  }

  /** The place of a pointer's event in the square. */
  placeOf(event) {
    const scale = (2 * EXTENT) / this.#canvas.clientWidth;
    return { x: event.offsetX * scale - EXTENT, y: EXTENT - event.offsetY * scale };
  }

  /** The point that is nearest to a place, of those that are shown and within reach; null if none is. */
  pointNear({ x, y }) {
    const { train, test } = this.#data;
    const reach = (REACH * 2 * EXTENT) / this.#canvas.clientWidth;
    const distance = (point) => Math.hypot(point.x - x, point.y - y);
    const points = [...train, ...(this.showTest ? test : [])].filter((point) => distance(point) <= reach);
    return points.sort((a, b) => distance(a) - distance(b))[0] ?? null;
  }

  draw() {
    const side = this.#canvas.clientWidth;
    if (side === 0) return;
    const { context } = sharpen(this.#canvas, side, side);
    if (this.#values) {
      this.#drawMap(context, side);
      this.#drawBoundary(context, side);
    }
    this.#drawAxes(context, side);
    this.#drawPoints(context, side);
    const place = (value) => (value + EXTENT) * (side / (2 * EXTENT));
    if (this.cursor) drawCursor(context, place(this.cursor.x), place(-this.cursor.y));
  }

  #drawMap(context, side) {
    const pixels = this.#tile.width;
    const squash = this.discrete ? (value) => (value > 0 ? 1 : -1) : this.#squash;
    const fine = refine(this.#values, this.#size, squash);
    const tile = this.#tile.getContext('2d');
    tile.putImageData(paint(tile.createImageData(pixels, pixels), fine), 0, 0);
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.#tile, 0, 0, side, side);
  }

  /** The line where the net is undecided, by marching squares. */
  #drawBoundary(context, side) {
    const [size, values, pixel] = [this.#size, this.#values, side / (this.#size - 1)];
    context.beginPath();
    for (let row = 0; row + 1 < size; row++) {
      for (let column = 0; column + 1 < size; column++) {
        const at = row * size + column;
        const corners = [values[at], values[at + 1], values[at + size + 1], values[at + size]];
        if (Math.min(...corners) > 0 || Math.max(...corners) <= 0) continue;
        const crossings = [];
        for (let edge = 0; edge < 4; edge++) {
          const [a, b] = [corners[edge], corners[(edge + 1) % 4]];
          if (a > 0 === b > 0) continue;
          const t = a / (a - b);
          const [x, y] = [[t, 0], [1, t], [1 - t, 1], [0, 1 - t]][edge];
          crossings.push([(column + x) * pixel, (row + y) * pixel]);
        }
        for (let i = 0; i + 1 < crossings.length; i += 2) {
          context.moveTo(...crossings[i]);
          context.lineTo(...crossings[i + 1]);
        }
      }
    }
    context.strokeStyle = theme().boundary;
    context.lineWidth = 1.25;
    context.stroke();
  }

  #drawAxes(context, side) {
    context.fillStyle = theme().ink;
    context.font = theme().font(11);
    const at = (value) => ((value + EXTENT) / (2 * EXTENT)) * side;
    for (const value of [-4, -2, 0, 2, 4]) {
      context.textAlign = 'center';
      context.textBaseline = 'bottom';
      context.fillText(String(value).replace('-', '−'), at(value), side - 3);
      if (value === 0) continue;
      context.textAlign = 'left';
      context.textBaseline = 'middle';
      context.fillText(String(value).replace('-', '−'), 4, side - at(value));
    }
  }

  #drawPoints(context, side) {
    const scale = side / (2 * EXTENT);
    const radius = Math.max(2.6, side / 115);
    const { train, test, values } = this.#data;
    // One by one, so that a point covers those under it, their rims included.
    for (const point of [...train, ...(this.showTest ? test : [])]) {
      const { x, y } = this.held?.index === point.index ? this.held : point;
      const place = [(x + EXTENT) * scale, (EXTENT - y) * scale];
      if (values) drawValue(context, ...place, radius, point.value, point.isTest);
      else drawClass(context, ...place, radius, point.label, point.isTest);
    }
  }
}

/** Values between the points of the grid, FINE × FINE to a cell, squashed. */
function refine(values, size, squash) {
  const side = (size - 1) * FINE;
  const fine = new Float32Array(side * side);
  for (let row = 0; row < side; row++) {
    const down = ((row % FINE) + 0.5) / FINE;
    const above = Math.floor(row / FINE) * size;
    for (let column = 0; column < side; column++) {
      const right = ((column % FINE) + 0.5) / FINE;
      const at = above + Math.floor(column / FINE);
      const top = values[at] + (values[at + 1] - values[at]) * right;
      const bottom = values[at + size] + (values[at + size + 1] - values[at + size]) * right;
      fine[row * side + column] = squash(top + (bottom - top) * down);
    }
  }
  return fine;
}

// The net as a diagram: a small picture of what each unit answers over the square, and the weights
// as lines between them.

import { onThemeChange, paint, sharpen, theme } from './colors.js';
import { layersOf, responses, scaled } from './forward.js';

/** Points on a side of a unit's picture. */
export const PICTURE = 16;
/** Lines drawn between two layers, at most: the strongest. */
const LINES = 240;
/** Widths that lines come in. */
const WIDTHS = [0.5, 1, 1.8, 3, 4.5];
const LABELS = 36;

export class NetworkView {
  #canvas;
  #select;
  #atlas = new OffscreenCanvas(PICTURE, PICTURE);
  #net = null; // { layers, pictures, labels }
  #columns = []; // per layer, inputs first: { size, units: [{ x, y }] }
  #chosen = null; // { layer, unit }; layer 0 is the inputs

  /** `select(unit)` is called when a person points at another unit: `{ layer, unit }` or null. */
  constructor(canvas, select) {
    this.#canvas = canvas;
    this.#select = select;
    new ResizeObserver(() => this.draw()).observe(canvas);
    onThemeChange(() => this.draw());
    canvas.addEventListener('pointermove', (event) => this.#choose(this.#unitAt(event)));
    canvas.addEventListener('pointerdown', (event) => this.#choose(this.#unitAt(event)));
    canvas.addEventListener('pointerleave', (event) => {
      if (event.pointerType === 'mouse') this.#choose(null);
    });
    canvas.addEventListener('blur', () => this.#choose(null));
    canvas.addEventListener('keydown', (event) => this.#onKey(event));
  }

  /** Shows weights as the engine gives them; `grid` are features of PICTURE × PICTURE points. */
  update(weights, grid, activation, labels) {
    const layers = layersOf(weights);
    const all = responses(layers, grid, PICTURE * PICTURE, activation);
    this.#net = { layers, pictures: all, labels };
    const chosen = this.#chosen;
    if (chosen && !(chosen.unit < (this.#widths()[chosen.layer] ?? 0))) this.#choose(null);
    this.draw();
  }

  #widths() {
    if (!this.#net) return [];
    return [this.#net.labels.length, ...this.#net.layers.map(({ units }) => units)];
  }

  draw() {
    const [width, height] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    if (width === 0 || !this.#net) return;
    const { context } = sharpen(this.#canvas, width, height);
    this.#columns = layOut(this.#widths(), width, height);
    this.#net.layers.forEach((layer, index) => this.#drawWeights(context, layer, index));
    this.#columns.forEach((column, index) => this.#drawUnits(context, column, index));
    this.#drawLabels(context);
  }

  #drawWeights(context, { inputs, units, matrix }, index) {
    const [from, to] = [this.#columns[index], this.#columns[index + 1]];
    const sizes = matrix.map(Math.abs).sort();
    const largest = Math.max(sizes.at(-1), 1e-6);
    const least = Math.max(sizes.at(-LINES) ?? 0, largest * 0.06);
    const paths = new Map();
    for (let i = 0; i < inputs; i++) {
      for (let j = 0; j < units; j++) {
        const weight = matrix[i * units + j];
        if (Math.abs(weight) < least) continue;
        const level = Math.min(WIDTHS.length - 1, Math.floor((Math.abs(weight) / largest) * WIDTHS.length));
        const key = (weight > 0 ? 1 : -1) * (level + 1);
        if (!paths.has(key)) paths.set(key, new Path2D());
        const a = from.units[i];
        const b = to.units[j];
        const [x0, x1] = [a.x + from.size, b.x];
        const [y0, y1] = [a.y + from.size / 2, b.y + to.size / 2];
        const bend = (x1 - x0) * 0.5;
        const path = paths.get(key);
        path.moveTo(x0, y0);
        path.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
      }
    }
    const { zero, one } = theme();
    for (const key of [...paths.keys()].sort((a, b) => Math.abs(a) - Math.abs(b))) {
      const level = Math.abs(key) - 1;
      context.strokeStyle = key > 0 ? one : zero;
      context.globalAlpha = 0.3 + 0.12 * level;
      context.lineWidth = WIDTHS[level];
      context.stroke(paths.get(key));
    }
    context.globalAlpha = 1;
  }

  #drawUnits(context, { size, units }, index) {
    const pictures = this.#net.pictures[index];
    const pixels = PICTURE * PICTURE;
    if (this.#atlas.height < PICTURE * units.length) this.#atlas.height = PICTURE * units.length;
    const atlas = this.#atlas.getContext('2d');
    const { card, ink, muted } = theme();
    const all = new Float32Array(pixels * units.length);
    units.forEach((_, unit) => {
      all.set(scaled(pictures.subarray(unit * pixels, (unit + 1) * pixels)), unit * pixels);
    });
    atlas.putImageData(paint(atlas.createImageData(PICTURE, PICTURE * units.length), all), 0, 0);
    units.forEach(({ x, y }, unit) => {
      const chosen = this.#chosen?.layer === index && this.#chosen.unit === unit;
      context.fillStyle = chosen ? ink : card;
      const rim = chosen ? 2.5 : 1;
      context.fillRect(x - rim, y - rim, size + 2 * rim, size + 2 * rim);
      context.drawImage(this.#atlas, 0, unit * PICTURE, PICTURE, PICTURE, x, y, size, size);
      context.strokeStyle = chosen ? ink : muted;
      context.globalAlpha = chosen ? 1 : 0.6;
      context.lineWidth = 1;
      context.strokeRect(x - 0.5, y - 0.5, size + 1, size + 1);
      context.globalAlpha = 1;
    });
  }

  #drawLabels(context) {
    const { size, units } = this.#columns[0];
    context.fillStyle = theme().ink;
    context.font = theme().font(12);
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    units.forEach(({ x, y }, i) => context.fillText(this.#net.labels[i], x - 6, y + size / 2));
  }

  /** What a chosen unit is called. */
  describe({ layer, unit }) {
    const { layers, labels } = this.#net;
    if (layer === 0) return `feature ${labels[unit]}`;
    const bias = layers[layer - 1].bias[unit].toFixed(2).replace('-', '−');
    const name = layer === layers.length ? 'output' : `layer ${layer}`;
    return `${name}, unit ${unit + 1}, bias ${bias}`;
  }

  /** The responses of a chosen unit to `rows` rows of features. */
  responsesOf({ layer, unit }, features, rows, activation) {
    const all = responses(this.#net.layers, features, rows, activation);
    return scaled(all[layer].subarray(unit * rows, (unit + 1) * rows));
  }

  #unitAt(event) {
    for (const [layer, { size, units }] of this.#columns.entries()) {
      for (const [unit, { x, y }] of units.entries()) {
        const [dx, dy] = [event.offsetX - x, event.offsetY - y];
        if (dx >= -2 && dy >= -2 && dx <= size + 2 && dy <= size + 2) return { layer, unit };
      }
    }
    return null;
  }

  #choose(unit) {
    const same = unit?.layer === this.#chosen?.layer && unit?.unit === this.#chosen?.unit;
    if (same) return;
    this.#chosen = unit;
    this.draw();
    this.#select(unit);
  }

  #onKey(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const widths = this.#widths();
    if (event.key === 'Escape') this.#choose(null);
    const move = moves[event.key];
    if (!move || widths.length === 0) return;
    event.preventDefault();
    const from = this.#chosen ?? { layer: move[0] < 0 ? widths.length : 0, unit: 0 };
    const start = this.#chosen ? move : [Math.min(move[0], 0), 0];
    const layer = Math.max(0, Math.min(widths.length - 1, from.layer + start[0]));
    const unit = Math.max(0, Math.min(widths[layer] - 1, from.unit + start[1]));
    this.#choose({ layer, unit });
  }
}

/** Where the units of each layer lie: columns of squares, as large as there is room for. */
function layOut(widths, width, height) {
  const room = (width - LABELS - 6) / widths.length;
  return widths.map((units, index) => {
    const pitch = Math.min(44, height / units);
    const gap = Math.max(1.5, Math.min(12, pitch * 0.24));
    const size = Math.max(3, Math.min(pitch - gap, room * 0.62));
    const last = widths.length - 1;
    const x = LABELS + (last === 0 ? 0 : (index / last) * (width - LABELS - 6 - size));
    const top = (height - units * (size + gap) + gap) / 2;
    const at = (unit) => ({ x: Math.round(x), y: Math.round((top + unit * (size + gap)) * 2) / 2 });
    return { size: Math.round(size * 2) / 2, units: Array.from({ length: units }, (_, i) => at(i)) };
  });
}

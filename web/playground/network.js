// The net as a diagram: a small picture of what each unit answers over the square, and the weights
// as lines between them.

import { onThemeChange, paint, sharpen, theme } from './colors.js';
import { layersOf, responses, scaled } from './forward.js';
import { strikeOut } from './marks.js';

/** Points on a side of a unit's picture. */
export const PICTURE = 16;
/** Lines drawn between two layers, at most, shared out among the units they lead to: the strongest. */
const LINES = 40;
const LEAST_LINES = 2;
/** A weight below this share of the largest of its layer has no line. */
const FAINT = 0.12;
/** Widths that lines come in. */
const WIDTHS = [0.8, 1.1, 1.5, 2, 2.6];
/** Of a line with a negative weight: sign is told by more than the hue. */
const DASHES = [4, 3];
const LABELS = 36;
/** How near a line one must come to choose it, in CSS pixels. */
const REACH = 5;

export class NetworkView {
  #canvas;
  #select;
  #pinned = null; // a unit that stays chosen: { layer, unit, input }
  #pin;
  #atlas = new OffscreenCanvas(PICTURE, PICTURE);
  #net = null; // { layers, pictures, labels }
  #columns = []; // per layer, inputs first: { size, units: [{ x, y }] }
  #lines = []; // drawn: { layer, unit, input, curve }
  #chosen = null; // { layer, unit }; layer 0 is the inputs

  /**
   * `select()` is called when another unit is `shown`;
   * `pin(unit, byKey)` when one is chosen to stay, by Enter or a click on it or on a line into it, whose other end
   * is then `input`.
   */
  constructor(canvas, select, pin) {
    this.#canvas = canvas;
    this.#select = select;
    this.#pin = pin;
    new ResizeObserver(() => this.draw()).observe(canvas);
    onThemeChange(() => this.draw());
    canvas.addEventListener('pointermove', (event) => this.#choose(this.#unitAt(event)));
    canvas.addEventListener('pointerdown', (event) => this.#onPress(event));
    canvas.addEventListener('pointerleave', (event) => {
      if (event.pointerType === 'mouse') this.#choose(null);
    });
    canvas.addEventListener('blur', () => this.#choose(null));
    canvas.addEventListener('keydown', (event) => this.#onKey(event));
  }

  /**
   * Shows weights as the engine gives them; `grid` are features of PICTURE × PICTURE points, `outputs` what the units
   * of the last layer answer, unit by unit, as the map shows it.
   */
  update(weights, grid, activation, labels, outputs) {
    const layers = layersOf(weights);
    const all = responses(layers, grid, PICTURE * PICTURE, activation);
    this.#net = { layers, pictures: [...all.slice(0, -1), outputs], labels };
    for (const unit of [this.#chosen, this.#pinned]) {
      if (unit && !(unit.unit < (this.#widths()[unit.layer] ?? 0))) this.#forget();
    }
    this.draw();
  }

  #forget() {
    // First of all, since what is drawn then may be of a unit that is gone.
    this.#chosen = null;
    this.pin(null);
  }

  /** Keeps a unit chosen, by a key or otherwise; null lets it go. */
  pin(unit, byKey = false) {
    this.#pinned = unit;
    this.draw();
    this.#pin(unit, byKey);
    this.#select();
  }

  focus() {
    this.#canvas.focus();
  }

  /** The unit under the pointer, else the one that stays chosen: `{ layer, unit }`, or null. */
  get shown() {
    return this.#chosen ?? this.#pinned;
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
    this.#lines = [];
    this.#net.layers.forEach((layer, index) => this.#drawWeights(context, layer, index));
    this.#columns.forEach((column, index) => this.#drawUnits(context, column, index));
    this.#drawLabels(context);
  }

  /** The weights between two layers that are drawn: the strongest; and of the chosen unit all. */
  #drawn({ inputs, units, matrix }, index) {
    const each = Math.max(LEAST_LINES, Math.floor(LINES / units));
    const largest = matrix.reduce((most, weight) => Math.max(most, Math.abs(weight)), 1e-6);
    const shown = this.shown;
    const all = [];
    for (let unit = 0; unit < units; unit++) {
      const into = [];
      for (let input = 0; input < inputs; input++) {
        const weight = matrix[input * units + unit];
        const chosen = shown !== null && ((shown.layer === index + 1 && shown.unit === unit) || (shown.layer === index && shown.unit === input));
        into.push({ input, unit, weight, chosen, size: Math.abs(weight) / largest });
      }
      into.sort((a, b) => b.size - a.size);
      all.push(...into.filter(({ chosen, size }, at) => chosen || (at < each && size >= FAINT)));
    }
    return all.sort((a, b) => a.chosen - b.chosen || a.size - b.size); // the strongest last, over the others
  }

  #drawWeights(context, layer, index) {
    const [from, to] = [this.#columns[index], this.#columns[index + 1]];
    const { zero, one } = theme();
    for (const { input, unit, weight, size } of this.#drawn(layer, index)) {
      const [a, b] = [from.units[input], to.units[unit]];
      const [x0, x1] = [a.x + from.size, b.x];
      const [y0, y1] = [a.y + from.size / 2, b.y + to.size / 2];
      context.beginPath();
      context.moveTo(x0, y0);
      const middle = (x0 + x1) / 2;
      context.bezierCurveTo(middle, y0, middle, y1, x1, y1);
      context.strokeStyle = weight > 0 ? one : zero;
      context.setLineDash(weight > 0 ? [] : DASHES);
      context.lineWidth = WIDTHS[Math.min(WIDTHS.length - 1, Math.floor(size * WIDTHS.length))];
      context.stroke();
      this.#lines.push({ layer: index + 1, unit, input, curve: [x0, y0, x1, y1] });
    }
    context.setLineDash([]);
  }

  #drawUnits(context, { size, units }, index) {
    const pictures = this.#net.pictures[index];
    const pixels = pictures.length / units.length;
    const side = Math.sqrt(pixels);
    if (this.#atlas.width !== side || this.#atlas.height < side * units.length) {
      Object.assign(this.#atlas, { width: side, height: side * units.length });
    }
    const atlas = this.#atlas.getContext('2d');
    const { card, ink, muted } = theme();
    const all = new Float32Array(pictures.length);
    const isLast = index === this.#net.layers.length; // squashed already, as the map is
    units.forEach((_, unit) => {
      const answers = pictures.subarray(unit * pixels, (unit + 1) * pixels);
      all.set(isLast ? answers : scaled(answers), unit * pixels);
    });
    atlas.putImageData(paint(atlas.createImageData(side, side * units.length), all), 0, 0);
    units.forEach(({ x, y }, unit) => {
      const chosen = this.shown?.layer === index && this.shown.unit === unit;
      const rim = chosen ? 2.5 : 1;
      context.fillStyle = chosen ? ink : card;
      context.fillRect(x - rim, y - rim, size + 2 * rim, size + 2 * rim);
      context.drawImage(this.#atlas, 0, unit * side, side, side, x, y, size, size);
      context.strokeStyle = chosen ? ink : muted;
      context.lineWidth = 1;
      context.strokeRect(x - 0.5, y - 0.5, size + 1, size + 1);
      const answers = all.subarray(unit * pixels, (unit + 1) * pixels);
      if (index > 0 && answers.every((value) => value === 0)) strikeOut(context, x, y, size);
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

  /** What a unit is called. */
  nameOf({ layer, unit }) {
    const { layers, labels } = this.#net;
    if (layer === 0) return `feature ${labels[unit]}`;
    return `${layer === layers.length ? 'output' : `layer ${layer}`}, unit ${unit + 1}`;
  }

  /** What a unit is called, with its bias. */
  describe(at) {
    if (at.layer === 0) return this.nameOf(at);
    return `${this.nameOf(at)}, bias ${this.weightOf(at.layer, at.unit, null).toFixed(2).replace('-', '−')}`;
  }

  /** The names of what a layer's units see. */
  inputsOf(layer) {
    return Array.from({ length: this.#widths()[layer - 1] }, (_, unit) => this.nameOf({ layer: layer - 1, unit }));
  }

  /** A unit's weight from an input, or its bias if `input` is null. */
  weightOf(layer, unit, input) {
    const { matrix, bias, units } = this.#net.layers[layer - 1];
    return input === null ? bias[unit] : matrix[input * units + unit];
  }

  /** What a unit answers to `rows` rows of features, as its picture shows it: scaled or, in the last layer, squashed. */
  responsesOf({ layer, unit }, features, rows, activation, squash) {
    const all = responses(this.#net.layers, features, rows, activation);
    const isLast = layer === this.#net.layers.length;
    const answers = (isLast ? squash(all[layer]) : all[layer]).subarray(unit * rows, (unit + 1) * rows);
    return isLast ? answers : scaled(answers);
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

  /** The line under a pointer, as the unit it leads to and the input it comes from; null if there is none. */
  #lineAt({ offsetX, offsetY }) {
    let best = null;
    for (const line of this.#lines) {
      const [x0, y0, x1, y1] = line.curve;
      const t = parameterAt((offsetX - x0) / (x1 - x0));
      if (t === null) continue;
      const away = Math.abs(y0 + (y1 - y0) * t * t * (3 - 2 * t) - offsetY);
      if (away <= REACH && away < (best?.away ?? Infinity)) best = { ...line, away };
    }
    return best && { layer: best.layer, unit: best.unit, input: best.input };
  }

  #onPress(event) {
    const at = this.#unitAt(event);
    this.#choose(at);
    this.pin(at ?? this.#lineAt(event));
  }

  #choose(unit) {
    const same = unit?.layer === this.#chosen?.layer && unit?.unit === this.#chosen?.unit;
    if (same) return;
    this.#chosen = unit;
    this.draw();
    this.#select();
  }

  #onKey(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const widths = this.#widths();
    if (event.key === 'Escape') this.#forget();
    if (event.key === 'Enter' && this.#chosen) {
      event.preventDefault();
      this.pin(this.#chosen, true);
    }
    const move = moves[event.key];
    if (!move || widths.length === 0) return;
    event.preventDefault();
    const from = this.shown ?? { layer: move[0] < 0 ? widths.length : 0, unit: 0 };
    const start = this.shown ? move : [Math.min(move[0], 0), 0];
    const layer = Math.max(0, Math.min(widths.length - 1, from.layer + start[0]));
    const unit = Math.max(0, Math.min(widths[layer] - 1, from.unit + start[1]));
    this.#choose({ layer, unit });
  }
}

/** Where on a line's curve, from 0 to 1, it has come so far across: its x is 1.5·t·(1 − t) + t³, of t. */
function parameterAt(share) {
  if (!(share >= 0 && share <= 1)) return null;
  let [low, high] = [0, 1];
  for (let i = 0; i < 20; i++) {
    const t = (low + high) / 2;
    if (1.5 * t * (1 - t) + t ** 3 < share) low = t;
    else high = t;
  }
  return low;
}

/** Where the units of each layer lie: columns of squares, as large as there is room for. */
function layOut(widths, width, height) {
  const room = (width - LABELS - 6) / widths.length;
  return widths.map((units, index) => {
    const last = widths.length - 1;
    const pitch = Math.min(index === last ? 88 : 44, height / units);
    const gap = Math.max(1.5, Math.min(12, pitch * 0.24));
    const size = Math.max(3, Math.min(pitch - gap, room * 0.5));
    const x = LABELS + (last === 0 ? 0 : (index / last) * (width - LABELS - 6 - size));
    const top = (height - units * (size + gap) + gap) / 2;
    const at = (unit) => ({ x: Math.round(x), y: Math.round((top + unit * (size + gap)) * 2) / 2 });
    return { size: Math.round(size * 2) / 2, units: Array.from({ length: units }, (_, i) => at(i)) };
  });
}

// The settings of a tab as a form: shows an experiment's values and says when one is changed.

import {
  ACTIVATIONS, BATCHES, COUNTS, DECAYS, LOSSES, OPTIMIZERS, PACES, RATES, SEEDINGS, SPEEDS, TABS, differences, lossesFor, suit,
} from './state.js';
import { DATA_SETS, FEATURES, makeCloud, makeData } from './data.js';
import { onThemeChange, sharpen } from './colors.js';
import { drawClass, drawPlain, drawValue } from './marks.js';

const CHOICES = {
  activation: Object.entries(ACTIVATIONS),
  optimizer: Object.entries(OPTIMIZERS),
  rate: RATES.map((rate) => [rate, String(rate)]),
  decay: DECAYS.map((decay) => [decay, decay === 0 ? 'none' : String(decay)]),
  batch: BATCHES.map((rows) => [rows, rows === 0 ? 'all rows' : String(rows)]),
  k: COUNTS.map((count) => [count, String(count)]),
  seeding: Object.entries(SEEDINGS),
};
/** Of each tab. */
const PACE = { plane: SPEEDS, digits: SPEEDS, clusters: PACES };
/** How long after the last move of a slider a change counts, in ms. */
const SETTLE = 150;

/** An element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export class Form {
  #root;
  #tab;
  #values;
  #changed;
  #timer = 0;
  #pending = new Set();
  #joined = false;

  /**
   * `changed(values, keys, joined)` is called with all values, the names of those that changed, and whether the change
   * goes on with the one before.
   */
  constructor(root, tab, values, changed) {
    this.#root = root;
    this.#tab = tab;
    this.#changed = changed;
    root.addEventListener('submit', (event) => event.preventDefault());
    for (const [key, choices] of Object.entries(CHOICES)) this.#offer(key, choices);
    this.#offer('speed', Object.entries(PACE[tab]));
    this.#makeTiles();
    this.#makeChips();
    root.addEventListener('input', (event) => this.#onInput(event));
    root.querySelector('.dice').addEventListener('click', () => this.newSeed());
    this.show(values);
  }

  #field(key) {
    return this.#root.querySelector(`[data-key="${key}"]`);
  }

  get values() {
    return this.#values;
  }

  #offer(key, choices) {
    this.#field(key)?.querySelector('select').replaceChildren(
      ...choices.map(([value, text]) => element('option', { value, textContent: text })));
  }

  /** Shows values; a change that is on its way no longer counts. */
  show(values) {
    clearTimeout(this.#timer);
    this.#pending.clear();
    this.#joined = false;
    this.#values = structuredClone(values);
    if ('loss' in values && 'data' in values) this.#offer('loss', lossesFor(values.data).map((loss) => [loss, LOSSES[loss]]));
    for (const [key, value] of Object.entries(values)) {
      const field = this.#field(key);
      if (!field) continue;
      if (key === 'layers') this.#showLayers();
      else if (key === 'data' || key === 'features') {
        for (const box of field.querySelectorAll('input')) {
          box.checked = Array.isArray(value) ? value.includes(box.value) : box.value === value;
        }
      } else field.querySelector('input, select').value = value;
      this.#showPercent(key);
    }
  }

  #showPercent(key) {
    const output = this.#field(key).querySelector(':scope > output');
    if (output) output.textContent = `${this.#values[key]} %`;
  }

  /**
   * Changes a value as if another had been chosen: `change` makes it of the present one. A change of its own, whatever
   * is on its way; `joined` if it goes on with the one before.
   */
  choose(key, change, joined = false) {
    this.settle();
    this.#joined = joined;
    this.#set(key, change(this.#values[key]));
  }

  newSeed() {
    this.#set('seed', 1 + Math.floor(Math.random() * 9999));
    this.#field('seed').querySelector('input').value = this.#values.seed;
  }

  #onInput({ target }) {
    const key = target.closest('[data-key]')?.dataset.key;
    if (!key || key === 'layers') return;
    let text = target.value;
    if (key === 'features') {
      const boxes = [...this.#field(key).querySelectorAll('input')];
      text = boxes.filter((box) => box.checked).map((box) => box.value).join(',');
      if (text === '') {
        target.checked = true; // a net sees something
        return;
      }
    }
    this.#set(key, TABS[this.#tab].read[key](text, this.#values[key]));
    this.#showPercent(key);
  }

  #set(key, value) {
    if (String(this.#values[key]) === String(value)) return;
    const before = structuredClone(this.#values);
    this.#values[key] = value;
    if (key === 'data' && 'loss' in this.#values) suit(this.#values);
    // Changes by hand are changes of those points; the share that is for testing leaves them the same.
    if (['data', 'noise', 'seed'].includes(key) && 'edits' in this.#values) this.#values.edits = '';
    // Of points that are all a person's own, nothing is spread.
    const isOther = key === 'data' || (key === 'spread' && this.#values.data !== 'none');
    if (isOther && 'points' in this.#values) this.#values.points = '';
    const pending = new Set([...this.#pending, ...differences(before, this.#values)]);
    if (key === 'data') this.show(this.#values);
    this.#pending = pending;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.settle(), SETTLE);
  }

  /** Says what has changed, if anything has. */
  settle() {
    clearTimeout(this.#timer);
    const [keys, joined] = [[...this.#pending], this.#joined];
    this.#pending.clear();
    this.#joined = false;
    if (keys.length > 0) this.#changed(structuredClone(this.#values), keys, joined);
  }

  // Data sets, as pictures to choose from.

  #makeTiles() {
    const field = this.#field('data');
    if (!field) return;
    for (const [value, { label }] of Object.entries(TABS[this.#tab].sets)) {
      const radio = element('input', { type: 'radio', name: 'data', value });
      const picture = element('canvas', { ariaHidden: 'true' });
      field.append(element('label', {}, radio, picture, element('span', { textContent: label })));
    }
    onThemeChange(() => this.#drawTiles());
    new ResizeObserver(() => this.#drawTiles()).observe(field);
  }

  #drawTiles() {
    for (const label of this.#field('data')?.querySelectorAll('label') ?? []) {
      const canvas = label.querySelector('canvas');
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      if (width === 0) continue;
      const { context } = sharpen(canvas, width, height);
      const name = label.querySelector('input').value;
      if (this.#tab === 'clusters') {
        drawPlain(context, makeCloud(name, 0.5), ({ x, y }) => [width / 2 + (x / 12.6) * height, height / 2 - (y / 12.6) * height], 1.5);
        continue;
      }
      const { train } = makeData(name, 0.05, DATA_SETS[name].values ? 0.6 : 0.3, 1);
      for (const { x, y, value, label: side } of train) {
        const place = [width / 2 + (x / 12.6) * height, height / 2 - (y / 12.6) * height];
        if (DATA_SETS[name].values) drawValue(context, ...place, 2.4, value, false, 0.4);
        else drawClass(context, ...place, 1.5, side, false);
      }
    }
  }

  #makeChips() {
    const field = this.#field('features');
    for (const [value, { label }] of Object.entries(field ? FEATURES : {})) {
      const box = element('input', { type: 'checkbox', value });
      field.append(element('label', {}, box, element('span', { textContent: label })));
    }
  }

  // Hidden layers: a slider each, and buttons to add and remove.

  #showLayers() {
    const field = this.#field('layers');
    const { limits } = TABS[this.#tab];
    const { layers } = this.#values;
    const rows = layers.map((units, index) => this.#layerRow(units, index, limits));
    const add = element('button', {
      type: 'button', className: 'add', textContent: '+ Add layer', disabled: layers.length >= limits.layers,
    });
    add.addEventListener('click', () => {
      this.#setLayers([...layers, Math.min(limits.units, layers.at(-1) ?? 8)]);
      this.#field('layers').querySelector('.layer:last-of-type input')?.focus();
    });
    field.replaceChildren(field.querySelector('legend'), ...rows, add);
  }

  #layerRow(units, index, limits) {
    const slider = element('input', {
      type: 'range', min: 1, max: limits.units, value: units, ariaLabel: `Units of layer ${index + 1}`,
    });
    const output = element('output', { textContent: units });
    const remove = element('button', {
      type: 'button', textContent: '×', className: 'remove', ariaLabel: `Remove layer ${index + 1}`,
    });
    slider.addEventListener('input', () => {
      output.textContent = slider.value;
      const layers = this.#values.layers.with(index, Number(slider.value));
      this.#set('layers', layers);
    });
    remove.addEventListener('click', () => {
      this.#setLayers(this.#values.layers.toSpliced(index, 1));
      this.#field('layers').querySelector('.add').focus();
    });
    return element('div', { className: 'layer' }, element('span', { textContent: index + 1 }), slider, output, remove);
  }

  #setLayers(layers) {
    this.#set('layers', layers);
    this.#showLayers();
  }
}

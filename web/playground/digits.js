// The digits tab: a classifier of handwritten digits, and a pad to try it on.

import { whatExcites } from './averages.js';
import { Chart, drawEmpty } from './chart.js';
import { onThemeChange, paint, sharpen, theme } from './colors.js';
import { element } from './controls.js';
import { Pad, drawPixels } from './draw.js';
import { layersOf } from './forward.js';
import { fetchIdx } from './idx.js';
import { strikeOut } from './marks.js';
import { shuffle, uniform } from './random.js';
import { Reasons } from './reasons.js';
import { Session } from './session.js';
import { SOFT, engineLayers, engineOptimizer } from './state.js';
import { breathe } from './tasks.js';

const PIXELS = 64;
const CLASSES = 10;
/** Rows held out to test on; the same for every experiment. */
const TEST_ROWS = 450;
/** Between two reasons while it trains, in ms. */
const REASON_EVERY = 500;
/** Mistakes shown. */
const MISTAKES = 12;
/** Where the digits are. */
const SOURCE = new URL('./digits/', import.meta.url);

/** The digits in two parts, `{ train, test }` of `{ x, y }`, pixels from 0 to 1. */
async function loadDigits() {
  const [images, labels] = await Promise.all(
    ['images-idx3-ubyte', 'labels-idx1-ubyte'].map((name) => fetchIdx(new URL(name, SOURCE))));
  const order = shuffle(Array.from({ length: labels.shape[0] }, (_, i) => i), uniform(8));
  const part = (rows) => ({
    x: Float32Array.from({ length: rows.length * PIXELS }, (_, i) =>
      images.data[rows[Math.floor(i / PIXELS)] * PIXELS + (i % PIXELS)] / 16),
    y: Uint32Array.from(rows, (row) => labels.data[row]),
  });
  return { train: part(order.slice(TEST_ROWS)), test: part(order.slice(0, TEST_ROWS)) };
}

const best = (chances) => chances.indexOf(Math.max(...chances));

export class Digits {
  session;
  figures = { loss: null, testLoss: null, accuracy: null };
  #values;
  #data = null;
  #chart;
  #pad;
  #drawn = null; // what is on the pad: 64 numbers from 0 to 1, or null
  #asking = false;
  #question = null; // a new object whenever there is something new to ask
  #reasons;
  #reasonedAt = -Infinity;
  #find;
  #pictures = null; // of the units of the first layer
  /** What the main figure is, and what the net learns. */
  scoreName = 'Test accuracy';
  task = 'the net starts from random numbers and learns to read handwritten digits';

  constructor(root, device, values, watch) {
    const find = (this.#find = (id) => root.querySelector(`#${id}`));
    this.#values = values;
    this.#chart = new Chart(find('digits-chart'));
    find('digits-log').addEventListener('change', ({ target }) => {
      this.#chart.logarithmic = target.checked;
    });
    find('chances').append(...Array.from({ length: CLASSES }, (_, digit) =>
      element('li', {},
        element('span', { textContent: digit, className: 'digit' }),
        element('span', { className: 'bar' }, element('i')),
        element('span', { className: 'percent', textContent: '–' }))));
    this.#pad = new Pad(find('pad'), (pixels) => this.#onDrawn(pixels));
    find('clear').addEventListener('click', () => this.clear());
    this.#reasons = new Reasons(find, () => this.#onQuestion());
    new ResizeObserver(() => this.#drawFilters()).observe(find('filters'));
    onThemeChange(() => {
      this.#drawFilters();
      this.#drawSeen();
      this.#reasons.draw();
      this.#drawMistakes();
    });
    this.session = new Session(device, {
      ...watch,
      advanced: (steps, loss) => this.#chart.add('training', steps, loss),
      looked: (look) => this.#looked(look),
      lost: (steps) => {
        this.#chart.rewind(steps);
        this.#reasons.release();
        watch.lost(steps);
      },
    });
    this.#showChances(null);
  }

  clear() {
    this.#pad.clear();
  }

  async reset(values = this.#values) {
    this.#values = values;
    this.#data ??= await loadDigits();
    if (values !== this.#values) return;
    this.#chart.clear();
    this.#pictures = null;
    this.#drawFilters();
    this.#reasons.clear();
    this.#reasons.release();
    this.figures = { loss: null, testLoss: null, accuracy: null };
    await this.session.reset(this.#spec());
  }

  /** Takes changed values: some need new weights, some only other training. */
  change(values, keys) {
    if (!this.#data || keys.some((key) => !SOFT.includes(key))) return this.reset(values);
    this.#values = values;
    if (keys.every((key) => key === 'speed')) this.session.speed = values.speed;
    else {
      this.#reasons.release();
      return this.session.retrain(this.#spec());
    }
  }

  /** What is on the pad, as the net sees it; null if there is nothing. */
  get drawn() {
    return this.#drawn;
  }

  /** The experiment as `code.js` takes it. */
  get experiment() {
    return { tab: 'digits', values: this.#values, steps: this.session.steps, points: null, rows: this.#data?.train.y.length ?? 0 };
  }

  #spec() {
    const values = this.#values;
    const { x, y } = this.#data.train;
    return {
      config: {
        inputs: PIXELS,
        layers: engineLayers(values, CLASSES),
        loss: 'softmax_cross_entropy',
        optimizer: engineOptimizer(values),
        metrics: ['accuracy'],
        seed: values.seed,
      },
      x,
      y,
      batch: values.batch || y.length,
      seed: values.seed,
      speed: values.speed,
    };
  }

  async #looked({ model, weights, steps, loss, isCurrent }) {
    const { test } = this.#data;
    const { loss: testLoss, metrics } = await model.evaluate(test.x, test.y);
    const classes = await model.predictClasses(test.x);
    if (!isCurrent()) return; // reset meanwhile
    const wrong = [...test.y.keys()].filter((row) => classes[row] !== test.y[row]);
    this.figures = { loss: loss ?? this.figures.loss, testLoss, accuracy: metrics.accuracy };
    this.#chart.add('test', steps, testLoss);
    this.#chart.draw();
    await breathe();
    if (steps > 0) {
      const [first, ...rest] = layersOf(weights);
      const { activation } = this.#values;
      this.#pictures = whatExcites(first, rest.length > 0 ? activation : null, this.#data.train.x);
    }
    this.#drawFilters();
    await breathe();
    if (!isCurrent()) return;
    this.#showMistakes(wrong, classes);
    const drawn = this.#drawn;
    if (!drawn) return;
    const chances = await model.predictProbabilities(drawn);
    if (drawn !== this.#drawn) return; // it was cleared or drawn on meanwhile
    this.#showChances(chances);
    // While it trains, the reasons need not be those of every look.
    const isDue = !this.session.running || performance.now() - this.#reasonedAt > REASON_EVERY;
    if (steps === 0 || !isDue) return;
    this.#reasonedAt = performance.now();
    await this.#reasons.find(model, drawn, best(chances));
  }

  // The drawing and what the net says of it.

  #onDrawn(pixels) {
    this.#drawn = pixels && pixels.map((value) => value / 16);
    this.#drawSeen();
    if (!pixels) {
      this.#showChances(null);
      this.#reasons.clear();
    }
    this.#onQuestion();
  }

  #onQuestion() {
    this.#question = this.#drawn && {};
    if (this.#drawn && !this.#asking) this.#ask();
  }

  /** Asks the model for the latest drawing and why, again if there is another question meanwhile. */
  async #ask() {
    this.#asking = true;
    for (let asked = null; this.#question && asked !== this.#question; ) {
      asked = this.#question;
      const drawn = this.#drawn;
      await this.session.use(async (model) => {
        const chances = await model.predictProbabilities(drawn);
        if (!this.#drawn) return;
        this.#showChances(chances);
        if (this.session.steps > 0) await this.#reasons.find(model, drawn, best(chances));
      });
    }
    if (!this.#drawn) this.#reasons.clear();
    this.#asking = false;
  }

  #drawSeen() {
    const canvas = this.#find('seen');
    const { context } = sharpen(canvas, canvas.clientWidth, canvas.clientWidth);
    if (this.#drawn) drawPixels(context, this.#drawn.map((v) => v * 16), canvas.clientWidth, theme().ink);
  }

  #showChances(chances) {
    const first = chances ? best(chances) : -1;
    for (const [digit, row] of [...this.#find('chances').children].entries()) {
      const share = chances ? chances[digit] : 0;
      row.classList.toggle('best', digit === first);
      row.querySelector('i').style.transform = `scaleX(${share.toFixed(4)})`;
      row.querySelector('.percent').textContent = chances ? `${Math.round(share * 100)} %` : '–';
    }
    const untrained = this.session.steps === 0;
    const text = first < 0 ? 'Nothing drawn yet.' : untrained ? 'The net knows nothing yet and guesses: press Run.' : `Looks like a ${first}.`;
    const guess = this.#find('guess');
    if (guess.textContent !== text) guess.textContent = text;
  }

  // What the net has learnt.

  #drawFilters() {
    const canvas = this.#find('filters');
    const width = canvas.clientWidth;
    if (width === 0) return;
    if (!this.#pictures) {
      canvas.style.height = '';
      drawEmpty(sharpen(canvas, width, canvas.clientHeight));
      return;
    }
    const columns = Math.max(4, Math.floor((width + 4) / 38));
    const side = (width + 4) / columns - 4;
    const height = Math.ceil(this.#pictures.length / columns) * (side + 4) - 4;
    canvas.style.height = `${height}px`;
    const { context } = sharpen(canvas, width, height);
    const tile = new OffscreenCanvas(8, 8);
    const pixels = tile.getContext('2d');
    const image = pixels.createImageData(8, 8);
    context.imageSmoothingQuality = 'high';
    context.strokeStyle = theme().edge;
    for (const [unit, picture] of this.#pictures.entries()) {
      pixels.putImageData(paint(image, picture), 0, 0);
      const [x, y] = [(unit % columns) * (side + 4), Math.floor(unit / columns) * (side + 4)];
      context.drawImage(tile, x, y, side, side);
      context.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
      if (picture.every((value) => value === 0)) strikeOut(context, x, y, side);
    }
  }

  #showMistakes(wrong, classes) {
    const { test } = this.#data;
    this.#find('mistake-count').textContent = `${wrong.length} of ${TEST_ROWS}`;
    const list = this.#find('mistakes');
    const shown = wrong.slice(0, MISTAKES);
    const key = shown.map((row) => `${row}:${classes[row]}`).join(' ');
    if (list.dataset.key === key || list.contains(document.activeElement)) return;
    list.dataset.key = key;
    list.replaceChildren(...shown.map((row) => {
      const button = element('button', {
        type: 'button',
        ariaLabel: `${test.y[row]} → ${classes[row]}: what it is and what the net takes it for; show it to the net`,
      }, element('canvas', { ariaHidden: 'true' }), element('span', { textContent: `${test.y[row]} → ${classes[row]}` }));
      button.dataset.row = row;
      button.addEventListener('click', () => this.#pad.show(this.#testPixels(row)));
      return element('li', {}, button);
    }));
    this.#drawMistakes();
  }

  #testPixels(row) {
    return this.#data.test.x.slice(row * PIXELS, (row + 1) * PIXELS).map((value) => value * 16);
  }

  #drawMistakes() {
    for (const button of this.#find('mistakes').querySelectorAll('button')) {
      const { context } = sharpen(button.querySelector('canvas'), 32, 32);
      drawPixels(context, this.#testPixels(Number(button.dataset.row)), 32, theme().ink);
    }
  }
}

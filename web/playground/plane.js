// The 2-D tab: a data set, a net, and what the net makes of the square.

import { Chart } from './chart.js';
import { FEATURES, featureRows, gridPoints, makeData } from './data.js';
import { NetworkView, PICTURE } from './network.js';
import { Session } from './session.js';
import { SOFT, engineLayers, engineOptimizer } from './state.js';
import { Surface } from './surface.js';
import { breathe } from './tasks.js';

/** Points of the decision surface on a side. */
const GRID = 48;

/** What the net says of a row, from its outputs: above 0 for class B, below for class A. */
const ANSWERS = {
  binary_cross_entropy: (out, row) => out[row] / 2,
  softmax_cross_entropy: (out, row) => (out[2 * row + 1] - out[2 * row]) / 2,
};
const answerOf = (loss) => ANSWERS[loss] ?? ((out, row) => out[row]);
/** How sure that is, from −1 to 1: for logits p(B) − p(A), else the answer itself. */
const sureness = (loss) => (loss in ANSWERS ? Math.tanh : clip);
const clip = (value) => Math.max(-1, Math.min(1, value));

/** Targets in the form that a loss takes. */
function targets(points, loss) {
  if (loss === 'softmax_cross_entropy') return Uint32Array.from(points, ({ label }) => label);
  const low = loss === 'binary_cross_entropy' ? 0 : -1;
  return Float32Array.from(points, ({ label }) => (label ? 1 : low));
}

export class Plane {
  session;
  figures = { loss: null, testLoss: null, accuracy: null };
  #values;
  #rows; // the features of the grid, the test points, the small grid
  #surface;
  #chart;
  #network;
  #caption;
  #chosen = null;
  #map = null;

  constructor(root, device, values, watch) {
    const find = (id) => root.querySelector(`#${id}`);
    this.#values = values;
    this.#surface = new Surface(find('surface'), GRID);
    this.#chart = new Chart(find('plane-chart'));
    this.#network = new NetworkView(find('network'), (unit) => this.#choose(unit));
    this.#caption = find('surface-of');
    find('show-test').addEventListener('change', ({ target }) => {
      this.#surface.showTest = target.checked;
      this.#surface.draw();
    });
    find('plane-log').addEventListener('change', ({ target }) => {
      this.#chart.logarithmic = target.checked;
    });
    this.session = new Session(device, {
      ...watch,
      advanced: (steps, loss) => this.#chart.add('training', steps, loss),
      looked: (look) => this.#looked(look),
      lost: (steps) => {
        this.#chart.rewind(steps);
        watch.lost(steps);
      },
    });
  }

  /** Starts the experiment again. */
  async reset(values = this.#values) {
    this.#values = values;
    const { data, noise, test, seed, features } = values;
    const points = makeData(data, noise / 100, test / 100, seed);
    this.#rows = {
      grid: featureRows([...gridPoints(GRID), ...points.test], features),
      test: featureRows(points.test, features),
      small: featureRows(gridPoints(PICTURE), features),
      train: featureRows(points.train, features),
      points,
    };
    this.#surface.data = points;
    this.#chart.clear();
    if (!this.#map) this.#caption.textContent = 'compiling shaders …';
    this.figures = { loss: null, testLoss: null, accuracy: null };
    await this.session.reset(this.#spec());
  }

  /** Takes changed values: some need new weights, some only other training. */
  change(values, keys) {
    if (keys.some((key) => !SOFT.includes(key))) return this.reset(values);
    this.#values = values;
    if (keys.every((key) => key === 'speed')) this.session.speed = values.speed;
    else return this.session.retrain(this.#spec());
  }

  #spec() {
    const values = this.#values;
    const outputs = values.loss === 'softmax_cross_entropy' ? 2 : 1;
    const { train } = this.#rows.points;
    return {
      config: {
        inputs: values.features.length,
        layers: engineLayers(values, outputs),
        loss: values.loss,
        optimizer: engineOptimizer(values),
        seed: values.seed,
      },
      x: this.#rows.train,
      y: targets(train, values.loss),
      batch: values.batch || train.length,
      seed: values.seed,
      speed: values.speed,
    };
  }

  async #looked({ model, weights, steps, loss }) {
    const rows = this.#rows;
    const { grid, test, small, points } = rows;
    const values = this.#values;
    const answer = answerOf(values.loss);
    const out = await model.predict(grid);
    const evaluation = await model.evaluate(test, targets(points.test, values.loss));
    if (rows !== this.#rows) return; // reset meanwhile
    const right = points.test.filter(({ label }, i) => answer(out, GRID * GRID + i) > 0 === (label === 1));
    this.figures = {
      loss: loss ?? this.figures.loss,
      testLoss: evaluation.loss,
      accuracy: right.length / points.test.length,
    };
    this.#map = Float32Array.from({ length: GRID * GRID }, (_, row) => answer(out, row));
    const labels = values.features.map((name) => FEATURES[name].label);
    this.#chart.add('test', steps, evaluation.loss);
    this.#chart.draw();
    await breathe();
    this.#network.update(weights, small, values.activation, labels);
    await breathe();
    if (rows === this.#rows) this.#draw();
  }

  #choose(unit) {
    this.#chosen = unit;
    this.#draw();
  }

  #draw() {
    const unit = this.#chosen;
    this.#caption.textContent = unit ? `of ${this.#network.describe(unit)}` : '';
    const { loss, activation } = this.#values;
    if (unit) {
      const grid = GRID * GRID;
      this.#surface.show(this.#network.responsesOf(unit, this.#rows.grid, grid, activation), clip);
    } else if (this.#map) {
      this.#surface.show(this.#map, sureness(loss));
    }
  }
}

// The tab of points in the plane: a data set, a net, and what the net makes of the square.

import { Chart } from './chart.js';
import { DATA_SETS, FEATURES, POINTS, featureRows, gridPoints, makeData } from './data.js';
import { PointEditor } from './editor.js';
import { MOST_EDITS, withEdit } from './edits.js';
import { NetworkView, PICTURE } from './network.js';
import { Session } from './session.js';
import { SOFT, engineLayers, engineOptimizer } from './state.js';
import { Surface } from './surface.js';
import { breathe } from './tasks.js';
import { WeightEditor } from './weights.js';

/** Points of the decision surface on a side. */
const GRID = 48;

/** What the page says where points have classes, and where they have values. */
const WORDS = {
  classes: {
    task: 'the net starts from random numbers and learns to tell the two kinds of points apart',
    scoreName: 'Test accuracy',
    lead: 'Background: its answer at that place, pale where it is unsure. Line: undecided.',
    add: { a: 'add A', b: 'add B' },
  },
  values: {
    task: 'the net starts from random numbers and learns to guess the number of each point',
    scoreName: 'Test R²',
    lead: 'Background: its answer at that place, pale near 0; line: 0. A point that vanishes in it is met.',
    add: { a: 'add −1', b: 'add 1' },
  },
};

/** What the net says of a row, from its outputs: above 0 for class B, below for class A. */
const ANSWERS = {
  binary_cross_entropy: (out, row) => out[row] / 2,
  softmax_cross_entropy: (out, row) => (out[2 * row + 1] - out[2 * row]) / 2,
};
const answerOf = (loss) => ANSWERS[loss] ?? ((out, row) => out[row]);
/** How sure that is, from −1 to 1: for logits p(B) − p(A), else the answer itself. */
const sureness = (loss) => (loss in ANSWERS ? Math.tanh : clip);
const clip = (value) => Math.max(-1, Math.min(1, value));

/** What the last layer answers, unit by unit, as the map shows answers: a class of two by how sure it is of it. */
function squashed(out, loss) {
  const squash = sureness(loss);
  if (loss !== 'softmax_cross_entropy') return out.map((value) => squash(value / (loss in ANSWERS ? 2 : 1)));
  const rows = out.length / 2;
  return out.map((value, i) => squash((value - out[(i + rows) % out.length]) / 2));
}

const outputsOf = ({ loss }) => (loss === 'softmax_cross_entropy' ? 2 : 1);

/** The answers of `units` units to the first `rows` rows, unit by unit, of those that the engine gives row by row. */
const columns = (out, rows, units) =>
  Float32Array.from({ length: rows * units }, (_, i) => out[(i % rows) * units + Math.floor(i / rows)]);

/** Targets in the form that a loss takes. */
function targets(points, loss) {
  if (loss === 'softmax_cross_entropy') return Uint32Array.from(points, ({ label }) => label);
  if (loss === 'binary_cross_entropy') return Float32Array.from(points, ({ label }) => label);
  return Float32Array.from(points, ({ value }) => value);
}

/** R²: the share of the values' variation that answers explain. */
function explained(points, answers) {
  const mean = points.reduce((sum, { value }) => sum + value, 0) / points.length;
  const sum = (of) => points.reduce((total, point, i) => total + of(point, i) ** 2, 0);
  return 1 - sum(({ value }, i) => value - answers[i]) / Math.max(sum(({ value }) => value - mean), 1e-12);
}

export class Plane {
  session;
  figures = { loss: null, testLoss: null, accuracy: null };
  #values;
  #rows; // the features of the grid, the test points, the small grid
  #surface;
  #chart;
  #network;
  #weights;
  #find;
  #map = null;
  /** What the main figure is, and what the net learns. */
  scoreName;
  task;

  /** `choose(key, change)` changes a setting as a person would, by what `change` makes of it. */
  constructor(root, device, values, watch, choose) {
    const find = (id) => root.querySelector(`#${id}`);
    this.#find = find;
    this.#values = values;
    this.#surface = new Surface(find('surface'), GRID);
    this.#chart = new Chart(find('plane-chart'));
    this.#network = new NetworkView(find('network'), () => this.#draw(), (unit, byKey) => this.#pinned(unit, byKey));
    this.#weights = new WeightEditor(find('weights'), this.#network, (...change) => this.#edit(...change));
    new PointEditor(this.#surface, find('edit'), (edit) => {
      let more;
      choose('edits', (edits) => {
        more = withEdit(edits, edit, { most: MOST_EDITS, count: POINTS });
        return more ?? edits;
      });
      if (more === null) watch.said(`${MOST_EDITS} changes fit into the address, and all are made. Remove points that you added.`);
      return more !== null;
    });
    for (const [box, property] of [['show-test', 'showTest'], ['discrete', 'discrete']]) {
      find(box).addEventListener('change', ({ target }) => {
        this.#surface[property] = target.checked;
        this.#surface.draw();
      });
    }
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
    this.#takeData(values);
    this.#chart.clear();
    if (!this.#map) this.#find('surface-of').textContent = 'compiling shaders …';
    this.figures = { loss: null, testLoss: null, accuracy: null };
    await this.session.reset(this.#spec());
  }

  /** Takes changed values: some need new weights, some only other training. */
  change(values, keys) {
    if (keys.some((key) => !SOFT.includes(key))) return this.reset(values);
    if (keys.includes('edits')) this.#takeData(values);
    this.#values = values;
    if (keys.every((key) => key === 'speed')) this.session.speed = values.speed;
    else return this.session.retrain(this.#spec());
  }

  /** The experiment as `code.js` takes it. */
  get experiment() {
    const { points } = this.#rows;
    return { tab: 'plane', values: this.#values, steps: this.session.steps, points, rows: points.train.length };
  }

  #takeData(values) {
    this.#values = values;
    const { data, noise, test, seed, features, edits } = values;
    const points = makeData(data, noise / 100, test / 100, seed, edits);
    this.#rows = {
      grid: featureRows([...gridPoints(GRID), ...points.test], features),
      test: featureRows(points.test, features),
      small: featureRows(gridPoints(PICTURE), features),
      train: featureRows(points.train, features),
      points,
    };
    const hasValues = DATA_SETS[data].values === true;
    const words = hasValues ? WORDS.values : WORDS.classes;
    ({ scoreName: this.scoreName, task: this.task } = words);
    this.#find('surface-lead').textContent = words.lead;
    for (const [value, text] of Object.entries(words.add)) {
      this.#find('edit').querySelector(`[value="${value}"] + span`).textContent = text;
    }
    const card = this.#find('surface').closest('.card');
    card.querySelector('.of-classes').hidden = hasValues;
    card.querySelector('.of-values').hidden = !hasValues;
    this.#surface.data = { ...points, values: hasValues };
  }

  #spec() {
    const values = this.#values;
    const { train } = this.#rows.points;
    return {
      config: {
        inputs: values.features.length,
        layers: engineLayers(values, outputsOf(values)),
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
    const answers = points.test.map((_, i) => answer(out, GRID * GRID + i));
    const right = points.test.filter(({ label }, i) => answers[i] > 0 === (label === 1));
    this.figures = {
      loss: loss ?? this.figures.loss,
      testLoss: evaluation.loss,
      accuracy: DATA_SETS[values.data].values ? explained(points.test, answers) : right.length / points.test.length,
    };
    this.#map = Float32Array.from({ length: GRID * GRID }, (_, row) => answer(out, row));
    const outputs = squashed(columns(out, GRID * GRID, outputsOf(values)), values.loss);
    const labels = values.features.map((name) => FEATURES[name].label);
    this.#chart.add('test', steps, evaluation.loss);
    this.#chart.draw();
    await breathe();
    this.#network.update(weights, small, values.activation, labels, outputs);
    this.#weights.update();
    await breathe();
    if (rows === this.#rows) this.#draw();
  }

  // A unit that stays chosen, with its weights to change.

  #pinned(unit, byKey) {
    this.#weights.show(unit);
    this.#find('network-caption').hidden = !this.#find('weights').hidden;
    if (byKey) this.#weights.focus();
  }

  /** Sets a weight of a unit, or its bias if `input` is null. */
  #edit(layer, unit, input, value) {
    return this.session.edit((weights) => {
      const [matrix, bias] = weights.slice(2 * (layer - 1));
      if (input === null) bias.data[unit] = value;
      else matrix.data[input * bias.data.length + unit] = value;
    });
  }

  #draw() {
    const unit = this.#network.shown;
    this.#find('surface-of').textContent = unit ? this.#network.describe(unit) : '';
    const { loss, activation } = this.#values;
    if (unit) {
      const grid = GRID * GRID;
      const squash = (all) => squashed(all, loss);
      this.#surface.show(this.#network.responsesOf(unit, this.#rows.grid, grid, activation, squash), clip);
    } else if (this.#map) {
      this.#surface.show(this.#map, sureness(loss));
    }
  }
}

// The experiment as plain values, and as text in the address, so that a link shares it.

import { CLOUDS, DATA_SETS, FEATURES } from './data.js';
import { MOST_DRAWN, MOST_EDITS, readEdits } from './edits.js';

export const ACTIVATIONS = {
  tanh: 'tanh',
  relu: 'ReLU',
  leaky_relu: 'leaky ReLU',
  sigmoid: 'sigmoid',
  gelu: 'GELU',
};
export const LOSSES = {
  binary_cross_entropy: 'binary cross-entropy',
  softmax_cross_entropy: 'softmax cross-entropy',
  mean_squared_error: 'mean squared error',
  mean_absolute_error: 'mean absolute error',
  huber: 'Huber',
};
/** Losses of classes; the others take values of any kind. */
const OF_CLASSES = ['binary_cross_entropy', 'softmax_cross_entropy'];

/** The losses that suit a data set: its usual one first. */
export function lossesFor(data) {
  const all = Object.keys(LOSSES);
  return DATA_SETS[data].values ? all.filter((loss) => !OF_CLASSES.includes(loss)) : all;
}

export const OPTIMIZERS = {
  sgd: 'SGD',
  momentum: 'SGD with momentum',
  nesterov: 'SGD, Nesterov',
  adam: 'Adam',
  adamw: 'AdamW',
  rmsprop: 'RMSprop',
  adagrad: 'Adagrad',
};
export const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1];
export const DECAYS = [0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1];
/** Rows per step; 0 means all. */
export const BATCHES = [1, 4, 8, 16, 32, 64, 128, 0];
/** Steps per second at most; 0 means as many as the device does. */
export const SPEEDS = { 0: 'full', 200: '200 steps/s', 60: '60 steps/s', 10: '10 steps/s', 2: '2 steps/s' };
/** What may change while the weights stay. */
export const SOFT = ['optimizer', 'rate', 'decay', 'batch', 'speed', 'edits'];

// How each value is checked when it comes from an address: `read(text, fallback)`.
const oneOf = (choices) => (text, fallback) => (choices.includes(text) ? text : fallback);
const keyOf = (table) => oneOf(Object.keys(table));
const numberOf = (choices) => (text, fallback) =>
  text !== '' && choices.includes(Number(text)) ? Number(text) : fallback;
const integer = (least, most) => (text, fallback) =>
  /^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most ? Number(text) : fallback;
const listOf = (read, least, most) => (text, fallback) => {
  const items = text === '' ? [] : text.split(',').map((item) => read(item, null));
  const fits = items.length >= least && items.length <= most && !items.includes(null);
  return fits ? items : fallback;
};
const features = (text, fallback) => {
  const chosen = listOf(keyOf(FEATURES), 1, Object.keys(FEATURES).length)(text, fallback);
  return Object.keys(FEATURES).filter((name) => chosen.includes(name));
};

const training = {
  activation: keyOf(ACTIVATIONS),
  optimizer: keyOf(OPTIMIZERS),
  rate: numberOf(RATES),
  decay: numberOf(DECAYS),
  batch: numberOf(BATCHES),
  seed: integer(0, 999999),
  speed: numberOf(Object.keys(SPEEDS).map(Number)),
};

/** What each tab's experiment is made of: how it is read, and where it starts. */
export const PLANE = {
  sets: DATA_SETS,
  limits: { layers: 6, units: 32 },
  read: {
    data: keyOf(DATA_SETS),
    noise: integer(0, 50),
    test: integer(10, 60),
    features,
    layers: listOf(integer(1, 32), 0, 6),
    loss: keyOf(LOSSES),
    ...training,
    edits: readEdits(MOST_EDITS),
  },
  start: {
    data: 'spirals',
    noise: 10,
    test: 30,
    features: ['x', 'y', 'sinx', 'siny'],
    layers: [16, 16],
    activation: 'tanh',
    loss: 'binary_cross_entropy',
    optimizer: 'adam',
    rate: 0.01,
    decay: 0,
    batch: 32,
    seed: 1,
    speed: 200, // slow enough to watch
    edits: '',
  },
};
export const DIGITS = {
  limits: { layers: 3, units: 96 },
  read: { layers: listOf(integer(1, 96), 0, 3), ...training },
  start: {
    layers: [64],
    activation: 'relu',
    optimizer: 'adam',
    rate: 0.003,
    decay: 0,
    batch: 32,
    seed: 1,
    speed: 0,
  },
};
/** Most clusters that the page has colours for. */
export const MOST_CLUSTERS = 8;
export const COUNTS = Array.from({ length: MOST_CLUSTERS }, (_, i) => i + 1);
/** Where centres begin. */
export const SEEDINGS = { plus_plus: 'far apart (k-means++)', random: 'at random points' };
/** Iterations per second; 0 means as many as the device does. */
export const PACES = { 1: '1 a second', 3: '3 a second', 0: 'full' };
export const CLUSTERS = {
  sets: CLOUDS,
  read: {
    data: keyOf(CLOUDS),
    spread: integer(0, 100),
    k: numberOf(COUNTS),
    seeding: keyOf(SEEDINGS),
    seed: integer(0, 999999),
    speed: numberOf(Object.keys(PACES).map(Number)),
    points: readEdits(MOST_DRAWN),
  },
  start: { data: 'blobs', spread: 50, k: 3, seeding: 'random', seed: 1, speed: 1, points: '' },
};
export const TABS = { plane: PLANE, digits: DIGITS, clusters: CLUSTERS };

/** The address's hash for a tab and its experiment, all values spelt out. */
export function toHash(tab, values) {
  const pairs = Object.keys(TABS[tab].read).map((key) => `${key}=${values[key]}`);
  return `#${tab}?${pairs.join('&')}`;
}

/** The tab and experiment in a hash. What is missing or makes no sense starts as it always does. */
export function fromHash(hash) {
  const [name, text = ''] = hash.replace(/^#/, '').split('?');
  const tab = Object.hasOwn(TABS, name) ? name : 'plane';
  const { read, start } = TABS[tab];
  const given = new URLSearchParams(text);
  const values = structuredClone(start);
  for (const key of Object.keys(read)) {
    if (given.has(key)) values[key] = read[key](given.get(key), start[key]);
  }
  if (tab === 'plane') suit(values);
  return { tab, values };
}

/** Gives an experiment of the plane a loss that its data take. */
export function suit(values) {
  const fitting = lossesFor(values.data);
  if (!fitting.includes(values.loss)) [values.loss] = fitting;
}

/** The names of the values in which two experiments of a tab differ. */
export const differences = (a, b) => Object.keys(a).filter((key) => String(a[key]) !== String(b[key]));

/** How the weights before an activation start. */
export const initOf = (activation) => (/relu|gelu/.test(activation) ? 'he_uniform' : 'glorot_uniform');

/** The layers of an experiment, as the engine takes them: hidden ones, then `outputs` units. */
export function engineLayers({ layers, activation }, outputs) {
  const init = initOf(activation);
  const hidden = layers.flatMap((units) => [{ type: 'dense', units, init }, { type: activation }]);
  return [...hidden, { type: 'dense', units: outputs }];
}

/** The optimizer of an experiment, as the engine takes it. */
export function engineOptimizer({ optimizer, rate, decay }) {
  return { name: optimizer, learningRate: rate, weightDecay: decay };
}

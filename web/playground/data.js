// The two-dimensional data sets: points in a square, of two classes or with a value each, and what a net
// sees of a point.

import { normal, shuffle, uniform } from './random.js';
import { changed, edited } from './edits.js';

/** Points lie within ±EXTENT in both directions. */
export const EXTENT = 6;
export const POINTS = 400;
/** Of a cloud. */
const CLOUD = 150;

/** `values`: points have a value from −1 to 1 to predict (regression), not a class. */
export const DATA_SETS = {
  spirals: { label: 'Spirals', make: spirals },
  circles: { label: 'Circles', make: circles },
  xor: { label: 'XOR', make: exclusiveOr },
  gaussians: { label: 'Gaussians', make: gaussians },
  slope: { label: 'Slope', make: valued((x, y) => (x + y) / 9), values: true },
  hills: { label: 'Hills', make: valued(hills), values: true },
};

/** Points without classes, to be grouped. */
export const CLOUDS = {
  blobs: { label: 'Blobs', make: blobs([[-3, 2.6], [3.2, 2.2], [0.2, -3]]) },
  five: { label: 'Five', make: blobs([[-3.6, 3.4], [3.4, 3.4], [0, 0], [-3.4, -3.4], [3.6, -3.2]]) },
  ellipse: { label: 'Ellipse', make: ellipse },
  ring: { label: 'Ring', make: ring },
  even: { label: 'Even', make: even },
  none: { label: 'Your own', make: () => [] },
};

/** What the net may see of a point. Scales keep all of them within about ±2. */
export const FEATURES = {
  x: { label: 'x', of: (x) => x / 3 },
  y: { label: 'y', of: (x, y) => y / 3 },
  x2: { label: 'x²', of: (x) => (x * x) / 18 },
  y2: { label: 'y²', of: (x, y) => (y * y) / 18 },
  xy: { label: 'xy', of: (x, y) => (x * y) / 18 },
  sinx: { label: 'sin x', of: (x) => Math.sin(x) },
  siny: { label: 'sin y', of: (x, y) => Math.sin(y) },
};

/**
 * A data set in two parts: `{ train, test }`, lists of `{ x, y, value, label, index }`. The value lies from −1
 * to 1 and is −1 or 1 for classes; the label is 1 where it is above 0; the index names the point in `edits`,
 * which are a person's own changes. The same arguments give the same points, with four decimals.
 */
export function makeData(name, noise, testShare, seed, edits = '') {
  const random = uniform(seed * 7919 + 17);
  const points = DATA_SETS[name].make(POINTS, noise, random, normal(random)).map(
    ({ x, y, label, value = label ? 1 : -1 }) => ({ x: rounded(x), y: rounded(y), value: rounded(value) }));
  shuffle(points, random);
  const tests = Math.round(POINTS * testShare);
  const all = points.map((point, index) => ({ ...point, index, isTest: index < tests }));
  const left = edited(all, edits).map((point) => ({ ...point, label: Number(point.value > 0) }));
  return { train: left.filter(({ isTest }) => !isTest), test: left.filter(({ isTest }) => isTest) };
}

/** Points of a cloud after a person's own changes: `{ x, y, index }`, the same for the same arguments. */
export function makeCloud(name, spread, edits = '') {
  const random = uniform(4711);
  const points = CLOUDS[name].make(CLOUD, spread, random, normal(random)).map(({ x, y }, index) =>
    ({ x: rounded(clamp(x)), y: rounded(clamp(y)), index }));
  return changed(points, edits).map(({ x, y, index }) => ({ x, y, index }));
}

/** How many points a cloud has of itself. */
export const sizeOf = (name) => (name === 'none' ? 0 : CLOUD);

const rounded = (number) => Math.round(number * 1e4) / 1e4;

/** The features of points as one array, row by row. */
export function featureRows(points, features) {
  const rows = new Float32Array(points.length * features.length);
  let at = 0;
  for (const { x, y } of points) {
    for (const feature of features) rows[at++] = FEATURES[feature].of(x, y);
  }
  return rows;
}

/** A grid of `size` × `size` points over the square, from its top left, row by row. */
export function gridPoints(size) {
  const at = (i) => -EXTENT + (2 * EXTENT * i) / (size - 1);
  return Array.from({ length: size * size }, (_, i) => ({
    x: at(i % size),
    y: -at(Math.floor(i / size)),
  }));
}

const clamp = (value) => Math.max(-EXTENT, Math.min(EXTENT, value));

function spirals(count, noise, random, gauss) {
  return Array.from({ length: count }, (_, i) => {
    const label = i % 2;
    const along = Math.sqrt(0.004 + 0.996 * (Math.floor(i / 2) / (count / 2)));
    const angle = along * 3.5 * Math.PI + label * Math.PI;
    const radius = along * 5.2;
    return {
      x: clamp(radius * Math.sin(angle) + gauss() * noise),
      y: clamp(radius * Math.cos(angle) + gauss() * noise),
      label,
    };
  });
}

function circles(count, noise, random, gauss) {
  return Array.from({ length: count }, (_, i) => {
    const label = i % 2;
    const radius = label ? 2.4 * Math.sqrt(random()) : 3.5 + 1.7 * random();
    const angle = 2 * Math.PI * random();
    return {
      x: clamp(radius * Math.sin(angle) + gauss() * noise * 1.5),
      y: clamp(radius * Math.cos(angle) + gauss() * noise * 1.5),
      label,
    };
  });
}

function exclusiveOr(count, noise, random, gauss) {
  const away = (v) => v + Math.sign(v) * 0.35;
  return Array.from({ length: count }, () => {
    const x = away(10 * random() - 5);
    const y = away(10 * random() - 5);
    return {
      x: clamp(x + gauss() * noise * 1.5),
      y: clamp(y + gauss() * noise * 1.5),
      label: x * y >= 0 ? 1 : 0,
    };
  });
}

function gaussians(count, noise, random, gauss) {
  const spread = 0.75 + 2.5 * noise;
  return Array.from({ length: count }, (_, i) => {
    const label = i % 2;
    const centre = label ? 2.1 : -2.1;
    return { x: clamp(centre + gauss() * spread), y: clamp(centre + gauss() * spread), label };
  });
}

/** Points all over the square, with the value of a function, noise on the value. */
function valued(of) {
  return (count, noise, random, gauss) => Array.from({ length: count }, () => {
    const [x, y] = [11.4 * random() - 5.7, 11.4 * random() - 5.7];
    return { x, y, value: Math.max(-1, Math.min(1, of(x, y) + 0.6 * gauss() * noise)) };
  });
}

function hills(x, y) {
  const hill = (a, b, height) => height * Math.exp(-((x - a) ** 2 + (y - b) ** 2) / 5);
  return hill(-3, 3, 1) + hill(3, 3, -1) + hill(-3, -3, -1) + hill(3, -3, 1) + hill(0, 0, 0.8);
}

/** Points around some centres. */
function blobs(centres) {
  return (count, spread, random, gauss) => Array.from({ length: count }, (_, i) => {
    const [x, y] = centres[i % centres.length];
    return { x: x + gauss() * (0.2 + spread), y: y + gauss() * (0.2 + spread) };
  });
}

/** One long cloud that leans. */
function ellipse(count, spread, random, gauss) {
  return Array.from({ length: count }, () => {
    const [along, across] = [2.4 * gauss(), (0.15 + spread) * gauss()];
    return { x: 0.8 * along - 0.6 * across, y: 0.6 * along + 0.8 * across };
  });
}

function ring(count, spread, random, gauss) {
  return Array.from({ length: count }, () => {
    const [angle, radius] = [2 * Math.PI * random(), 4 + 0.6 * spread * gauss()];
    return { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
  });
}

function even(count, spread, random) {
  const width = 5 + 6.5 * spread;
  return Array.from({ length: count }, () => ({ x: width * (random() - 0.5), y: width * (random() - 0.5) }));
}

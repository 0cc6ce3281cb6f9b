// What the units of a first layer answer to: for each the mean of the rows, weighted by its answers, less the
// mean of all rows.

import { responses, scaled } from './forward.js';

/** Rows that are looked at. */
const ROWS = 400;

/**
 * One picture per unit, from −1 to 1: where rows that excite it have more than the mean row (positive), and where
 * less. `x` are rows, one after another; `activation` is null for a layer of outputs. A unit that answers the
 * same to all of them has a picture of zeros.
 */
export function whatExcites(layer, activation, x) {
  const width = layer.inputs;
  const rows = Math.min(ROWS, x.length / width);
  // As if another layer followed, so that this one has its activation.
  const next = { inputs: layer.units, units: 0, matrix: [], bias: [] };
  const [, answers] = responses(activation === null ? [layer] : [layer, next], x, rows, activation);
  const mean = new Float32Array(width);
  for (let i = 0; i < rows * width; i++) mean[i % width] += x[i] / rows;
  return Array.from({ length: layer.units }, (_, unit) => {
    const answer = answers.subarray(unit * rows, (unit + 1) * rows);
    const least = answer.reduce((low, value) => Math.min(low, value), Infinity);
    const total = answer.reduce((sum, value) => sum + value - least, 0);
    const picture = new Float32Array(width);
    if (total < 1e-6 * rows) return picture;
    for (let row = 0; row < rows; row++) {
      const share = (answer[row] - least) / total;
      if (share === 0) continue;
      for (let i = 0; i < width; i++) picture[i] += share * x[row * width + i];
    }
    return scaled(picture.map((value, i) => value - mean[i])).map((value) => Math.sign(value) * Math.abs(value) ** 0.7);
  });
}

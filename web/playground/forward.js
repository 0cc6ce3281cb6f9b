// The net on the CPU, for the small pictures of single units. The decision surface, the losses and
// the accuracies come from the GPU.

const FUNCTIONS = {
  tanh: Math.tanh,
  relu: (z) => (z > 0 ? z : 0),
  leaky_relu: (z) => (z > 0 ? z : 0.01 * z),
  sigmoid: (z) => 1 / (1 + Math.exp(-z)),
  gelu: (z) => 0.5 * z * (1 + Math.tanh(0.7978845608 * (z + 0.044715 * z * z * z))),
};

/** Weights as the engine gives them (matrix, bias, matrix, bias, ...) as a list of layers. */
export function layersOf(weights) {
  const layers = [];
  for (let i = 0; i + 1 < weights.length; i += 2) {
    const [inputs, units] = weights[i].shape;
    layers.push({ inputs, units, matrix: weights[i].data, bias: weights[i + 1].data });
  }
  return layers;
}

/**
 * The responses of all units of all layers to `rows` rows: per layer one array, unit by unit
 * (a unit's responses lie together, as a picture).
 */
export function responses(layers, features, rows, activation) {
  const inputs = layers[0].inputs;
  let last = new Float32Array(rows * inputs);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < inputs; i++) last[i * rows + row] = features[row * inputs + i];
  }
  const all = [last];
  layers.forEach(({ inputs: width, units, matrix, bias }, index) => {
    const next = new Float32Array(units * rows);
    const isLast = index === layers.length - 1;
    const f = isLast ? (z) => z : FUNCTIONS[activation];
    for (let unit = 0; unit < units; unit++) {
      const out = next.subarray(unit * rows, (unit + 1) * rows).fill(bias[unit]);
      for (let i = 0; i < width; i++) {
        const weight = matrix[i * units + unit];
        const from = i * rows;
        for (let row = 0; row < rows; row++) out[row] += weight * last[from + row];
      }
      for (let row = 0; row < rows; row++) out[row] = f(out[row]);
    }
    all.push(next);
    last = next;
  });
  return all;
}

/**
 * A unit's responses scaled to [-1, 1] so that faint ones show: by the largest, if they have both signs; if they
 * have one, as after a ReLU, from the least on, by the root of their share of the range. What is the same everywhere
 * stays flat.
 */
export function scaled(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const largest = Math.max(Math.abs(least), Math.abs(most), 1e-6);
  const range = most - least;
  if ((least < 0 && most > 0) || range < 1e-3 * largest) return values.map((value) => value / largest);
  const root = (part) => Math.sqrt(part / range);
  return values.map((value) => (least >= 0 ? root(value - least) : -root(most - value)));
}

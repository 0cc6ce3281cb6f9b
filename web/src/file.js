// Model files and safetensors, with the browser's own JSON: `build` appends this to the glue. The form is that of
// `src/train/file/` of the repository, byte for byte (docs/files.md); what a file says goes to the module, and comes
// from it, as plain arrays and objects.

const FORM = 1;
const utf8 = new TextEncoder();

/** FNV-1a with 64 bits, in halves of 32. */
class Checksum {
  low = 0x84222325;
  high = 0xcbf29ce4;

  /** With a count, less than 2⁵³, or a byte. */
  count(word) {
    const low = (this.low ^ word) >>> 0;
    const high = (this.high ^ (word / 2 ** 32)) >>> 0;
    // Times 2⁴⁰ + 0x1b3.
    this.low = Math.imul(low, 0x1b3) >>> 0;
    this.high = (Math.imul(high, 0x1b3) + Math.floor((low * 0x1b3) / 2 ** 32) + (low << 8)) >>> 0;
    return this;
  }

  bytes(bytes) {
    this.count(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.count(bytes[i]);
    return this;
  }

  text(text) {
    return this.bytes(utf8.encode(text));
  }

  hex() {
    return [this.high, this.low].map((half) => half.toString(16).padStart(8, '0')).join('');
  }
}

/** Of a header's text and of `[name, shape, data]`s in the order of their names. */
function checksum(header, tensors) {
  const sum = new Checksum().text(header).count(tensors.length);
  for (const [name, shape, data] of tensors) {
    sum.text(name);
    for (const extent of shape) sum.count(extent);
    sum.count(shape.length).text('F32').bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return sum.hex();
}

const byName = ([a], [b]) => (a < b ? -1 : Number(a > b));

/** A safetensors file of `[name, shape, Float32Array]`s. */
function wgradPack(tensors, metadata) {
  const sorted = [...tensors].sort(byName);
  const head = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const [name, shape, data] of sorted) {
    head[name] = { dtype: 'F32', shape, data_offsets: [offset, offset += data.byteLength] };
  }
  const text = utf8.encode(JSON.stringify(head));
  const length = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + length + offset).fill(0x20, 8, 8 + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(text, 8);
  let at = 8 + length;
  for (const [, , data] of sorted) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

/** What a safetensors file holds: its tensors by name, and its metadata. */
function wgradUnpack(bytes, what = 'safetensors file') {
  const damaged = (reason) =>
    named('ModelFile', `bytes are no whole ${what}: ${reason}; they were cut off or changed, or are something else: take another copy`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < 8 ? NaN : Number(view.getBigUint64(0, true));
  if (!(length <= bytes.length - 8)) throw damaged(`${bytes.length} bytes do not hold its head`);
  let head;
  try {
    head = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch (error) {
    throw damaged(`its head: ${error.message}`);
  }
  const { __metadata__: metadata = {}, ...entries } = head ?? {};
  const body = bytes.subarray(8 + length);
  const tensors = Object.create(null);
  let end = 0;
  const places = Object.entries(entries).map(([name, entry]) => [name, entry, ...(entry?.data_offsets ?? [])]);
  for (const [name, { dtype, shape }, from, to] of places.sort((a, b) => a[2] - b[2] || a[3] - b[3])) {
    const whole = Array.isArray(shape) && shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0);
    if (from !== end || !(to >= from && to <= body.length) || !whole) throw damaged(`the place of '${name}'`);
    end = to;
    // A copy, also of a Buffer of Node.js, whose own slice is none.
    const values = dtype === 'F32' && Uint8Array.prototype.slice.call(body, from, to);
    if (values && values.length !== 4 * shape.reduce((product, extent) => product * extent, 1)) throw damaged(`the shape of '${name}'`);
    tensors[name] = { dtype, shape, data: values && new Float32Array(values.buffer) };
  }
  if (end !== body.length) throw damaged(`${body.length - end} bytes too many`);
  return { tensors, metadata };
}

// Numbers of a header keep their text, `{"#":"1.0"}`: 64 bits are more than a number of JavaScript's holds.
const parse = (text) => JSON.parse(text.replace(
  /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) => (token[0] === '"' ? token : `{"#":"${token}"}`)));
const print = (value) => JSON.stringify(value).replace(/\{"#":"([^"]*)"\}/g, '$1');
const isNumber = (value) => typeof value?.['#'] === 'string';
const integer = (number) => ({ '#': String(number) });

/**
 * A float, of its digits such as `-1.25e-8`, as the natively written files have it: with a point, or, where the
 * exponent is not from `least` to `most`, with an exponent.
 */
function float(digits, least, most) {
  const [, sign, whole, part = '', exponent] = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(digits);
  const [bare, point] = [whole + part, Number(exponent) + 1];
  if (bare === '0') return { '#': `${sign}0.0` };
  if (point <= least || point > most + 1) return { '#': digits.replace('e+', 'e') };
  if (point <= 0) return { '#': `${sign}0.${'0'.repeat(-point)}${bare}` };
  return { '#': `${sign}${bare.slice(0, point).padEnd(point, '0')}.${bare.slice(point) || '0'}` };
}
const float64 = (number) => float(number.toExponential(), -5, 15);
const float32 = (number) => {
  let digits = 0;
  while (digits < 8 && Math.fround(Number(number.toExponential(digits))) !== number) digits += 1;
  return float(number.toExponential(digits), -6, 12);
};

const stackToJson = ({ input, layers, frozen }) => ({
  ...(frozen.length && { frozen: frozen.map(integer) }),
  input: input.map(integer),
  layers: layers.map(([layer, settings]) => Object.fromEntries([['layer', layer], ...settings.map(([key, kind, value]) => [
    key, kind === 'stack' ? stackToJson(value) : kind === 'number' ? float64(value) : kind === 'integer' ? integer(value) : value,
  ])].sort(byName))),
});

const stackFromJson = ({ input, layers, frozen = [] }) => ({
  input: input.map((extent) => Number(extent['#'])),
  frozen: frozen.map((place) => Number(place['#'])),
  layers: layers.map(({ layer, ...settings }) => [layer, Object.entries(settings).map(([key, value]) => {
    if (typeof value === 'string') return [key, 'text', value];
    if (!isNumber(value)) return [key, 'stack', stackFromJson(value)];
    return /^\d+$/.test(value['#']) ? [key, 'integer', value['#']] : [key, 'number', Number(value['#'])];
  })]),
});

/** Rules by their names: what serde calls them, their figures in order, and what tells two forms apart. */
const RULES = {
  sgd: ['sgd', ['weight_decay']],
  momentum: ['momentum', ['momentum', 'weight_decay'], 'nesterov', false],
  nesterov: ['momentum', ['momentum', 'weight_decay'], 'nesterov', true],
  adam: ['adam', ['beta1', 'beta2', 'epsilon', 'weight_decay'], 'decoupled', false],
  adamw: ['adam', ['beta1', 'beta2', 'epsilon', 'weight_decay'], 'decoupled', true],
  rmsprop: ['rmsprop', ['alpha', 'epsilon', 'weight_decay']],
  adagrad: ['adagrad', ['epsilon', 'weight_decay']],
};

function ruleToJson(rule, figures) {
  const [name, , key, on] = RULES[rule];
  const fields = figures.map(([figure, value]) => [figure, float32(value)]);
  // Momentum's stands between its figures.
  if (key) fields.splice(key === 'nesterov' ? 1 : fields.length, 0, [key, on]);
  return { [name]: Object.fromEntries(fields) };
}

function ruleFromJson(json) {
  const [[name, fields]] = Object.entries(json);
  const [rule, [, , key]] = Object.entries(RULES).find(([, [own, , key, on]]) => own === name && (!key || fields[key] === on));
  const figures = Object.entries(fields).filter(([figure]) => figure !== key);
  return { rule, figures: figures.map(([figure, value]) => [figure, Number(value['#'])]) };
}

function scheduleToJson({ rises, name, values }) {
  const then = values.length === 0 ? name
    : { [name]: name === 'step' ? { every: integer(values[0]), factor: float64(values[1]) } : { steps: integer(values[0]), floor: float64(values[1]) } };
  return rises.length ? { warm_up: { rises: rises.map(integer), then } } : then;
}

function scheduleFromJson(json) {
  if (json.warm_up) return { ...scheduleFromJson(json.warm_up.then), rises: json.warm_up.rises.map((rise) => rise['#']) };
  if (typeof json === 'string') return { rises: [], name: json, values: [] };
  const [[name, fields]] = Object.entries(json);
  const [length, share] = name === 'step' ? [fields.every, fields.factor] : [fields.steps, fields.floor];
  return { rises: [], name, values: [length['#'], Number(share['#'])] };
}

/** A model's file, of what the module says of the model. */
function wgradSeal(model) {
  const { loss, delta, learningRate, clipNorm, l1, classWeights, ownLearningRate, encoder, tensors } = model;
  const [epochs, batches, data, rows, batch] = model.progress;
  const header = print({
    version: integer(FORM),
    wgrad: model.version,
    layers: stackToJson(model.stack),
    seed: integer(model.seed),
    loss: delta === undefined ? loss : { [loss]: { delta: float32(delta) } },
    optimizer: {
      rule: ruleToJson(model.rule, model.figures),
      learning_rate: float32(learningRate),
      schedule: scheduleToJson(model.schedule),
      clip_norm: clipNorm === undefined ? null : float32(clipNorm),
      ...(l1 !== 0 && { l1: float32(l1) }),
    },
    metrics: model.metrics,
    kernels: model.kernels,
    ...(classWeights && { class_weights: classWeights.map(float32) }),
    step: integer(model.step),
    ...(model.missed.length && { missed: model.missed.map(integer) }),
    progress: {
      epochs: integer(epochs),
      batches: integer(batches),
      course: data === undefined ? null : { data: integer(data), rows: integer(rows), batch: integer(batch) },
    },
    learning_rate: ownLearningRate === undefined ? null : float32(ownLearningRate),
    ...(encoder && { encoder }),
    fit: null,
    remembers: [],
  });
  const sum = checksum(header, [...tensors].sort(byName));
  return wgradPack(tensors, { wgrad: `{"checksum":"${sum}","model":${header}}` });
}

/** What a model's description may hold. */
const FIELDS = ['version', 'wgrad', 'layers', 'seed', 'loss', 'optimizer', 'metrics', 'kernels', 'precision', 'class_weights',
  'own_loss', 'own_metrics', 'step', 'missed', 'progress', 'learning_rate', 'encoder', 'fit', 'remembers'];

/** What the module makes a model of: the inverse of `wgradSeal`. */
function wgradOpen(bytes) {
  const { tensors, metadata } = wgradUnpack(bytes, 'model file');
  const refused = (reason) => named('ModelFile', `the model file ${reason}`);
  const damaged = (what) => refused(`is damaged: ${what}; take another copy`);
  const sealed = metadata.wgrad;
  if (sealed === undefined) {
    throw refused('holds tensors and no model of wgrad: make a model of the same layers, and give its importWeights() the bytes');
  }
  const [, written, text] = /^\{"checksum":"([0-9a-f]{16})","model":([\s\S]*)\}$/.exec(sealed) ?? [];
  if (text === undefined) throw damaged('its description');
  const every = Object.entries(tensors).map(([name, { shape, data }]) => [name, shape, data]).sort(byName);
  try {
    const json = parse(text);
    if (json.version['#'] !== String(FORM)) {
      throw refused(`is of form ${json.version['#']}, written by wgrad ${json.wgrad}; this one reads form ${FORM}: load it with that release`);
    }
    const foreign = every.find(([, , data]) => !data);
    if (foreign) throw refused(`holds '${foreign[0]}', which is not of F32, as wgrad saves`);
    const unknown = Object.keys(json).find((field) => !FIELDS.includes(field));
    if (unknown) throw refused(`says '${unknown}', which this release does not know: load it with the one that wrote it, ${json.wgrad}`);
    const found = checksum(text, every);
    if (found !== written) throw damaged(`its checksum is ${found}, it was saved with ${written}`);
    if (json.own_loss || json.own_metrics?.length) {
      throw refused("has a loss or a metric of a program's own, which a page does not know; save it without");
    }
    const [loss, figures] = typeof json.loss === 'string' ? [json.loss] : Object.entries(json.loss)[0];
    const { optimizer, progress: { epochs, batches, course } } = json;
    const optional = (value) => (value ? Number(value['#']) : undefined);
    // A checkpoint holds more, of a call that a page cannot go on with.
    for (const name of json.fit ? Object.keys(tensors) : []) if (/^(history|remembered)\./.test(name)) delete tensors[name];
    return {
      stack: stackFromJson(json.layers),
      seed: json.seed['#'],
      loss,
      delta: optional(figures?.delta),
      ...ruleFromJson(optimizer.rule),
      learningRate: Number(optimizer.learning_rate['#']),
      schedule: scheduleFromJson(optimizer.schedule),
      clipNorm: optional(optimizer.clip_norm),
      l1: optional(optimizer.l1) ?? 0,
      metrics: json.metrics,
      kernels: json.kernels,
      precision: json.precision,
      classWeights: json.class_weights?.map(optional),
      step: json.step['#'],
      missed: (json.missed ?? []).map((count) => count['#']),
      progress: [epochs, batches, ...(course ? [course.data, course.rows, course.batch] : [])].map((count) => count['#']),
      ownLearningRate: optional(json.learning_rate),
      encoder: json.encoder,
      tensors,
    };
  } catch (error) {
    throw error.name === 'ModelFile' ? error : damaged(`its description: ${error.message}`);
  }
}

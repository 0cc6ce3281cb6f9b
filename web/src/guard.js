
// What stands between a page and the module: `build` appends this to the glue that wasm-bindgen writes, of which
// it uses the classes, `wasm` and `__wbg_finalize_init`; the glue uses the functions here that begin with `wgrad`. Every call of a page ends in an answer or in an `Error`
// whose message says what to do, even where the glue alone would stop at a null pointer or wait for ever.

/** The classes, how a page makes one, their calls that answer at once, and what makes one. All others return promises. */
const CLASSES = [
  [Gpu, 'Gpu', 'await Gpu.create()', ['counters', 'destroy'], ['create']],
  // Not every module has all.
  ...(typeof Predictor === 'undefined' ? [] : [
    [Predictor, 'Predictor', 'await Predictor.load(gpu, file)', ['summary'], ['load']],
  ]),
  ...(typeof Model === 'undefined' ? [] : [
    [Model, 'Model', 'await Model.create(gpu, config)', ['summary'], ['create', 'load']],
    [Trainer, 'Trainer', 'await model.trainer(x, y, options)', [], []],
    [Explainer, 'Explainer', 'await model.explainer()', [], []],
  ]),
  ...(typeof KMeans === 'undefined' ? [] : [
    [KMeans, 'KMeans', 'await KMeans.fit(gpu, rows, options)', [], ['fit']],
    [Pca, 'Pca', 'await Pca.fit(gpu, rows, options)', [], ['fit']],
  ]),
];

/** What ended the module; nothing in its memory can be trusted after it. */
let failure;
/** What rejects the promises of calls under way. */
const underWay = new Set();
/** How many calls, one in another, are inside the module or on their way to it. */
let depth = 0;

function named(name, message) {
  return Object.assign(new Error(message), { name });
}

/** The module's panic hook calls it, too. */
function wgradFailed(reason) {
  failure ??= named('Bug', `wgrad has failed, and answers no more: ${reason}; reload the page`);
  for (const reject of underWay) reject(failure);
}

function inside(work) {
  depth += 1;
  try {
    return work();
  } finally {
    depth -= 1;
  }
}

/** An export of the module. A trap (no memory, no stack, a panic) ends the module; so does whatever comes out of work that no call waits for. */
const entrance = (run) => (...values) => {
  if (failure) return undefined;
  try {
    return inside(() => run(...values));
  } catch (error) {
    if (depth === 0 || error instanceof WebAssembly.RuntimeError) wgradFailed(error);
    if (depth === 0) return undefined;
    throw failure ?? error;
  }
};

const finalize = __wbg_finalize_init;
__wbg_finalize_init = (instance, module) => {
  const exports = Object.entries(instance.exports).map(([name, value]) =>
    [name, typeof value === 'function' ? entrance(value) : value]);
  return finalize({ exports: Object.fromEntries(exports) }, module);
};

function noConstructor(name) {
  const [, , made] = CLASSES.find(([, other]) => other === name);
  throw named('Argument', `new ${name}() makes nothing; write ${made}`);
}

/** Throws unless `object` is one that calls may use. */
function check(object, what, [Class, name, made]) {
  if (!(object instanceof Class)) {
    if (name === 'Gpu' && object?.constructor?.name === 'Gpu') {
      throw named('Argument', `${what} is a Gpu of another module or copy of wgrad; it must be one of this, `
        + 'on the same device: import its Gpu and write await Gpu.create({ device: gpu.device })');
    }
    const found = object == null ? String(object) : `of type ${object.constructor?.name ?? typeof object}`;
    throw named('Argument', `${what} is ${found}; it must be a ${name}, from ${made}`);
  }
  if (!object.__wbg_ptr) throw named('Argument', `${what} is a ${name} that was freed; make a new one with ${made}`);
}

function ready(call) {
  if (failure) throw failure;
  if (wasm === undefined) throw named('Argument', `${call} comes before init(); write await init() first`);
}

/** `work`, which begins before this returns; rejected if the module ends meanwhile. */
async function promised(work) {
  let reject;
  const ended = new Promise((_, no) => { reject = no; });
  ended.catch(() => {});
  underWay.add(reject);
  try {
    return await Promise.race([ended, inside(work)]);
  } finally {
    underWay.delete(reject);
  }
}

function atOnce(work) {
  const answer = inside(work);
  if (failure) throw failure;
  return answer;
}

for (const entry of CLASSES) {
  const [Class, name, , sync] = entry;
  Object.defineProperty(Class, 'name', { value: name });
  const of = (call) => `what ${call} is called on`;
  for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(Class.prototype))) {
    const { get, value } = property;
    const call = `${name}.${key}`;
    if (get) {
      property.get = function () {
        return atOnce(() => { ready(call); check(this, of(call), entry); return get.call(this); });
      };
    } else if (key === 'free') {
      property.value = function () {
        if (!failure) atOnce(() => { check(this, of('free()'), entry); value.call(this); });
      };
    } else if (key !== 'constructor' && !key.startsWith('__')) {
      const answer = sync.includes(key) ? atOnce : promised;
      property.value = function (...values) {
        return answer(() => { ready(`${call}()`); check(this, of(`${call}()`), entry); return value.apply(this, values); });
      };
    }
    Object.defineProperty(Class.prototype, key, property);
  }
  if (Symbol.dispose) {
    Class.prototype[Symbol.dispose] = function () {
      if (this.__wbg_ptr) this.free();
    };
  }
}

for (const [Class, name, , , makers] of CLASSES) {
  for (const maker of makers) {
    const make = Class[maker];
    Class[maker] = (...values) => promised(() => {
      ready(`${name}.${maker}()`);
      if (Class !== Gpu) check(values[0], 'gpu', CLASSES[0]);
      return make.apply(Class, values);
    });
  }
}

/** Fetches the module; Node.js fetches no files. */
function wgradFetch(from) {
  const url = String(from.url ?? from);
  const files = url.startsWith('file:') && globalThis.process?.getBuiltinModule?.('node:fs/promises');
  return files ? files.readFile(new URL(url)) : fetch(from);
}

/**
 * Puts what wgpu looks for where it looks: the scope of a worker where there is neither that nor a window, as in
 * Node.js; and a device of the page's own as that which `navigator.gpu` gives. Returns what takes it away again, or
 * nothing if there is no WebGPU.
 */
function wgradEnter(device) {
  const undo = [];
  const put = (object, key, value) => {
    const before = Object.getOwnPropertyDescriptor(object, key);
    Object.defineProperty(object, key, { value, configurable: true, writable: true });
    undo.unshift(() => (before ? Object.defineProperty(object, key, before) : delete object[key]));
  };
  const { navigator } = globalThis;
  if (!('Window' in globalThis || 'WorkerGlobalScope' in globalThis)) {
    if (!navigator?.gpu && !device) return undefined;
    put(globalThis, 'WorkerGlobalScope', Object);
  }
  if (device) {
    const { features, limits } = device;
    const info = device.adapterInfo ?? { vendor: '', architecture: '', device: '', description: '' };
    const adapter = { features, limits, info, requestDevice: async () => device };
    const requestAdapter = async () => adapter;
    if (navigator?.gpu) put(navigator.gpu, 'requestAdapter', requestAdapter);
    else put(globalThis, 'navigator', { gpu: { requestAdapter } });
    // wgpu takes the device's handler of errors; one of the page's or of another module's hears of them, too.
    const before = device.onuncapturederror;
    if (before) {
      undo.push(() => {
        const own = device.onuncapturederror;
        if (own === before) return;
        device.onuncapturederror = function (event) {
          own?.call(this, event);
          return before.call(this, event);
        };
      });
    }
  }
  return () => { for (const step of undo) step(); };
}

/** The name of a device's adapter, which older browsers tell of an adapter only. */
async function wgradAdapter(device, powerPreference) {
  const info = device.adapterInfo ?? (await navigator.gpu.requestAdapter({ powerPreference }))?.info ?? {};
  const name = info.description || `${info.vendor ?? ''} ${info.architecture ?? ''}`;
  return `${name.trim()} (WebGPU${info.isFallbackAdapter ? ', software' : ''})`;
}

const NUMBERS = [
  Float32Array, Float64Array, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
];
const isNumbers = (value) => NUMBERS.some((Type) => value instanceof Type);

/**
 * The numbers of any array, or of one array per row, as a `Float32Array`; with `classes`, whole numbers as a
 * `Uint32Array`. What neither holds as it is, is refused.
 */
function wgradNumbers(name, value, classes) {
  const Type = classes ? Uint32Array : Float32Array;
  if (value instanceof Type) return value;
  const refuse = (what, found, rule) => {
    const shown = typeof found === 'string' ? `'${found}'`
      : found !== null && typeof found === 'object' ? `of type ${found.constructor?.name ?? 'object'}` : String(found);
    throw named('Argument', `${what} is ${shown}; it must be ${rule}`);
  };
  if (!Array.isArray(value) && !isNumbers(value)) {
    refuse(name, value, `an array of ${classes ? 'classes, one per row' : 'numbers'}, such as a ${Type.name}`);
  }
  let flat = value;
  const isRow = (row) => Array.isArray(row) || isNumbers(row);
  if (isRow(value[0])) {
    const { length } = value[0];
    for (let row = 0; row < value.length; row++) {
      if (!isRow(value[row])) refuse(`${name}[${row}]`, value[row], 'an array, as the first row is');
      if (value[row].length !== length) refuse(`the length of ${name}[${row}]`, value[row].length, `${length}, as that of the first row`);
    }
    flat = value.flatMap((row) => [...row]);
  }
  for (let i = 0; i < flat.length; i++) {
    const number = flat[i];
    if (typeof number !== 'number') refuse(`${name}[${i}]`, number, 'a number');
    if (classes && !(Number.isInteger(number) && number >= 0 && number < 2 ** 32)) {
      refuse(`${name}[${i}]`, number, 'a class: a whole number, 0 or more');
    }
  }
  return Type.from(flat);
}

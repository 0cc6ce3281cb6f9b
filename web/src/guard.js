
// What stands between a page and the module: `build` appends this to the glue that wasm-bindgen writes, of which
// it uses the classes, `wasm` and `__wbg_finalize_init`. Every call of a page ends in an answer or in an `Error`
// whose message says what to do, even where the glue alone would stop at a null pointer or wait for ever.

/** The classes, how a page makes one, and their calls that answer at once. All others return promises. */
const CLASSES = [
  [Gpu, 'Gpu', 'await Gpu.create()', ['counters', 'destroy']],
  [Model, 'Model', 'await Model.create(gpu, config)', ['summary']],
  [Trainer, 'Trainer', 'await model.trainer(x, y, options)', []],
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

for (const [Class, name] of [[Gpu, 'Gpu'], [Model, 'Model']]) {
  const { create } = Class;
  Class.create = (...values) => promised(() => {
    ready(`${name}.create()`);
    if (Class === Model) check(values[0], 'gpu', CLASSES[0]);
    return create.apply(Class, values);
  });
}

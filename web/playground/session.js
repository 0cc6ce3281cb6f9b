// One model in training: runs, pauses, steps, resets, keeps its last weights and survives the loss
// of its device.

import { createModel } from './engine.js';
import { record } from './recorder.js';
import { breathe, wait, whenVisible } from './tasks.js';

/** How long one call of the engine should take, in ms: long enough to be cheap, short enough to look live. */
const SLICE = 40;
/** Most steps in one call. */
const MOST = 256;
/** Between two looks at the model, in ms: at least, and at most for looks that take long. */
const LOOK_EVERY = 100;
const LOOK_RARELY = 500;
/** Between two timings of single dispatches: milliseconds at least, and times what one takes; and its steps. */
const TIME_EVERY = 1000;
const TIME_SHARE = 15;
const TIMED_STEPS = 4;

const now = () => performance.now();

export class Session {
  running = false;
  steps = 0;
  epoch = 0;
  rate = 0;
  #device;
  #watch;
  #spec = null;
  #stale = true; // whether the model is not the one that the spec asks for
  #gpu = null;
  #model = null;
  #trainer = null;
  #saved = null; // { weights, steps, epoch }
  #before = { steps: 0, epoch: 0 }; // done by models before this one
  #turn = 0; // counts models asked for: a job for an earlier one is dropped
  #runs = 0; // counts loops: an earlier one ends
  #losses = { sum: 0, count: 0 };
  #marks = []; // [time, steps] of late, for the rate
  #lookedAt = -Infinity;
  #lookTook = 0;
  #advanceTook = 0;
  #timeAgain = 0; // when
  #loops = 0; // that have not ended

  /**
   * `watch` has `advanced(steps, loss)`, after every call of the engine; `timed(record)`, of `recorder.js`, of some
   * steps; `looked(look)`, awaited, with `{ model, weights, steps, epoch, loss, isCurrent() }`; `changed()`, after
   * anything a person can see; `failed(error)`; `lost(steps)`, once training can go on.
   */
  constructor(device, watch) {
    this.#device = device;
    this.#watch = watch;
  }

  /** Whether nothing runs, and what ran last has been looked at. */
  get resting() {
    return !this.running && this.#loops === 0;
  }

  get model() {
    return this.#model;
  }

  /** Starts again: `{ config, x, y, batch, seed, speed }`. A run goes on, with the new model. */
  async reset(spec) {
    this.#spec = spec;
    this.#stale = true;
    this.#saved = null;
    const turn = ++this.#turn;
    await breathe(); // so that the page shows that it begins
    await this.#renew(turn);
  }

  /** Other settings of training, with the weights as they are. */
  async retrain(spec) {
    const turn = ++this.#turn;
    await this.#job(turn, async () => {
      if (!this.#stale && !this.#device.isLost) await this.#save();
      if (turn === this.#turn) this.#spec = spec;
    });
    if (turn === this.#turn) await this.#renew();
  }

  /** Steps per second at most; 0 for no limit. */
  set speed(speed) {
    this.#spec.speed = speed;
  }

  async #renew(turn = ++this.#turn) {
    await this.#job(turn, async () => {
      await this.#build();
      await this.#look();
      this.#lookTook = 0; // the first look compiles shaders
    });
    if (this.running && turn === this.#turn) this.#loop(turn, ++this.#runs);
  }

  run() {
    if (this.running) return;
    this.running = true;
    this.#marks = [];
    this.#watch.changed();
    if (this.#spec) this.#loop(this.#turn, ++this.#runs);
  }

  pause() {
    this.running = false;
    this.#watch.changed();
  }

  /** One step, and a look. */
  async step() {
    this.pause();
    if (!this.#spec) return;
    await this.#job(this.#turn, async () => {
      await this.#advance(1, true);
      await this.#look();
    });
  }

  /** Changes the weights by hand: `change` gets them as the engine gives them. Training goes on with them. */
  async edit(change) {
    if (!this.#spec) return;
    await this.#job(this.#turn, async () => {
      await this.#ensure();
      const weights = await this.#model.weights();
      change(weights);
      await this.#model.setWeights(weights.map(({ data }) => data));
      await this.#look();
    });
  }

  /** Something else to do with the model, such as a prediction; null if there is no model. */
  async use(job) {
    if (!this.#spec) return null;
    return this.#job(this.#turn, async () => {
      await this.#ensure();
      return job(this.#model);
    });
  }

  /** Notices a loss while nothing runs. */
  check() {
    if (this.#model && this.#device.isLost && !this.running) {
      this.#job(this.#turn, () => this.#look());
    }
  }

  /** Runs a job on the device; null if it failed, or if another model is asked for by then. */
  async #job(turn, job) {
    try {
      return await this.#device.run(() => (turn === this.#turn ? this.#safely(job) : null));
    } catch (error) {
      if (turn === this.#turn) {
        this.running = false;
        this.#watch.failed(error);
      }
      return null;
    } finally {
      this.#watch.changed();
    }
  }

  /** A job that fails because the device is lost is done again on a new one. */
  async #safely(job) {
    try {
      return await job();
    } catch (error) {
      for (let i = 0; i < 10 && !this.#device.isLost; i++) await wait(20);
      if (!this.#device.isLost) throw error;
      return job();
    }
  }

  async #loop(turn, run) {
    this.#loops++;
    await this.#train(turn, run);
    this.#loops--;
  }

  async #train(turn, run) {
    const current = () => turn === this.#turn && run === this.#runs;
    let count = 1;
    let owed = 0; // steps, where their speed is limited
    let last = now();
    while (this.running && current()) {
      if (document.hidden) {
        await whenVisible();
        this.#marks = [];
        last = now();
        continue;
      }
      const { speed } = this.#spec;
      if (speed > 0) {
        await wait(1000 / Math.min(speed, 30) - (now() - last));
        owed = Math.min(owed + (speed * (now() - last)) / 1000, Math.max(1, speed / 4));
        last = now();
        count = Math.floor(owed);
        owed -= count;
        if (count === 0 || !this.running) continue;
      }
      const timed = now() > this.#timeAgain;
      const steps = timed ? Math.min(count, TIMED_STEPS) : count;
      const done = await this.#job(turn, async () => {
        await this.#advance(steps, timed);
        const rest = Math.min(LOOK_RARELY, Math.max(LOOK_EVERY, 2 * this.#lookTook));
        if (now() - this.#lookedAt > rest || (speed > 0 && speed <= 10)) await this.#look();
        return true;
      });
      if (!done) return;
      owed += speed > 0 ? count - steps : 0;
      if (speed === 0 && !timed) {
        const scale = Math.min(2, SLICE / Math.max(this.#advanceTook, 0.1));
        count = Math.max(1, Math.min(MOST, Math.round(count * scale)));
      }
      if (speed === 0) last = now();
    }
    if (current()) await this.#job(turn, () => this.#look());
  }

  /** Trains for `count` steps; `timed`, with the time that each dispatch takes. */
  async #advance(count, timed = false) {
    await this.#ensure();
    const started = now();
    const first = this.#model.steps === 0; // the driver may still have to compile
    const steps = () => this.#trainer.steps(count);
    const result = timed ? await record(steps, count, (timing) => this.#watch.timed({ ...timing, first })) : await steps();
    if (timed) this.#timeAgain = now() + Math.max(TIME_EVERY, TIME_SHARE * (now() - started));
    if (this.#stale) return; // started again meanwhile: these were steps of the model before
    this.#advanceTook = now() - started;
    this.steps = this.#before.steps + this.#model.steps;
    this.epoch = this.#before.epoch + result.epoch;
    this.#losses.sum += result.loss * count;
    this.#losses.count += count;
    this.#watch.advanced(this.steps, result.loss);
    this.#marks.push([now(), this.steps]);
    while (this.#marks.length > 2 && this.#marks[0][0] < now() - 2000) this.#marks.shift();
    const [from, at] = this.#marks[0];
    this.rate = this.#marks.length > 1 ? ((this.steps - at) * 1000) / (now() - from) : 0;
  }

  async #look() {
    await this.#ensure();
    if (this.#stale) return;
    const started = now();
    await this.#save();
    if (this.#stale) return;
    const { sum, count } = this.#losses;
    this.#losses = { sum: 0, count: 0 };
    await this.#watch.looked({
      model: this.#model,
      ...this.#saved,
      isCurrent: () => !this.#stale,
      loss: count > 0 ? sum / count : null,
    });
    this.#lookedAt = now();
    this.#lookTook = now() - started;
  }

  async #save() {
    const weights = await this.#model.weights();
    if (this.#stale) return; // started again meanwhile: the next model is not to begin with these
    this.#saved = { weights, steps: this.steps, epoch: this.epoch };
  }

  /** Makes sure that there is a model on a device that works. */
  async #ensure() {
    const lost = this.#model !== null && (this.#gpu !== this.#device.gpu || this.#device.isLost);
    if (this.#model && !this.#stale && !lost) return;
    await this.#build();
    if (lost) this.#watch.lost(this.steps);
  }

  /** A model from the last weights, or from the first ones. */
  async #build() {
    this.free();
    const spec = this.#spec;
    const { config, x, y, batch, seed } = spec;
    const saved = this.#saved;
    this.#gpu = await this.#device.open();
    const model = await createModel(this.#gpu, config);
    try {
      if (saved) await model.setWeights(saved.weights.map(({ data }) => data));
      const options = { batchSize: batch, shuffle: true, seed: seed + (saved?.steps ?? 0) };
      this.#trainer = await model.trainer(x, y, options);
    } catch (error) {
      model.free();
      throw error;
    }
    this.#model = model;
    if (spec !== this.#spec) return; // started again meanwhile: this is not the model that is asked for
    this.#stale = false;
    this.#before = { steps: saved?.steps ?? 0, epoch: saved?.epoch ?? 0 };
    this.#losses = { sum: 0, count: 0 };
    this.#marks = [];
    ({ steps: this.steps, epoch: this.epoch } = this.#before);
    this.rate = 0;
  }

  /** Gives back what the model holds on the device. */
  free() {
    const held = [this.#trainer, this.#model];
    this.#trainer = this.#model = null;
    for (const object of held) object?.free();
  }
}

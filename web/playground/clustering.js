// k-means on the points of the page, one iteration at a time, and their principal axes: on the page's device.

import { hasTasks, tasksOn } from './engine.js';
import { uniform } from './random.js';
import { breathe, wait, whenVisible } from './tasks.js';

/** Iterations at most; far fewer are usual. */
const MOST = 300;

export class Clustering {
  running = false;
  steps = 0;
  /** `[[x, y], …]`; null before there are seeds. */
  centers = null;
  /** For each point the number of its centre. */
  labels = [];
  /** The sum of the squared distances of all points from their centres, of the seeds and after each iteration. */
  inertias = [];
  /** Whether the last iteration moved no centre. */
  settled = false;
  /** Where the centres were, one iteration after another. */
  trail = [];
  /** `{ mean, directions, deviations, shares }` of the principal axes; null of fewer than two points. */
  axes = null;
  #device;
  #watch;
  #spec = null;
  #turn = 0; // counts what was asked for: what was asked before is dropped
  #runs = 0; // counts loops: an earlier one ends
  #busy = 0;

  /** `watch` has `changed()`, after anything a person can see, and `failed(error)`. */
  constructor(device, watch) {
    this.#device = device;
    this.#watch = watch;
  }

  /** Whether nothing runs, and what ran last is there. */
  get resting() {
    return !this.running && this.#busy === 0;
  }

  /** Whether it waits for the module that groups points, which the first visit downloads. */
  get loading() {
    return this.#busy > 0 && !hasTasks();
  }

  /** Where the centres began; null before they did. */
  get seeds() {
    return this.trail[0] ?? null;
  }

  /** Starts again: `{ points, k, seeding, seed, speed }`. A run goes on with it. */
  async reset(spec) {
    this.#spec = spec;
    Object.assign(this, { steps: 0, centers: null, labels: [], inertias: [], settled: false, trail: [], axes: null });
    await this.#begin();
  }

  /** Other points, of which the centres are kept if there are as many as before; it runs until they have settled. */
  async follow(points) {
    this.#spec = { ...this.#spec, points };
    const kept = this.centers?.length === this.#count;
    if (!kept) Object.assign(this, { steps: 0, centers: null, inertias: [], trail: [] });
    Object.assign(this, { labels: [], settled: false, running: points.length > 0, axes: null });
    if (kept) this.#assign();
    await this.#begin();
  }

  set speed(speed) {
    this.#spec.speed = speed;
  }

  get #count() {
    return Math.min(this.#spec.k, this.#spec.points.length);
  }

  run() {
    if (this.running) return;
    this.running = true;
    this.settled = false;
    this.#watch.changed();
    if (this.#spec) this.#loop(this.#turn, ++this.#runs);
  }

  pause() {
    this.running = false;
    this.#watch.changed();
  }

  async step() {
    this.pause();
    if (this.#spec) await this.#job(this.#turn, (engine) => this.#iterate(engine));
  }

  /** Nothing of it stays on the device that could be lost. */
  check() {}

  async #begin() {
    const turn = ++this.#turn;
    this.#busy++;
    this.#watch.changed();
    await breathe();
    await this.#job(turn, (engine) => this.#prepare(engine));
    this.#busy--;
    if (this.running && turn === this.#turn) this.#loop(turn, ++this.#runs);
  }

  async #loop(turn, run) {
    this.#busy++;
    const current = () => this.running && turn === this.#turn && run === this.#runs;
    while (current()) {
      if (document.hidden) await whenVisible();
      const { speed } = this.#spec;
      await (speed > 0 ? wait(1000 / speed) : breathe());
      if (!current()) break;
      if (!await this.#job(turn, (engine) => this.#iterate(engine))) break;
      if (this.settled || this.steps >= MOST || this.centers === null) {
        this.running = false;
        this.#watch.changed();
      }
    }
    this.#busy--;
  }

  /** Runs a job on the device; whether it was done. One that fails because the device is lost is done again on a new one. */
  async #job(turn, job) {
    this.#busy++;
    const work = async () => job({ ...await tasksOn(await this.#device.open()), isCurrent: () => turn === this.#turn });
    try {
      return await this.#device.run(async () => {
        if (turn !== this.#turn) return false;
        await work().catch((error) => (this.#device.isLost ? work() : Promise.reject(error)));
        return true;
      });
    } catch (error) {
      if (turn === this.#turn) {
        this.running = false;
        this.#watch.failed(error);
      }
      return false;
    } finally {
      this.#busy--;
      this.#watch.changed();
    }
  }

  get #rows() {
    return Float32Array.from(this.#spec.points.flatMap(({ x, y }) => [x, y]));
  }

  /** The axes and the seeds, where they are missing. */
  async #prepare(engine) {
    if (!this.axes) await this.#findAxes(engine);
    if (!this.centers) await this.#seed(engine);
  }

  async #findAxes({ gpu, Pca, isCurrent }) {
    if (this.#spec.points.length < 2) return;
    const found = await Pca.fit(gpu, this.#rows, { columns: 2, components: 2 });
    const axes = {
      mean: [...found.mean],
      directions: pairs(found.components),
      deviations: Array.from(found.explainedVariance, Math.sqrt),
      shares: [...found.explainedVarianceRatio],
    };
    found.free();
    if (isCurrent()) this.axes = axes;
  }

  /** Where the centres begin. */
  async #seed({ gpu, KMeans, isCurrent }) {
    const { points, seeding, seed } = this.#spec;
    const clusters = this.#count;
    if (clusters === 0) return;
    let seeds;
    if (seeding === 'random') {
      seeds = drawn(points, clusters, seed);
    } else {
      const onIteration = ({ iteration, centers }) => {
        if (iteration === 0) seeds = pairs(centers);
      };
      const found = await KMeans.fit(gpu, this.#rows, { columns: 2, clusters, seed, maxIterations: 1, onIteration });
      found.free();
    }
    if (!isCurrent()) return;
    this.centers = seeds;
    this.trail = [seeds];
    this.#assign();
  }

  /** Points to their nearest centre, and centres to the mean of their points. */
  async #iterate(engine) {
    await this.#prepare(engine);
    const { gpu, KMeans, isCurrent } = engine;
    if (this.centers === null || !isCurrent()) return;
    const options = { columns: 2, centers: this.centers, maxIterations: 1, tolerance: 0 };
    const found = await KMeans.fit(gpu, this.#rows, options);
    const { centers, labels, inertia } = found;
    found.free();
    if (!isCurrent()) return;
    const before = String(this.centers);
    Object.assign(this, { centers: pairs(centers), labels: [...labels] });
    this.settled = String(this.centers) === before;
    if (this.settled) return;
    this.steps++;
    this.inertias[this.steps] = inertia;
    this.trail.push(this.centers);
  }

  /** Points to their nearest centre, before the engine is asked. */
  #assign() {
    const distance = ({ x, y }, [a, b]) => (x - a) ** 2 + (y - b) ** 2;
    let inertia = 0;
    this.labels = this.#spec.points.map((point) => {
      const all = this.centers.map((center) => distance(point, center));
      inertia += Math.min(...all);
      return all.indexOf(Math.min(...all));
    });
    this.inertias[this.steps] = inertia;
  }
}

/** `[[x, y], …]` of numbers one after another. */
const pairs = (numbers) => Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);

/** Some of the points, each at most once. */
export function drawn(points, count, seed) {
  const random = uniform(seed * 7919 + 5);
  const left = points.map(({ x, y }) => [x, y]);
  return Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)[0]);
}

// One device for the whole page, and a new one when it is lost.

import { wait } from './tasks.js';

/** How often a new device is asked for after a loss, a second apart. */
const TRIES = 5;

let wgrad = null;

/** Loads the engine's package. */
export async function loadEngine() {
  const loaded = await import('./pkg/wgrad.js');
  await loaded.default();
  wgrad = loaded;
}

/** The package's module for clusters and components, once it is asked for. */
let tasks = null;
/** That module's view of the page's device. */
let shared = null;

/** What groups points and finds their axes, on the page's device: `{ gpu, KMeans, Pca }`. */
export async function tasksOn(gpu) {
  if (!tasks) {
    const loaded = await import('./pkg/tasks.js');
    await loaded.default();
    tasks = loaded;
  }
  if (shared?.of !== gpu) {
    forgetTasks();
    shared = { of: gpu, gpu: await tasks.Gpu.create({ device: gpu.device }) };
  }
  return { ...shared, KMeans: tasks.KMeans, Pca: tasks.Pca };
}

function forgetTasks() {
  shared?.gpu.free();
  shared = null;
}

/** Whether that module is there. */
export const hasTasks = () => tasks !== null;

export const createModel = (gpu, config) => wgrad.Model.create(gpu, config);

/** The device that everything runs on, one job at a time. */
export class Device {
  gpu = null;
  /** Called with every new device. */
  onOpen = () => {};
  /** Called when a new device is waited for. */
  onWait = () => {};
  #last = Promise.resolve();

  /** Runs an async job once those before it are done. */
  run(job) {
    const done = this.#last.then(job);
    this.#last = done.catch(() => {});
    return done;
  }

  get isLost() {
    return this.gpu !== null && this.gpu.isLost;
  }

  /** A device that works: the one there is or, at first and after a loss, a new one. */
  async open() {
    if (this.gpu && !this.gpu.isLost) return this.gpu;
    const lost = this.gpu;
    for (let left = lost ? TRIES : 1; ; left--) {
      try {
        this.gpu = await wgrad.Gpu.create();
        lost?.free();
        forgetTasks();
        this.onOpen(this.gpu);
        return this.gpu;
      } catch (error) {
        if (left === 1) throw error;
        this.onWait();
        await wait(1000); // a driver or browser that starts again has no adapter for a while
      }
    }
  }
}

/** Why WebGPU is not to be had, as a heading and paragraphs to show; null if it seems to be there. */
export function whyUnsupported() {
  if (!globalThis.isSecureContext) {
    return {
      title: 'This address is not secure',
      lines: ['Browsers offer WebGPU on https:// and on http://localhost only. Open this page at such an address.'],
    };
  }
  if (!navigator.gpu) {
    return {
      title: 'This browser does not offer WebGPU',
      lines: [
        'The playground trains on your GPU through WebGPU. It works in:',
        ['Chrome and Edge 113 or later on Windows, macOS and ChromeOS; 121 or later on Android', 'Safari 26 or later on macOS, iOS and iPadOS', 'Firefox 141 or later on Windows, 145 or later on macOS with Apple silicon'],
        'In Chrome on Linux, open chrome://flags, enable “Unsafe WebGPU Support” and “Vulkan”, and start the browser again.',
      ],
    };
  }
  return null;
}

/** The panel for a browser that has WebGPU but gives no device. */
export function whyNoDevice(error) {
  return {
    title: 'The browser found no GPU to train on',
    lines: [
      'WebGPU is there, but it offered no adapter. What often helps:',
      ['switch on “Use graphics acceleration when available” in the browser’s settings', 'update the graphics driver', 'open chrome://gpu and see whether WebGPU is listed as disabled, and why', 'without a GPU, start Chrome with --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader, a software adapter'],
      `The engine said: ${error.message}`,
    ],
  };
}

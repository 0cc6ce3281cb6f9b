// Times what the engine does on WebGPU: while some steps are recorded, every dispatch gets a compute pass of
// its own, whose beginning and end the device stamps, where the browser has timestamps. The results are the same
// bits; the steps take a little longer.

/** Stamps of one recording at most: steps beyond are not timed. */
const STAMPS = 2048;
const BYTES = 8;
/** Where stamps may be resolved to: at multiples of this. */
const ALIGNED = 256 / BYTES;

const now = () => performance.now();
const kept = new WeakMap(); // device → { stamps, resolved, read }

/** What holds a device's stamps, made once; null where it has none. */
function stampsOf(device) {
  if (!device.features.has('timestamp-query')) return null;
  if (!kept.has(device)) {
    const size = STAMPS * BYTES;
    kept.set(device, {
      set: device.createQuerySet({ type: 'timestamp', count: STAMPS }),
      resolved: device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC }),
      read: device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST }),
    });
  }
  return kept.get(device);
}

let previous = Promise.resolve(); // of the reading of stamps: one recording after another

/**
 * Runs `work`, which trains for `steps` steps, and resolves to its result. `done` is called, later, with
 * `{ steps, stamped, dispatches, upload, readback, uploaded, readBack, submissions }`: `dispatches` of all steps, in
 * order, `{ name, phase, start, ms }` (`start` from the first one's on; without timestamps neither); `upload` and
 * `readback`, the milliseconds that the processor spent before it submitted and waited after it; and the bytes.
 */
export async function record(work, steps, done) {
  await previous;
  const recording = new Recording();
  recording.begin();
  try {
    return await work();
  } finally {
    recording.end();
    previous = recording.finish(steps).then(done, () => {}); // a lost device stamps nothing
  }
}

class Recording {
  #restore = [];
  #devices = new WeakMap(); // encoder → device
  #dispatches = [];
  #ranges = []; // of stamps that an encoder resolves
  #used = 0;
  #next = null; // where in a step
  #stamps = null;
  #times = { began: null, submitted: null, mapped: null };
  #counts = { uploaded: 0, readBack: 0, submissions: 0 };

  /** Puts a function in the place of a method; `make(method)` makes it. */
  #replace(type, name, make) {
    const method = type.prototype[name];
    type.prototype[name] = make(method);
    this.#restore.push(() => { type.prototype[name] = method; });
  }

  begin() {
    const recording = this;
    const times = this.#times;
    const counts = this.#counts;
    this.#replace(GPUQueue, 'writeBuffer', (write) => function (buffer, offset, data, start = 0, size = undefined) {
      times.began ??= now();
      counts.uploaded += size ?? data.byteLength;
      return write.call(this, buffer, offset, data, start, size);
    });
    this.#replace(GPUQueue, 'submit', (submit) => function (...rest) {
      counts.submissions++;
      times.submitted ??= now();
      return submit.apply(this, rest);
    });
    this.#replace(GPUBuffer, 'mapAsync', (map) => async function (...rest) {
      counts.readBack += rest[2] ?? this.size;
      await map.apply(this, rest);
      times.mapped = now();
    });
    this.#replace(GPUDevice, 'createCommandEncoder', (create) => function (...rest) {
      times.began ??= now();
      const encoder = create.apply(this, rest);
      recording.#devices.set(encoder, this);
      return encoder;
    });
    this.#replace(GPUCommandEncoder, 'beginComputePass', (begin) => function (...rest) {
      return recording.#pass(this, (descriptor) => begin.call(this, descriptor)) ?? begin.apply(this, rest);
    });
    this.#replace(GPUCommandEncoder, 'finish', (finish) => function (...rest) {
      recording.#resolve(this);
      return finish.apply(this, rest);
    });
  }

  end() {
    for (const restore of this.#restore) restore();
  }

  /** What is used as a compute pass, each of whose dispatches is one; null for what was begun before the recording. */
  #pass(encoder, begin) {
    const device = this.#devices.get(encoder);
    if (!device) return null;
    this.#stamps = stampsOf(device);
    const from = Math.ceil(this.#used / ALIGNED) * ALIGNED;
    const range = { encoder, from, count: 0 };
    if (this.#stamps) this.#ranges.push(range);
    let pipeline = null;
    const groups = new Map();
    const unused = () => {};
    return {
      setPipeline(next) { pipeline = next; },
      // The offsets may lie in the engine's memory, which is free to change.
      setBindGroup(index, group, offsets = [], start = 0, length = offsets.length) {
        groups.set(index, [group, Array.from(offsets).slice(start, start + length)]);
      },
      dispatchWorkgroups: (...size) => {
        const name = groups.get(0)?.[0]?.label ?? '';
        const phase = this.#phaseOf(pipeline.label);
        const timestampWrites = this.#stamp(range);
        this.#dispatches.push({ name, phase, at: timestampWrites?.beginningOfPassWriteIndex });
        const pass = begin(timestampWrites && { timestampWrites });
        pass.setPipeline(pipeline);
        for (const [index, [group, offsets]] of groups) pass.setBindGroup(index, group, offsets);
        pass.dispatchWorkgroups(...size);
        pass.end();
      },
      end: unused,
      pushDebugGroup: unused,
      popDebugGroup: unused,
      insertDebugMarker: unused,
    };
  }

  #stamp(range) {
    const at = range.from + range.count;
    if (!this.#stamps || at + 2 > STAMPS) return undefined;
    range.count += 2;
    this.#used = at + 2;
    return { querySet: this.#stamps.set, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /** In which pass of a step a dispatch is: forward up to the loss, backward after it, then the update. */
  #phaseOf(pipeline) {
    if (pipeline.startsWith('update/')) {
      this.#next = null;
      return 'update';
    }
    if (pipeline.startsWith('loss/')) {
      this.#next = 'backward';
      return 'forward';
    }
    return (this.#next ??= 'forward');
  }

  #resolve(encoder) {
    for (const range of this.#ranges) {
      const { from, count } = range;
      if (range.encoder !== encoder || count === 0) continue;
      const { set, resolved, read } = this.#stamps;
      encoder.resolveQuerySet(set, from, count, resolved, from * BYTES);
      encoder.copyBufferToBuffer(resolved, from * BYTES, read, from * BYTES, count * BYTES);
    }
  }

  async finish(steps) {
    const { began, submitted, mapped } = this.#times;
    const stamps = this.#used > 0 ? await this.#read() : null;
    const first = stamps ? stamps[this.#dispatches[0].at] : 0n;
    const ms = (from, to) => Number(to - from) / 1e6;
    const dispatches = this.#dispatches.map(({ name, phase, at }) => (stamps && at !== undefined
      ? { name, phase, start: ms(first, stamps[at]), ms: ms(stamps[at], stamps[at + 1]) }
      : { name, phase }));
    return {
      steps,
      stamped: stamps !== null,
      dispatches,
      upload: submitted - began,
      readback: mapped - submitted,
      ...this.#counts,
    };
  }

  async #read() {
    const { read } = this.#stamps;
    const size = this.#used * BYTES;
    await read.mapAsync(GPUMapMode.READ, 0, size);
    const stamps = new BigUint64Array(read.getMappedRange(0, size).slice(0));
    read.unmap();
    return stamps;
  }
}

declare global {
  // Of ES2026, for those who compile against an earlier library; the same symbol where there is one.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
  }
}

/** Numbers row by row, in an array of any kind, or an array with one for each row. */
export type Numbers =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | readonly number[]
  | readonly (readonly number[] | Float32Array | Float64Array)[];

/** The browser's `GPUDevice`, where its types are known. */
export type GpuDevice = typeof globalThis extends { GPUDevice: { prototype: infer Device } } ? Device : object;

/** The browser's `GPUBuffer`, where its types are known. */
export type GpuBuffer = typeof globalThis extends { GPUBuffer: { prototype: infer Buffer } } ? Buffer : object;

/** Which device. */
export interface GpuOptions {
  /** Of two GPUs the fast one (the default), or the one that spares the battery. */
  powerPreference?: 'high-performance' | 'low-power';
  /** A device of your own. wgrad hears of its loss and of its uncaptured errors; an `onuncapturederror` that it has is called, too. */
  device?: GpuDevice;
}

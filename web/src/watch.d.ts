/** How far a call is. */
export interface Progress {
  done: number;
  total: number;
}

/** What calls that take a while have in common. */
export interface WatchOptions {
  /** Ends the call when it is aborted, where it waits for the device, and rejects it with the signal's reason. */
  signal?: AbortSignal;
}

/** Rows of numbers: one array for each, or all in one with `columns` for each row. */
export interface TableOptions extends WatchOptions {
  /** Numbers of each row. May be left out where each row is an array. */
  columns?: number;
}

/** How rows are grouped. */
export interface KMeansOptions extends TableOptions {
  /** How many clusters. May be left out with `centers`. */
  clusters?: number;
  /** Where the centres begin: k-means++ (`plus_plus`, the default), or k-means‖ (`parallel`) for many clusters. */
  seeding?: 'plus_plus' | 'parallel';
  /** Where the centres begin instead: clusters × columns. */
  centers?: Numbers;
  /** How often to begin anew; the clustering with the least inertia is kept. Default: 1. */
  starts?: number;
  /** Iterations at most; of mini-batches, epochs. Default: 300. */
  maxIterations?: number;
  /** The centres have settled when they move less than this, squared, times the mean variance of the columns. Default: 1e-4. */
  tolerance?: number;
  /** To learn from so many rows at a time, drawn at random: faster, and a little worse. */
  miniBatch?: number;
  /** Of all that is drawn at random. Default: 0. */
  seed?: number;
  /** Called with the seeds, and after every iteration. */
  onIteration?: (iteration: KMeansIteration) => void;
}

/** Where a clustering stands. */
export interface KMeansIteration {
  /** Which start it is, counted from 0. */
  start: number;
  /** Iterations of it so far; 0: the seeds. */
  iteration: number;
  /** Clusters × columns. */
  centers: Float32Array;
  /** For each row, the cluster whose mean the centre now is; of the seeds and of mini-batches nothing. */
  labels: Uint32Array;
}

/** How components are found. */
export interface PcaOptions extends TableOptions {
  /** How many of them. */
  components: number;
  /** Whether transformed rows are divided by the deviation along each component. Default: false. */
  whiten?: boolean;
  /** `exact`, or `randomized` for many columns; `auto`, the default, is exact up to 2,000 columns. */
  solver?: 'auto' | 'exact' | 'randomized';
  /** Directions that the randomized solver has beside the components. Default: 10. */
  oversampling?: number;
  /** Iterations of the randomized solver. Default: 7. */
  iterations?: number;
  /** Of the directions that the randomized solver begins with. Default: 0. */
  seed?: number;
  /** Called now and then with how many rows of all passes were seen. */
  onProgress?: (progress: Progress) => void;
}

/** A layer of a model. */
export type Layer =
  | {
      /** `x·W + b`: every unit sees every input. */
      type: 'dense';
      /** Number of units, the width of the output. */
      units: number;
      /** How the weights start; biases start at zero. Default: `glorot_uniform`. */
      init?: 'glorot_uniform' | 'glorot_normal' | 'he_uniform' | 'he_normal' | 'zeros';
    }
  | {
      /** An element-wise function. */
      type:
        | 'relu'
        | 'sigmoid'
        | 'tanh'
        | 'gelu'
        | 'gelu_tanh'
        | 'silu'
        | 'softplus'
        | 'hard_swish'
        | 'exp'
        | 'log'
        | 'sqrt'
        | 'reciprocal'
        | 'square'
        | 'abs';
    }
  | {
      type: 'elu';
      /** Minus the limit far below zero. Default: 1. */
      alpha?: number;
    }
  | {
      type: 'leaky_relu';
      /** Slope below zero. Default: 0.01. */
      slope?: number;
    }
  | {
      /** Each number of a row is 0 with probability `rate` while the model trains, else times 1 / (1 - rate). */
      type: 'dropout';
      /** The share that is dropped: at least 0 and below 1. */
      rate: number;
    }
  | {
      /** Each row less its mean, over its deviation; times a trained gain, plus a trained bias. */
      type: 'layer_norm';
      /** Added to the variance. Default: 1e-5. */
      epsilon?: number;
    }
  | {
      /** Softmax over a row. The cross-entropy losses take logits: train without it. */
      type: 'softmax';
    };

/** How weights move. */
export interface OptimizerConfig {
  name: 'sgd' | 'momentum' | 'nesterov' | 'adam' | 'adamw' | 'rmsprop' | 'adagrad';
  learningRate: number;
  /** Of `momentum` and `nesterov`. Default: 0.9. */
  momentum?: number;
  /** Of `adam` and `adamw`: decay of the mean of gradients. Default: 0.9. */
  beta1?: number;
  /** Of `adam` and `adamw`: decay of the mean of squared gradients. Default: 0.999. */
  beta2?: number;
  /** Of `rmsprop`: decay of the mean of squared gradients. Default: 0.99. */
  alpha?: number;
  /** Of `adam`, `adamw`, `rmsprop` and `adagrad`: added to the root. Default: 1e-8; of `adagrad` 1e-10. */
  epsilon?: number;
  /** L2 penalty; for `adamw` its decoupled decay, 0.01 unless set. */
  weightDecay?: number;
  /** Scales the gradients of a step down to this norm when theirs is larger. */
  clipNorm?: number;
  /** L1 penalty: weights that the data does not need come near 0. Default: 0. */
  l1?: number;
  /** How the learning rate changes from step to step. */
  schedule?: LearningRateSchedule;
}

/** What the learning rate is multiplied by. Lengths are in steps, not in epochs. */
export type LearningRateSchedule = {
  /** Rises in a line over so many steps first. */
  warmUp?: number;
} & (
  | { name: 'constant' }
  | {
      /** Times `factor`, from 0 to 1, after every `every` steps. */
      name: 'step';
      every: number;
      factor: number;
    }
  | {
      /** Half a cosine from 1 to `floor` (0 unless set) over `steps`, then `floor`. */
      name: 'cosine';
      steps: number;
      floor?: number;
    }
);

/** What is minimised. */
export type Loss =
  | 'mean_squared_error'
  | 'mean_absolute_error'
  | 'huber'
  | 'softmax_cross_entropy'
  | 'softmax_cross_entropy_probabilities'
  | 'binary_cross_entropy'
  /** With the error from which on it is linear, 1 unless set. */
  | { name: 'huber'; delta?: number };

/** The layers of a model and what it is trained for. */
export interface ModelConfig {
  /** Features per row. */
  inputs: number;
  layers: Layer[];
  /** `softmax_cross_entropy` takes a class per row, the others numbers. */
  loss: Loss;
  optimizer: OptimizerConfig;
  metrics?: ('accuracy' | 'mean_absolute_error' | 'r_squared')[];
  /** A weight for each class, by which the loss of its rows is multiplied. */
  classWeights?: Numbers;
  /** Of the initial weights and of what dropout drops: the same on every machine. Default: 0. */
  seed?: number;
  /**
   * What trains: a few dispatches per step (`general`, which the default, `auto`, chooses in the browser), or one
   * for up to 1024 steps (`whole_step`), for small stacks of dense layers; `whole_step_in_memory` for larger ones, whose larger
   * steps take one each.
   */
  kernels?: 'auto' | 'general' | 'whole_step' | 'whole_step_in_memory';
}

/** How rows are drawn. */
export interface TrainerOptions {
  /** Rows per step; the last batch of an epoch has those that are left. Default: 32. */
  batchSize?: number;
  /** Whether each epoch draws the rows in a new order. Default: true. */
  shuffle?: boolean;
  /** Of those orders. Default: 0. */
  seed?: number;
}

/** How to train. */
export interface FitOptions extends TrainerOptions {
  /** How often to go over all rows. */
  epochs: number;
  /** Rows to evaluate the model on after every epoch. */
  validation?: { x: Numbers; y: Numbers };
  /** The share of the rows, the last of them, that is held out for that instead. */
  validationSplit?: number;
  /** Called after every epoch; training awaits what it returns, and `false` ends it. */
  onEpoch?: (log: EpochLog) => boolean | void | PromiseLike<boolean | void>;
  /** Called after every batch, late: the device is up to four submissions ahead. As `onEpoch`. */
  onBatchEnd?: (log: BatchLog) => boolean | void | PromiseLike<boolean | void>;
  /** Ends training when it is aborted, and rejects the call with its reason. The weights of the last step stay, with `earlyStopping` those of the best epoch. */
  signal?: AbortSignal;
  /** Ends training when a figure has not improved, and leaves the weights of the best epoch. */
  earlyStopping?: Watch;
  /** Lowers the learning rate when a figure has not improved. */
  reduceOnPlateau?: Watch & {
    /** What it is multiplied by. Default: 0.1. */
    factor?: number;
    /** The smallest learning rate. Default: 0. */
    floor?: number;
  };
}

/** A figure that is watched. */
export interface Watch {
  /** `loss`, a metric, or either after `val_`. Default: `val_loss` where there is validation, else `loss`. */
  monitor?: string;
  /** Epochs in a row without improvement that end the wait. */
  patience: number;
  /** The least change that is an improvement. Default: 0. */
  minDelta?: number;
}

/** One batch, with the epoch so far. */
export interface BatchLog {
  /** Counted from 1. */
  epoch: number;
  /** Counted from 1. */
  batch: number;
  batches: number;
  /** Steps completed, this one included, since the model was created. */
  step: number;
  loss: number;
  /** Mean over the epoch's rows so far. */
  epochLoss: number;
  metrics: Record<string, number>;
}

/** Loss and metrics on some rows. */
export interface Evaluation {
  loss: number;
  rows: number;
  metrics: Record<string, number>;
}

/** One epoch. */
export interface EpochLog {
  /** Counted from 1. */
  epoch: number;
  epochs: number;
  /** Mean over the epoch's rows, each as the model was when its batch ran. */
  loss: number;
  /** Since training began. */
  seconds: number;
  learningRate: number;
  metrics: Record<string, number>;
  validation?: Evaluation;
}

/** All epochs of a call of `fit`. */
export interface History {
  epochs: EpochLog[];
  /** The loss of every step. */
  batchLosses: Float32Array;
  /** Whether training ended before its last epoch. */
  stoppedEarly: boolean;
}

/** What some steps of a `Trainer` came to. */
export interface StepsResult {
  /** Mean over the rows of these steps. */
  loss: number;
  steps: number;
  /** Epochs begun, the present one included. */
  epoch: number;
  /** Over the rows of these steps; R² only for a whole epoch. */
  metrics: Record<string, number>;
}

/** A weight or bias. */
export interface Weight {
  /** `dense_0.weight`, `dense_0.bias`, … */
  name: string;
  /** Weights are inputs × units, biases are units. */
  shape: number[];
  data: Float32Array;
}

/** Which output is explained. */
export interface ExplainOptions extends WatchOptions {
  /** The number of an output, such as a class, or one for each row. May be left out where a model has one output. */
  target?: number | Numbers;
  /** Called now and then with how many points of the rows' paths are done. */
  onProgress?: (progress: Progress) => void;
}

/** How gradients are integrated. */
export interface IntegratedOptions extends ExplainOptions {
  /** The row at which the ways to all rows begin. Default: zeros. */
  baseline?: Numbers;
  /** Points of each way, at most 10,000. Default: 50. */
  points?: number;
  /** `gauss_legendre`, the default, for smooth nets; `midpoint` for such with corners, as ReLU has; `trapezoid`. */
  quadrature?: 'gauss_legendre' | 'midpoint' | 'trapezoid';
}

/** What the numbers of rows add to an output on the way from a baseline. */
export interface Integrated {
  /** As many numbers as the rows. */
  attributions: Float32Array;
  /** For each row, the sum of its attributions less what the output differs by from the baseline's: how far the points missed. While the
   * model trains, more than 256 points (rows × points) are asked of several states of its weights, and the gaps hold what changed between them. */
  gaps: Float64Array;
}

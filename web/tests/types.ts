// Compiled, not run: the package's types as a user writes against them.
import init, { Explainer, Gpu, Model, Predictor, Trainer } from '../pkg/wgrad.js';
import type {
  BatchLog, EpochLog, Evaluation, GpuBuffer, GpuDevice, History, Integrated, Layer, ModelConfig, Numbers, StepsResult, Weight,
} from '../pkg/wgrad.js';
import initPredict, { Predictor as Only } from '../pkg/predict.js';
import initTasks, { Gpu as TasksGpu, KMeans, Pca } from '../pkg/tasks.js';
import type { KMeansIteration, Progress } from '../pkg/tasks.js';

await init();
await init({ module_or_path: new URL('https://example.org/wgrad_bg.wasm') });
const gpu: Gpu = await Gpu.create();
const fast: Gpu = await Gpu.create({ powerPreference: 'low-power' });
const device: GpuDevice = gpu.device;
const own: Gpu = await Gpu.create({ device });
const bytesInUse: number = own.bytesInUse;
// @ts-expect-error: no such preference
await Gpu.create({ powerPreference: 'fast' });
const adapter: string = gpu.adapter;
const lost: boolean = gpu.isLost;
const counters: Record<string, number> = gpu.counters();

const layers: Layer[] = [
  { type: 'dense', units: 8, init: 'he_uniform' },
  { type: 'leaky_relu', slope: 0.1 },
  { type: 'layer_norm' },
  { type: 'relu' },
  { type: 'dropout', rate: 0.5 },
  { type: 'dense', units: 2 },
];
const config: ModelConfig = {
  inputs: 2,
  layers,
  loss: 'softmax_cross_entropy',
  optimizer: {
    name: 'adamw', learningRate: 1e-3, weightDecay: 0.01, clipNorm: 1, l1: 1e-5,
    schedule: { name: 'cosine', steps: 1000, floor: 0.1, warmUp: 100 },
  },
  classWeights: [1, 2],
  metrics: ['accuracy'],
  seed: 1,
  kernels: 'whole_step',
};
// @ts-expect-error: no such loss
const wrong: ModelConfig = { ...config, loss: 'mse' };
const huber: ModelConfig = { ...config, loss: { name: 'huber', delta: 2 } };
// @ts-expect-error: no figure of that loss
const wrongLoss: ModelConfig = { ...config, loss: { name: 'mean_squared_error', delta: 2 } };
// @ts-expect-error: no such layer
const wrongLayer: Layer = { type: 'conv', units: 3 };

const model: Model = await Model.create(gpu, config);
const summary: string = model.summary();
const x = new Float32Array(200);
const y = new Uint32Array(100);
const history: History = await model.fit(x, y, {
  epochs: 3,
  batchSize: 16,
  shuffle: true,
  seed: 2,
  validation: { x, y },
  onEpoch: (log: EpochLog) => log.loss < 10 && (log.validation?.loss ?? 0) < 10,
});
await model.fit(x, y, { epochs: 1, onEpoch: ({ epoch }) => { console.log(epoch); } });
const rows: Numbers = [[1, 2], [3, 4]];
await model.fit(rows, new Uint8Array([0, 1]), {
  epochs: 9,
  validationSplit: 0.2,
  earlyStopping: { monitor: 'val_accuracy', patience: 2, minDelta: 0.01 },
  reduceOnPlateau: { patience: 1, factor: 0.5, floor: 1e-5 },
  signal: new AbortController().signal,
  onBatchEnd: ({ step, epochLoss }: BatchLog) => { console.log(step, epochLoss); },
  onEpoch: async ({ loss }) => loss > 0.1,
});
await model.fit([1, 2, 3, 4], [0, 1], { epochs: 1 });
// @ts-expect-error: numbers
await model.fit(['1', '2'], y, { epochs: 1 });
const saved: Uint8Array = await model.save();
const again: Model = await Model.load(gpu, saved);
const predictor: Predictor = await Predictor.load(gpu, saved.buffer as ArrayBuffer);
const buffer: GpuBuffer = await predictor.predictToBuffer(x);
await initPredict();
const only: Only = await Only.load(gpu as never, saved);
const few: Float32Array = await only.predict([0, 1]);
// @ts-expect-error: epochs are needed
await model.fit(x, y, {});
const losses: Float32Array = history.batchLosses;
const { loss, rows: count, metrics }: Evaluation = await model.evaluate(x, y);
const outputs: Float32Array = await model.predict(x);
const probabilities: Float32Array = await model.predictProbabilities(x);
const classes: Uint32Array = await model.predictClasses(x);
const weights: Weight[] = await model.weights();
const done: void = await model.setWeights(weights);
await model.setWeights(weights.map(({ data }) => data));
const file: Uint8Array = await model.exportWeights();
await model.importWeights(file);
await model.importWeights(file.buffer as ArrayBuffer);
// @ts-expect-error: bytes
await model.importWeights([1, 2]);
const trainer: Trainer = await model.trainer(x, y, { batchSize: 16 });
const result: StepsResult = await trainer.steps(trainer.batches);
const epoch: StepsResult = await trainer.epoch();
const steps: number = model.steps;
trainer.free();
const explainer: Explainer = await model.explainer();
const signal = new AbortController().signal;
const why: Integrated = await explainer.integratedGradients(x, { target: 1, baseline: [0, 0], points: 20, quadrature: 'midpoint', signal });
const attributions: Float32Array = why.attributions;
const gaps: Float64Array = why.gaps;
const slopes: Float32Array = await explainer.gradients(x, { target: y, onProgress: ({ done, total }) => { console.log(done / total); } });
const sizes: Float32Array = await explainer.saliency(x);
// @ts-expect-error: no such quadrature
await explainer.integratedGradients(x, { quadrature: 'simpson' });
explainer.free();
await initTasks();
const tasksGpu: TasksGpu = await TasksGpu.create({ device: gpu.device });
const groups: KMeans = await KMeans.fit(tasksGpu, rows, {
  clusters: 2, seeding: 'parallel', starts: 2, tolerance: 0, seed: 1, signal,
  onIteration: ({ iteration, centers, labels }: KMeansIteration) => { console.log(iteration, centers, labels); },
});
await KMeans.fit(tasksGpu, x, { columns: 2, centers: [[0, 0], [1, 1]], miniBatch: 10 });
// @ts-expect-error: no such option
await KMeans.fit(tasksGpu, x, { k: 3 });
const labels: Uint32Array = groups.labels;
const inertia: number = groups.inertia;
const nearest: Uint32Array = await groups.predict(rows);
const distances: Float32Array = await groups.transform(rows);
const pca: Pca = await Pca.fit(tasksGpu, rows, { components: 1, whiten: true, onProgress: ({ done }: Progress) => { console.log(done); } });
const shares: Float64Array = pca.explainedVarianceRatio;
const back: Float32Array = await pca.inverseTransform(await pca.transform(rows));
// @ts-expect-error: components are needed
await Pca.fit(tasksGpu, rows, {});
model.free();
gpu.destroy();
gpu.free();
console.log(adapter, lost, counters, wrong, wrongLayer, summary, losses, loss, count, metrics, outputs,
  probabilities, classes, result, epoch, steps, done, fast, bytesInUse, huber, wrongLoss, again, buffer, few,
  attributions, gaps, slopes, sizes, labels, inertia, nearest, distances, shares, back);

// Compiled, not run: the package's types as a user writes against them.
import init, { Gpu, Model, Trainer } from '../pkg/wgrad.js';
import type { EpochLog, Evaluation, History, Layer, ModelConfig, StepsResult, Weight } from '../pkg/wgrad.js';

await init();
await init({ module_or_path: new URL('https://example.org/wgrad_bg.wasm') });
const gpu: Gpu = await Gpu.create();
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
  optimizer: { name: 'adamw', learningRate: 1e-3, weightDecay: 0.01, clipNorm: 1 },
  metrics: ['accuracy'],
  seed: 1,
  kernels: 'whole_step',
};
// @ts-expect-error: no such loss
const wrong: ModelConfig = { ...config, loss: 'mse' };
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
// @ts-expect-error: epochs are needed
await model.fit(x, y, {});
const losses: Float32Array = history.batchLosses;
const { loss, rows, metrics }: Evaluation = await model.evaluate(x, y);
const outputs: Float32Array = await model.predict(x);
const probabilities: Float32Array = await model.predictProbabilities(x);
const classes: Uint32Array = await model.predictClasses(x);
const weights: Weight[] = await model.weights();
const done: void = await model.setWeights(weights.map(({ data }) => data));
const file: Uint8Array = await model.exportWeights();
await model.importWeights(file);
// @ts-expect-error: bytes are a Uint8Array
await model.importWeights(file.buffer);
const trainer: Trainer = await model.trainer(x, y, { batchSize: 16 });
const result: StepsResult = await trainer.steps(trainer.batches);
const epoch: StepsResult = await trainer.epoch();
const steps: number = model.steps;
trainer.free();
model.free();
gpu.destroy();
gpu.free();
console.log(adapter, lost, counters, wrong, wrongLayer, summary, losses, loss, rows, metrics, outputs,
  probabilities, classes, result, epoch, steps, done);

// The rows and the model of `tests/page.rs`, in the page: what it keeps there and here is the same.

/** Defines `keptRows` and `keptModel` in a page that has the package. */
export const define = () => {
  globalThis.keptRows = () => {
    const x = Float32Array.from({ length: 60 }, (_, i) => ((i * 7) % 13) / 8 - 0.75);
    return { x, y: Float32Array.from({ length: 30 }, (_, row) => x[2 * row] - x[2 * row + 1]) };
  };
  globalThis.keptModel = async () => {
    const model = await wgrad.Model.create(gpu, {
      inputs: 2,
      layers: [{ type: 'dense', units: 4 }, { type: 'elu', alpha: 0.5 }, { type: 'layer_norm' }, { type: 'dense', units: 1 }],
      loss: { name: 'huber', delta: 0.5 },
      optimizer: { name: 'adam', learningRate: 0.01, clipNorm: 1, schedule: { name: 'cosine', steps: 40, floor: 0.1, warmUp: 3 } },
      metrics: ['mean_absolute_error'],
      seed: 3,
    });
    const { x, y } = keptRows();
    await model.fit(x, y, { epochs: 2, batchSize: 8 });
    return model;
  };
  /** What a model predicts, and comes to when it trains on. */
  globalThis.keptFigures = async (model) => {
    const { x, y } = keptRows();
    const predictions = [...await model.predict(x)];
    const { epochs } = await model.fit(x, y, { epochs: 2, batchSize: 8 });
    return { predictions, losses: epochs.map(({ loss }) => loss) };
  };
};

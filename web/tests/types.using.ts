// Compiled, not run: `using`, for which the library must know `Symbol.dispose`.
import { Gpu, Model } from '../pkg/wgrad.js';
import type { ModelConfig } from '../pkg/wgrad.js';

export async function rows(config: ModelConfig): Promise<number> {
  using gpu = await Gpu.create();
  using model = await Model.create(gpu, config);
  return model.steps;
}

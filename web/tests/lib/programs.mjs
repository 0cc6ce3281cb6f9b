// The programs that the playground shows for two experiments, as tests/page.rs of the repository compiles and runs
// them. `node web/tests/lib/programs.mjs` writes them anew, into web/tests/programs.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { clusterProgramsOf } from '../../playground/code-clusters.js';
import { drawn } from '../../playground/clustering.js';
import { programsOf } from '../../playground/code.js';
import { makeCloud, makeData } from '../../playground/data.js';
import { fromHash } from '../../playground/state.js';

export const FOLDER = fileURLToPath(new URL('../programs/', import.meta.url));

/** The experiments by the names of their files: address and steps done. */
export const EXPERIMENTS = {
  plane: ['#plane?data=hills&noise=5&test=60&features=x,y,xy&layers=8&activation=gelu&optimizer=adamw&decay=0.01&edits=a1.5:-2:1,r3', 6],
  digits: ['#digits?layers=24&activation=leaky_relu&optimizer=momentum&rate=0.03&decay=0.001&batch=64&seed=3', 22],
};

/** Of clusters. */
export const CLUSTERS = '#clusters?data=five&spread=40&k=5&seeding=random&seed=3&speed=0&points=a1.5:-2:1,r3';

/** The programs of that address. */
export function clusterProgramsAt(hash) {
  const { values } = fromHash(hash);
  const points = makeCloud(values.data, values.spread / 100, values.points);
  return clusterProgramsOf({ values, points, seeds: drawn(points, values.k, values.seed) });
}

/** The points of an address. */
export function pointsAt(hash) {
  const { data, noise, test, seed, edits } = fromHash(hash).values;
  return makeData(data, noise / 100, test / 100, seed, edits);
}

/** `{ javascript, rust }` of an experiment by its address. */
export function programsAt(hash, steps) {
  const { tab, values } = fromHash(hash);
  const points = tab === 'plane' ? pointsAt(hash) : null;
  return programsOf({ tab, values, steps, points, rows: points ? points.train.length : 1347 });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, [hash, steps]] of Object.entries(EXPERIMENTS)) {
    await writeFile(`${FOLDER}${name}.rs`, programsAt(hash, steps).rust);
  }
  await writeFile(`${FOLDER}clusters.rs`, clusterProgramsAt(CLUSTERS).rust);
}

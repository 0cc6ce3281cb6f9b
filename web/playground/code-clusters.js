// The clusters on screen as a program, in JavaScript and in Rust: the same points, beginnings and axes.

import { CLOUDS } from './data.js';

/** A number as Rust takes it. */
const float = (number) => (Number.isInteger(number) ? `${number}.0` : String(number));

/** Points as rows of a list, several to a line. */
function listed(points, indent, form = String) {
  const items = points.map((point) => `[${point.map(form).join(', ')}]`);
  const lines = [];
  while (items.length > 0) lines.push(`${indent}${items.splice(0, 5).join(', ')},`);
  return lines.join('\n');
}

/** `{ javascript, rust }` of the `points`, the centres that `seeds` are, and the `values` of the tab. */
export function clusterProgramsOf({ values, points, seeds }) {
  const rows = points.map(({ x, y }) => [x, y]);
  const experiment = { ...values, k: Math.min(values.k, rows.length), rows, seeds: seeds ?? [] };
  return { javascript: javascriptOf(experiment), rust: rustOf(experiment) };
}

function javascriptOf({ data, k, seeding, seed, rows, seeds }) {
  const begin = seeding === 'random'
    ? `  centers: [ // the random points that it begins at\n${listed(seeds, '    ')}\n  ],`
    : `  clusters: ${k},\n  seeding: '${seeding}',\n  seed: ${seed},`;
  return `// The package of this page (its link says how to install it), or import it from this page's ./pkg/tasks.js
import init, { Gpu, KMeans, Pca } from 'wgrad/tasks';

await init();
const gpu = await Gpu.create();
const points = data();

const groups = await KMeans.fit(gpu, points, {
${begin}
  tolerance: 0, // until no point changes its group
  onIteration: ({ iteration, centers }) => console.log(iteration, centers),
});
const pca = await Pca.fit(gpu, points, { components: 2 });
console.log({
  inertia: groups.inertia,
  centers: groups.centers,
  labels: groups.labels,
  axes: pca.components,
  shares: pca.explainedVarianceRatio,
});

/** ${CLOUDS[data].label}: x and y of each point. */
function data() {
  return [
${listed(rows, '    ')}
  ];
}
`;
}

function rustOf({ data, k, seeding, seed, rows, seeds }) {
  const begin = seeding === 'random'
    ? '.seeding(Seeding::Centers(SEEDS.concat()))'
    : `.seed(${seed})`;
  const beginnings = seeding === 'random' ? `
/// The random points that it begins at.
const SEEDS: &[[f32; 2]] = &[
${listed(seeds, '    ', float)}
];
` : '';
  return `// cargo add --path .../wgrad --features decompose
use wgrad::Gpu;
use wgrad::cluster::{Clusters, KMeans${seeding === 'random' ? ', Seeding' : ''}};
use wgrad::decompose::{Pca, PrincipalComponents};

/// Groups the points, until none changes its group, and finds their axes.
fn group(gpu: &Gpu) -> wgrad::Result<(Clusters, PrincipalComponents)> {
    let groups = KMeans::new(${k})${begin}.tolerance(0.0).fit_blocking(gpu, &POINTS.concat(), 2)?;
    Ok((groups, Pca::new(2).fit_blocking(gpu, &POINTS.concat(), 2)?))
}

fn main() -> wgrad::Result<()> {
    let (groups, pca) = group(&Gpu::new_blocking()?)?;
    println!("inertia {}, centres {:?}", groups.inertia(), groups.cluster_centers());
    println!("axes {:?}, shares {:?}", pca.components(), pca.explained_variance_ratio());
    Ok(())
}

// ${CLOUDS[data].label}: x and y of each point.
const POINTS: &[[f32; 2]] = &[
${listed(rows, '    ', float)}
];
${beginnings}`;
}

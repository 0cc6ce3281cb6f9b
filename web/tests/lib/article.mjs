// The article's net, trained twice: whether two runs come to the same.
import assert from 'node:assert/strict';

/** How far figures may be apart, of themselves: Adam divides by roots of sums, which magnifies rounding. */
const TOLERANCES = { sgd: 1e-5, adam: 1e-4 };

/** Fails unless all figures of a run are those of another; returns the largest relative difference. */
export function compareRuns(found, expected) {
  let worst = 0;
  for (const [name, tolerance] of Object.entries(TOLERANCES)) {
    for (const figure of ['epochLosses', 'batchLosses', 'r_squared', 'predictions']) {
      assert.equal(found[name][figure].length, expected[name][figure].length);
      found[name][figure].forEach((value, i) => {
        const wanted = expected[name][figure][i];
        // A prediction may be near 0; it is right if it is right on the scale of the targets.
        const scale = figure === 'predictions' ? Math.max(Math.abs(wanted), 0.1) : Math.abs(wanted);
        const off = Math.abs(value - wanted) / scale;
        worst = Math.max(worst, off);
        assert.ok(off <= tolerance, `${name} ${figure}[${i}]: ${value}, not ${wanted}`);
      });
    }
  }
  return worst;
}

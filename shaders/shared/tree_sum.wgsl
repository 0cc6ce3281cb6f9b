// Sums over the 256 invocations of a workgroup, in a fixed order.

const LANES: u32 = 256u;

var<workgroup> sums: array<f32, LANES>;

// The sum of every invocation's x; only invocation 0 gets it. All must call it, once.
fn tree_sum(lane: u32, x: f32) -> f32 {
    sums[lane] = x;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            sums[lane] += sums[lane + half];
        }
    }
    return sums[lane];
}

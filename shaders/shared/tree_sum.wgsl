// Sums over the 256 invocations of a workgroup, in a fixed order.

const INVOCATIONS: u32 = 256u;

var<workgroup> sums: array<f32, INVOCATIONS>;

// The sum of every invocation's x; only invocation 0 gets it. All must call it, once.
fn tree_sum(invocation: u32, x: f32) -> f32 {
    sums[invocation] = x;
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (invocation < half) {
            sums[invocation] += sums[invocation + half];
        }
    }
    return sums[invocation];
}

// The norm over the 256 invocations of a workgroup, joined in a fixed order.

const LANES: u32 = 256u;

var<workgroup> norms: array<Norm, LANES>;

// The norm of the numbers of all invocations; only invocation 0 gets it. All must call it, once.
fn tree_norm(lane: u32, mine: Norm) -> Norm {
    norms[lane] = mine;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            norms[lane] = joined(norms[lane], norms[lane + half]);
        }
    }
    return norms[lane];
}

// The norm over the 256 invocations of a workgroup, joined in a fixed order.

const INVOCATIONS: u32 = 256u;

var<workgroup> norms: array<Norm, INVOCATIONS>;

// The norm of the numbers of all invocations; only invocation 0 gets it. All must call it, once.
fn tree_norm(invocation: u32, mine: Norm) -> Norm {
    norms[invocation] = mine;
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (invocation < half) {
            norms[invocation] = joined(norms[invocation], norms[invocation + half]);
        }
    }
    return norms[invocation];
}

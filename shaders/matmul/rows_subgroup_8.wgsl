// Invocations in subgroups of 8 or more: a workgroup is one subgroup, and all its invocations share the rows.
// Each value of A is loaded by one invocation and broadcast from there, which costs a fraction of a load.

// A[row .. row + 8][k .. k + 4]: invocation i loads row i.
fn rows_along_k(row: u32, k: u32, invocation: u32) -> Rows {
    let mine = a_at(row + invocation % 8u, k);
    return Rows(
        subgroupBroadcast(mine, 0u),
        subgroupBroadcast(mine, 1u),
        subgroupBroadcast(mine, 2u),
        subgroupBroadcast(mine, 3u),
        subgroupBroadcast(mine, 4u),
        subgroupBroadcast(mine, 5u),
        subgroupBroadcast(mine, 6u),
        subgroupBroadcast(mine, 7u),
    );
}

// The same of Aᵀ: invocation 2i loads A[k + i][row .. row + 4], invocation 2i + 1 the other four.
fn rows_across_k(row: u32, k: u32, invocation: u32) -> Rows {
    let mine = a_at(k + invocation % 8u / 2u, row + invocation % 2u * 4u);
    let low = transposed(
        subgroupBroadcast(mine, 0u),
        subgroupBroadcast(mine, 2u),
        subgroupBroadcast(mine, 4u),
        subgroupBroadcast(mine, 6u),
    );
    let high = transposed(
        subgroupBroadcast(mine, 1u),
        subgroupBroadcast(mine, 3u),
        subgroupBroadcast(mine, 5u),
        subgroupBroadcast(mine, 7u),
    );
    return Rows(low.b0, low.b1, low.b2, low.b3, high.b0, high.b1, high.b2, high.b3);
}

// Invocations in subgroups of 4: as `matmul_rows_subgroup_8`, but every invocation loads two pieces of A.

// A[row .. row + 8][k .. k + 4]: invocation i loads rows i and i + 4.
fn rows_along_k(row: u32, k: u32, invocation: u32) -> Rows {
    let low = a_at(row + invocation, k);
    let high = a_at(row + 4u + invocation, k);
    return Rows(
        subgroupBroadcast(low, 0u),
        subgroupBroadcast(low, 1u),
        subgroupBroadcast(low, 2u),
        subgroupBroadcast(low, 3u),
        subgroupBroadcast(high, 0u),
        subgroupBroadcast(high, 1u),
        subgroupBroadcast(high, 2u),
        subgroupBroadcast(high, 3u),
    );
}

// The same of Aᵀ: invocation i loads A[k + i][row .. row + 8] in two pieces.
fn rows_across_k(row: u32, k: u32, invocation: u32) -> Rows {
    let left = a_at(k + invocation, row);
    let right = a_at(k + invocation, row + 4u);
    let low = transposed(
        subgroupBroadcast(left, 0u),
        subgroupBroadcast(left, 1u),
        subgroupBroadcast(left, 2u),
        subgroupBroadcast(left, 3u),
    );
    let high = transposed(
        subgroupBroadcast(right, 0u),
        subgroupBroadcast(right, 1u),
        subgroupBroadcast(right, 2u),
        subgroupBroadcast(right, 3u),
    );
    return Rows(low.b0, low.b1, low.b2, low.b3, high.b0, high.b1, high.b2, high.b3);
}

// Invocations in subgroups of 8 as two halves, for products of few columns: a half has rows of its own, and
// both have the same columns. Each value of A is loaded by one invocation and broadcast to its half.

// A[row .. row + 8][k .. k + 4]: invocation i of a half loads its rows i and i + 4.
fn rows_along_k(row: u32, k: u32, invocation: u32) -> Rows {
    let second = invocation >= 4u;
    let low = a_at(row + invocation % 4u, k);
    let high = a_at(row + 4u + invocation % 4u, k);
    return Rows(
        select(subgroupBroadcast(low, 0u), subgroupBroadcast(low, 4u), second),
        select(subgroupBroadcast(low, 1u), subgroupBroadcast(low, 5u), second),
        select(subgroupBroadcast(low, 2u), subgroupBroadcast(low, 6u), second),
        select(subgroupBroadcast(low, 3u), subgroupBroadcast(low, 7u), second),
        select(subgroupBroadcast(high, 0u), subgroupBroadcast(high, 4u), second),
        select(subgroupBroadcast(high, 1u), subgroupBroadcast(high, 5u), second),
        select(subgroupBroadcast(high, 2u), subgroupBroadcast(high, 6u), second),
        select(subgroupBroadcast(high, 3u), subgroupBroadcast(high, 7u), second),
    );
}

// The same of Aᵀ: invocation i of a half loads A[k + i][row .. row + 8] of its rows in two pieces.
fn rows_across_k(row: u32, k: u32, invocation: u32) -> Rows {
    let second = invocation >= 4u;
    let left = a_at(k + invocation % 4u, row);
    let right = a_at(k + invocation % 4u, row + 4u);
    let low = transposed(
        select(subgroupBroadcast(left, 0u), subgroupBroadcast(left, 4u), second),
        select(subgroupBroadcast(left, 1u), subgroupBroadcast(left, 5u), second),
        select(subgroupBroadcast(left, 2u), subgroupBroadcast(left, 6u), second),
        select(subgroupBroadcast(left, 3u), subgroupBroadcast(left, 7u), second),
    );
    let high = transposed(
        select(subgroupBroadcast(right, 0u), subgroupBroadcast(right, 4u), second),
        select(subgroupBroadcast(right, 1u), subgroupBroadcast(right, 5u), second),
        select(subgroupBroadcast(right, 2u), subgroupBroadcast(right, 6u), second),
        select(subgroupBroadcast(right, 3u), subgroupBroadcast(right, 7u), second),
    );
    return Rows(low.b0, low.b1, low.b2, low.b3, high.b0, high.b1, high.b2, high.b3);
}

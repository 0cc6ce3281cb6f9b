// Each invocation reads the rows that it needs.

// A[row .. row + 8][k .. k + 4].
fn rows_along_k(row: u32, k: u32, invocation: u32) -> Rows {
    return Rows(
        a_at(row, k),
        a_at(row + 1u, k),
        a_at(row + 2u, k),
        a_at(row + 3u, k),
        a_at(row + 4u, k),
        a_at(row + 5u, k),
        a_at(row + 6u, k),
        a_at(row + 7u, k),
    );
}

// The same of Aᵀ.
fn rows_across_k(row: u32, k: u32, invocation: u32) -> Rows {
    let low = transposed(a_at(k, row), a_at(k + 1u, row), a_at(k + 2u, row), a_at(k + 3u, row));
    let right = row + 4u;
    let high = transposed(a_at(k, right), a_at(k + 1u, right), a_at(k + 2u, right), a_at(k + 3u, right));
    return Rows(low.b0, low.b1, low.b2, low.b3, high.b0, high.b1, high.b2, high.b3);
}

// C = A·Bᵀ: A is m×k, B is n×k, C is m×n. The gradient of a layer's input: dX = dY·Wᵀ.
const A_ALONG_K: bool = true;
const B_ALONG_K: bool = true;

fn rows_of_a(row: u32, k: u32, invocation: u32) -> Rows {
    return rows_along_k(row, k, invocation);
}

fn block_of_b(k: u32, column: u32) -> Block {
    return transposed(b_at(column, k), b_at(column + 1u, k), b_at(column + 2u, k), b_at(column + 3u, k));
}

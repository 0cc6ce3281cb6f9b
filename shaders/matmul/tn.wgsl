// C = Aᵀ·B: A is k×m, B is k×n, C is m×n. The gradient of a layer's weights: dW = Xᵀ·dY, with k
// the rows of the batch.
const A_ALONG_K: bool = false;
const B_ALONG_K: bool = false;

fn rows_of_a(row: u32, k: u32, invocation: u32) -> Rows {
    return rows_across_k(row, k, invocation);
}

fn block_of_b(k: u32, column: u32) -> Block {
    return Block(b_at(k, column), b_at(k + 1u, column), b_at(k + 2u, column), b_at(k + 3u, column));
}

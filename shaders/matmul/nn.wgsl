// C = A·B: A is m×k, B is k×n, C is m×n. The forward pass of a dense layer.
const A_ALONG_K: bool = true;
const B_ALONG_K: bool = false;

fn rows_of_a(row: u32, k: u32, invocation: u32) -> Rows {
    return rows_along_k(row, k, invocation);
}

fn block_of_b(k: u32, column: u32) -> Block {
    return Block(b_at(k, column), b_at(k + 1u, column), b_at(k + 2u, column), b_at(k + 3u, column));
}

// out[row][column .. column + 8] of C number `part`, four neighbours at a time.
fn store_pair(part: u32, row: u32, column: u32, v: Pair, bias: Pair) {
    store(part, row, column, v.left, bias.left);
    store(part, row, column + 4u, v.right, bias.right);
}

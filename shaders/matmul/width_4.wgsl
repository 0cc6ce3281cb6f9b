// Four columns per invocation: one block of B, one strip of C.
const COLUMNS: u32 = 4u;
alias Blocks = Block;
alias Band = Strip;
alias Wide = vec4<f32>;

fn no_sums() -> Wide {
    return vec4<f32>();
}

fn empty_band() -> Band {
    return Strip();
}

fn blocks_of_b(k: u32, column: u32) -> Blocks {
    return block_of_b(k, column);
}

fn add_blocks(sums: Wide, b: Blocks) -> Wide {
    return add_columns(sums, b);
}

fn store_sums(part: u32, row: u32, column: u32, sums: Wide) {
    store_column_sums(part, row, column, sums);
}

fn add_band(a: Rows, b: Blocks, c: Band) -> Band {
    return add_products(a, b, c);
}

fn band_aside(column: u32) -> Wide {
    return aside(column);
}

fn store_first(part: u32, row: u32, column: u32, c: Band, beside: Wide) {
    store(part, row, column, c.c0, beside);
}

fn band_moved_up(c: Band) -> Band {
    return moved_up(c);
}

// An invocation adds up one strip of 8 rows × 4 columns of a product.
const STRIPS: u32 = 1u;

struct Strips {
    s0: Strip,
}

// Four terms of the sums, from block b of B: rows of A lie along k.
fn add_along_k(row: u32, k: u32, b: Block, c: Strips, invocation: u32) -> Strips {
    return Strips(add_products(rows_along_k(row, k, invocation), b, c.s0));
}

// The same of Aᵀ.
fn add_across_k(row: u32, k: u32, b: Block, c: Strips, invocation: u32) -> Strips {
    return Strips(add_products(rows_across_k(row, k, invocation), b, c.s0));
}

// Finishes the first row of each strip; `row` is that of the first.
fn finish_rows(to: Outputs, row: u32, c: Strips) {
    finish_row(to, row, c.s0.c0);
}

fn store_rows(to: Gradients, row: u32, c: Strips) {
    store_row(to, row, c.s0.c0);
}

fn strips_moved_up(c: Strips) -> Strips {
    return Strips(moved_up(c.s0));
}

// An invocation adds up four strips of 8 rows × 4 columns of a product, one below the other.
const STRIPS: u32 = 4u;

// Named members, since an array indexed by a variable would leave the registers.
struct Strips {
    s0: Strip,
    s1: Strip,
    s2: Strip,
    s3: Strip,
}

// Four terms of the sums, from block b of B: rows of A lie along k.
fn add_along_k(row: u32, k: u32, b: Block, c: Strips, invocation: u32) -> Strips {
    return Strips(
        add_products(rows_along_k(row, k, invocation), b, c.s0),
        add_products(rows_along_k(row + 8u, k, invocation), b, c.s1),
        add_products(rows_along_k(row + 16u, k, invocation), b, c.s2),
        add_products(rows_along_k(row + 24u, k, invocation), b, c.s3),
    );
}

// The same of Aᵀ.
fn add_across_k(row: u32, k: u32, b: Block, c: Strips, invocation: u32) -> Strips {
    return Strips(
        add_products(rows_across_k(row, k, invocation), b, c.s0),
        add_products(rows_across_k(row + 8u, k, invocation), b, c.s1),
        add_products(rows_across_k(row + 16u, k, invocation), b, c.s2),
        add_products(rows_across_k(row + 24u, k, invocation), b, c.s3),
    );
}

// Finishes the first row of each strip; `row` is that of the first.
fn finish_rows(to: Outputs, row: u32, c: Strips) {
    finish_row(to, row, c.s0.c0);
    finish_row(to, row + 8u, c.s1.c0);
    finish_row(to, row + 16u, c.s2.c0);
    finish_row(to, row + 24u, c.s3.c0);
}

fn store_rows(to: Gradients, row: u32, c: Strips) {
    store_row(to, row, c.s0.c0);
    store_row(to, row + 8u, c.s1.c0);
    store_row(to, row + 16u, c.s2.c0);
    store_row(to, row + 24u, c.s3.c0);
}

fn strips_moved_up(c: Strips) -> Strips {
    return Strips(moved_up(c.s0), moved_up(c.s1), moved_up(c.s2), moved_up(c.s3));
}

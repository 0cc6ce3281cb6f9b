// Eight columns per invocation: two blocks of B, two strips of C, so that a value of A that was loaded
// is used twice as often.
const COLUMNS: u32 = 8u;

struct Blocks {
    left: Block,
    right: Block,
}

struct Band {
    left: Strip,
    right: Strip,
}

alias Wide = Pair;

fn no_sums() -> Wide {
    return Pair();
}

fn empty_band() -> Band {
    return Band();
}

fn add_blocks(sums: Wide, b: Blocks) -> Wide {
    return Pair(add_columns(sums.left, b.left), add_columns(sums.right, b.right));
}

fn store_sums(part: u32, row: u32, column: u32, sums: Wide) {
    store_column_sums(part, row, column, sums.left);
    store_column_sums(part, row, column + 4u, sums.right);
}

fn add_band(a: Rows, b: Blocks, c: Band) -> Band {
    return Band(add_products(a, b.left, c.left), add_products(a, b.right, c.right));
}

fn band_aside(column: u32) -> Wide {
    return Pair(aside(column), aside(column + 4u));
}

fn store_first(part: u32, row: u32, column: u32, c: Band, beside: Wide) {
    store_pair(part, row, column, Pair(c.left.c0, c.right.c0), beside);
}

fn band_moved_up(c: Band) -> Band {
    return Band(moved_up(c.left), moved_up(c.right));
}

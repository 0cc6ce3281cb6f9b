// A product of two matrices. Workgroups beyond the tiles of C have other parts of its sums.
fn first_term(part: u32) -> u32 {
    return part * dims.share;
}

// Where A and B begin.
fn a_start() -> u32 {
    return 0u;
}

fn b_start() -> u32 {
    return 0u;
}

// A product of each matrix of A and its own of B, which lie one after another, as those of C do. Workgroups beyond
// the tiles of the first C have those of the next; their sums are whole.

// The number of this workgroup's matrices.
var<private> matrix: u32;

// A surplus workgroup has no terms: see `flat_workgroup`.
fn first_term(number: u32) -> u32 {
    matrix = min(number, dims.matrices - 1u);
    return select(0u, dims.k, number >= dims.matrices);
}

// Where A and B begin.
fn a_start() -> u32 {
    return matrix * dims.m * dims.k;
}

fn b_start() -> u32 {
    return matrix * dims.k * dims.n;
}

// Shared by the three matrix products: sizes, and how the work lies.

// C (m×n) = Σ over k. Each invocation computes a block of 8 rows × 4 columns of C in named variables
// (registers), so that each value loaded is used 4 or 8 times. Which block is whose, and how the
// values of A reach it, is in the file `matmul_lanes_*`. At edges, stores past the
// end are skipped.
struct Dims {
    m: u32,
    n: u32,
    k: u32,
    // Number of tiles across C, and of all tiles. A workgroup covers a tile.
    tiles_across: u32,
    tiles: u32,
    // Terms of the sum that one workgroup adds up, a multiple of 4. Where it is less than k, several
    // workgroups share a tile, and each writes its part of the sum to a C of its own.
    share: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;

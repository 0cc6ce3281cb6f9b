// Shared by the three matrix products: sizes, operands, and how the tiles lie.

// C (m×n) = Σ over k. Each invocation computes 8 rows × 4 columns of C in named variables
// (registers), so that each value loaded is used 4 or 8 times; a workgroup of 8 × 8 invocations
// covers 64 rows × 32 columns. Edges are masked: loads past an edge give 0, stores there are skipped.
struct Dims {
    m: u32,
    n: u32,
    k: u32,
    // Number of 32-column tiles across C, and of all tiles.
    tiles_across: u32,
    tiles: u32,
    // Terms of the sum that one workgroup adds up, a multiple of 4. Where it is less than k, several
    // workgroups share a tile, and each writes its part of the sum to a C of its own.
    share: u32,
}

const TILE_ROWS: u32 = 64u;
const TILE_COLUMNS: u32 = 32u;

@group(0) @binding(0) var<uniform> dims: Dims;

struct Position {
    row: u32,
    column: u32,
    // Which part of the sum, and its terms first .. last.
    part: u32,
    first: u32,
    last: u32,
}

// First row and column of the 8 × 4 block of this invocation. Neighbouring lanes take
// neighbouring columns, so that their loads of B and stores of C are contiguous.
fn position(workgroup: u32, lane: u32) -> Position {
    let part = workgroup / dims.tiles;
    let tile = workgroup % dims.tiles;
    let row = (tile / dims.tiles_across) * TILE_ROWS + (lane / 8u) * 8u;
    let column = (tile % dims.tiles_across) * TILE_COLUMNS + (lane % 8u) * 4u;
    let first = part * dims.share;
    return Position(row, column, part, first, min(first + dims.share, dims.k));
}

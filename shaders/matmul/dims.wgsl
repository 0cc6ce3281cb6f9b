// Shared by the matrix products: sizes, and which tile of C a workgroup computes.
//
// C (m×n) = Σ over k. A shader is put together from these choices:
//   the layout    matmul_nn, matmul_nt, matmul_tn: A·B, A·Bᵀ, Aᵀ·B;
//   the family    matmul_registers: an invocation reads A and B from memory, matmul_rows_alone by
//                 itself, matmul_rows_subgroup_* sharing what was read with its subgroup;
//                 matmul_shared: a workgroup reads them together into workgroup memory, in slabs that lie
//                 as matmul_slab_* say, for a tile of the size of matmul_tile_*;
//   the number    matmul_one, matmul_each: of one product, or of many alike in one stack; matmul_single, matmul_two:
//                 through workgroup memory, of one product, or of two alike, each of operands of its own;
//   the width     matmul_width_*: an invocation computes 4 columns, or 8;
//   the access    matmul_a_*, matmul_b_*: four neighbours at a time, or one by one; *_words: as
//                 integers of 64 bits; *_texels: from a texture; *_f16: numbers stored in 16 bits;
//                 matmul_second_*: of the second of two products; matmul_piece_*, matmul_out_*, matmul_saved_*:
//                 the same for C and for what lies beside it;
//   the epilogue  matmul_epilogue_*: what happens to a value of C before it is stored.
struct Dims {
    m: u32,
    n: u32,
    k: u32,
    // Number of tiles across C and down C. A workgroup computes a tile.
    across: u32,
    down: u32,
    // Terms of the sum that one workgroup adds up, a multiple of 16. Where it is less than k, several
    // workgroups share a tile, and each writes its part of the sum to a C of its own.
    share: u32,
    // Number of products, each of a matrix of its own of A, of B and of C.
    matrices: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;

// Rows of tiles that are worked on together.
override GROUP: u32;

// Row and column of workgroup `tile`, in tiles. Tiles are numbered down a group of rows of tiles,
// then across, then group by group: what lies next to each other in time shares its columns of B,
// and the row strips of A stay in the cache until the group is done.
fn place_of(tile: u32) -> vec2<u32> {
    let in_group = tile % (GROUP * dims.across);
    let first = tile / (GROUP * dims.across) * GROUP;
    let height = min(GROUP, dims.down - first);
    return vec2(first + in_group % height, in_group / height);
}

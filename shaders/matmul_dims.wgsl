// Shared by the matrix products: sizes, which tile of C a workgroup computes, and the arithmetic on
// blocks that are held in named variables (registers).
//
// C (m×n) = Σ over k. A shader is put together from four choices:
//   the layout    matmul_nn, matmul_nt, matmul_tn: A·B, A·Bᵀ, Aᵀ·B;
//   the family    matmul_registers: an invocation reads A and B from memory, matmul_rows_alone by
//                 itself, matmul_rows_subgroup_* sharing what was read with its subgroup;
//                 matmul_shared: a workgroup reads them together into workgroup memory;
//   the width     matmul_width_*: an invocation computes 4 columns, or 8;
//   the access    matmul_a_*, matmul_b_*: four neighbours at a time, or one by one; *_words: as
//                 integers of 64 bits; matmul_piece_*, matmul_saved_*: the same for C and for what
//                 lies beside it;
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
}

@group(0) @binding(0) var<uniform> dims: Dims;

// Rows of tiles that are worked on together.
override GROUP: u32 = 8u;

// Row and column of workgroup `tile`, in tiles. Tiles are numbered down a group of rows of tiles,
// then across, then group by group: what lies next to each other in time shares its columns of B,
// and the row strips of A stay in the cache until the group is done.
fn place_of(tile: u32) -> vec2<u32> {
    let in_group = tile % (GROUP * dims.across);
    let first = tile / (GROUP * dims.across) * GROUP;
    let height = min(GROUP, dims.down - first);
    return vec2(first + in_group % height, in_group / height);
}

// A[row .. row + 8][k .. k + 4], row by row.
struct Rows {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
    r4: vec4<f32>,
    r5: vec4<f32>,
    r6: vec4<f32>,
    r7: vec4<f32>,
}

// B[k .. k + 4][column .. column + 4], row by row.
struct Block {
    b0: vec4<f32>,
    b1: vec4<f32>,
    b2: vec4<f32>,
    b3: vec4<f32>,
}

// Eight neighbours along a row.
struct Pair {
    left: vec4<f32>,
    right: vec4<f32>,
}

// C[row .. row + 8][column .. column + 4], row by row. Named members, since an array indexed by a
// variable would leave the registers.
struct Strip {
    c0: vec4<f32>,
    c1: vec4<f32>,
    c2: vec4<f32>,
    c3: vec4<f32>,
    c4: vec4<f32>,
    c5: vec4<f32>,
    c6: vec4<f32>,
    c7: vec4<f32>,
}

// c + a·b: four terms of the sum.
fn add_products(a: Rows, b: Block, c: Strip) -> Strip {
    return Strip(
        add_row(a.r0, b, c.c0),
        add_row(a.r1, b, c.c1),
        add_row(a.r2, b, c.c2),
        add_row(a.r3, b, c.c3),
        add_row(a.r4, b, c.c4),
        add_row(a.r5, b, c.c5),
        add_row(a.r6, b, c.c6),
        add_row(a.r7, b, c.c7),
    );
}

fn add_row(a: vec4<f32>, b: Block, c: vec4<f32>) -> vec4<f32> {
    return fma(vec4(a.w), b.b3, fma(vec4(a.z), b.b2, fma(vec4(a.y), b.b1, fma(vec4(a.x), b.b0, c))));
}

// Four pieces of columns (or of rows of a transposed matrix) as four rows.
fn transposed(p: vec4<f32>, q: vec4<f32>, r: vec4<f32>, s: vec4<f32>) -> Block {
    return Block(
        vec4(p.x, q.x, r.x, s.x),
        vec4(p.y, q.y, r.y, s.y),
        vec4(p.z, q.z, r.z, s.z),
        vec4(p.w, q.w, r.w, s.w),
    );
}

fn moved_up(c: Strip) -> Strip {
    return Strip(c.c1, c.c2, c.c3, c.c4, c.c5, c.c6, c.c7, c.c0);
}

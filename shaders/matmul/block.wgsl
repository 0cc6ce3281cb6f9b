// The arithmetic of matrix products on blocks that are held in named variables (registers).

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

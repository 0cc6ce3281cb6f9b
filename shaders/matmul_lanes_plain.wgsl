// Lanes without subgroups: a workgroup of 8 × 8 invocations covers 64 rows × 32 columns; each lane
// loads what it needs.
override LANES: u32 = 64u;

fn block_row(tile: u32, lane: u32) -> u32 {
    return (tile / dims.tiles_across) * 64u + (lane / 8u) * 8u;
}

// Neighbouring lanes take neighbouring columns: their loads of B and stores of C are contiguous.
fn block_column(tile: u32, lane: u32) -> u32 {
    return (tile % dims.tiles_across) * 32u + (lane % 8u) * 4u;
}

// A[row .. row + 8][k .. k + 4]; A is m×k.
struct Rows {
    v: array<vec4<f32>, 8>,
}

fn load_rows(row: u32, k: u32, lane: u32) -> Rows {
    return Rows(array(
        load_a(row, k, dims.m, dims.k),
        load_a(row + 1u, k, dims.m, dims.k),
        load_a(row + 2u, k, dims.m, dims.k),
        load_a(row + 3u, k, dims.m, dims.k),
        load_a(row + 4u, k, dims.m, dims.k),
        load_a(row + 5u, k, dims.m, dims.k),
        load_a(row + 6u, k, dims.m, dims.k),
        load_a(row + 7u, k, dims.m, dims.k),
    ));
}

fn row0(rows: Rows) -> vec4<f32> { return rows.v[0]; }
fn row1(rows: Rows) -> vec4<f32> { return rows.v[1]; }
fn row2(rows: Rows) -> vec4<f32> { return rows.v[2]; }
fn row3(rows: Rows) -> vec4<f32> { return rows.v[3]; }
fn row4(rows: Rows) -> vec4<f32> { return rows.v[4]; }
fn row5(rows: Rows) -> vec4<f32> { return rows.v[5]; }
fn row6(rows: Rows) -> vec4<f32> { return rows.v[6]; }
fn row7(rows: Rows) -> vec4<f32> { return rows.v[7]; }

// A[k .. k + 4][row .. row + 8], for Aᵀ; A is k×m. Each k has a low and a high half of four rows.
struct Columns {
    v: array<vec4<f32>, 8>,
}

fn load_columns(k: u32, row: u32, lane: u32) -> Columns {
    return Columns(array(
        load_a(k, row, dims.k, dims.m),
        load_a(k, row + 4u, dims.k, dims.m),
        load_a(k + 1u, row, dims.k, dims.m),
        load_a(k + 1u, row + 4u, dims.k, dims.m),
        load_a(k + 2u, row, dims.k, dims.m),
        load_a(k + 2u, row + 4u, dims.k, dims.m),
        load_a(k + 3u, row, dims.k, dims.m),
        load_a(k + 3u, row + 4u, dims.k, dims.m),
    ));
}

fn low0(columns: Columns) -> vec4<f32> { return columns.v[0]; }
fn high0(columns: Columns) -> vec4<f32> { return columns.v[1]; }
fn low1(columns: Columns) -> vec4<f32> { return columns.v[2]; }
fn high1(columns: Columns) -> vec4<f32> { return columns.v[3]; }
fn low2(columns: Columns) -> vec4<f32> { return columns.v[4]; }
fn high2(columns: Columns) -> vec4<f32> { return columns.v[5]; }
fn low3(columns: Columns) -> vec4<f32> { return columns.v[6]; }
fn high3(columns: Columns) -> vec4<f32> { return columns.v[7]; }

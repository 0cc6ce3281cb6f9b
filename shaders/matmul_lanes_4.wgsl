// Lanes in subgroups of 4: as `matmul_lanes_8`, but every lane holds two pieces of A.
override LANES: u32 = 4u;

fn block_row(tile: u32, lane: u32) -> u32 {
    return (tile / dims.tiles_across) * 8u;
}

// Neighbouring lanes take neighbouring columns: their loads of B and stores of C are contiguous.
fn block_column(tile: u32, lane: u32) -> u32 {
    return (tile % dims.tiles_across) * (4u * LANES) + lane * 4u;
}

// A[row .. row + 8][k .. k + 4]; A is m×k. Lane i holds rows i and i + 4.
struct Rows {
    first: vec4<f32>,
    second: vec4<f32>,
}

fn load_rows(row: u32, k: u32, lane: u32) -> Rows {
    return Rows(
        load_a(row + lane, k, dims.m, dims.k),
        load_a(row + 4u + lane, k, dims.m, dims.k),
    );
}

fn row0(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.first, 0u); }
fn row1(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.first, 1u); }
fn row2(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.first, 2u); }
fn row3(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.first, 3u); }
fn row4(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.second, 0u); }
fn row5(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.second, 1u); }
fn row6(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.second, 2u); }
fn row7(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.second, 3u); }

// A[k .. k + 4][row .. row + 8], for Aᵀ; A is k×m. Each k has a low and a high half of four rows:
// of k and k + 1 in `first`, of k + 2 and k + 3 in `second`; even lanes hold low halves.
struct Columns {
    first: vec4<f32>,
    second: vec4<f32>,
}

fn load_columns(k: u32, row: u32, lane: u32) -> Columns {
    let column = row + (lane % 2u) * 4u;
    return Columns(
        load_a(k + lane / 2u, column, dims.k, dims.m),
        load_a(k + 2u + lane / 2u, column, dims.k, dims.m),
    );
}

fn low0(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.first, 0u); }
fn high0(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.first, 1u); }
fn low1(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.first, 2u); }
fn high1(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.first, 3u); }
fn low2(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.second, 0u); }
fn high2(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.second, 1u); }
fn low3(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.second, 2u); }
fn high3(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.second, 3u); }

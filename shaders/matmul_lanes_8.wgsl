// Lanes in subgroups of 8 or more: a workgroup is one subgroup, covers 8 rows × (4 × LANES) columns,
// and all its lanes share the rows. Each value of A is loaded by one lane and broadcast from there,
// which costs a fraction of a load.
override LANES: u32 = 8u;

fn block_row(tile: u32, lane: u32) -> u32 {
    return (tile / dims.tiles_across) * 8u;
}

// Neighbouring lanes take neighbouring columns: their loads of B and stores of C are contiguous.
fn block_column(tile: u32, lane: u32) -> u32 {
    return (tile % dims.tiles_across) * (4u * LANES) + lane * 4u;
}

// A[row .. row + 8][k .. k + 4]; A is m×k. Lane i holds row i.
struct Rows {
    mine: vec4<f32>,
}

fn load_rows(row: u32, k: u32, lane: u32) -> Rows {
    return Rows(load_a(row + lane % 8u, k, dims.m, dims.k));
}

fn row0(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.mine, 0u); }
fn row1(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.mine, 1u); }
fn row2(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.mine, 2u); }
fn row3(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.mine, 3u); }
fn row4(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.mine, 4u); }
fn row5(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.mine, 5u); }
fn row6(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.mine, 6u); }
fn row7(rows: Rows) -> vec4<f32> { return subgroupBroadcast(rows.mine, 7u); }

// A[k .. k + 4][row .. row + 8], for Aᵀ; A is k×m. Each k has a low and a high half of four rows:
// lane 2i holds the low half of k + i, lane 2i + 1 the high half.
struct Columns {
    mine: vec4<f32>,
}

fn load_columns(k: u32, row: u32, lane: u32) -> Columns {
    return Columns(load_a(k + (lane % 8u) / 2u, row + (lane % 2u) * 4u, dims.k, dims.m));
}

fn low0(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.mine, 0u); }
fn high0(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.mine, 1u); }
fn low1(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.mine, 2u); }
fn high1(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.mine, 3u); }
fn low2(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.mine, 4u); }
fn high2(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.mine, 5u); }
fn low3(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.mine, 6u); }
fn high3(columns: Columns) -> vec4<f32> { return subgroupBroadcast(columns.mine, 7u); }

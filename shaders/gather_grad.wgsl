// out[r, c] = Σ dy[k, c] over all k with indices[k] = r. out is rows×width, count elements; dy is
// n×width. Each invocation reads all indices, so the order of the additions is that of k.
// An index past the last row counts as the last row, as in gather.

struct Dims {
    count: u32,
    width: u32,
    rows: u32,
    n: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// Sums are taken over blocks of this many indices, then over blocks.
const BLOCK: u32 = 32u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + lane;
    if (i >= dims.count) {
        return;
    }
    let row = i / dims.width;
    let column = i % dims.width;
    var sum = 0.0;
    for (var start = 0u; start < dims.n; start += BLOCK) {
        var block = 0.0;
        for (var k = start; k < min(start + BLOCK, dims.n); k++) {
            if (min(indices[k], dims.rows - 1u) == row) {
                block += dy[k * dims.width + column];
            }
        }
        sum += block;
    }
    out[i] = sum;
}

// Parts: shared/prelude.
//
// out[r, c] = Σ dy[k, c] over all k with indices[k] = r. out is rows×width, count elements; dy is
// n×width. Each invocation reads all indices, so the order of the additions is that of k.
// With parts, part p adds up the share p·share .. (p + 1)·share of the indices, into an out of its
// own (count elements each).
// An index past the last row is no row's: gather gave NaN for it.

struct Dims {
    count: u32,
    width: u32,
    n: u32,
    share: u32,
    parts: u32,
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
    @builtin(local_invocation_index) invocation: u32,
) {
    let at = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    let part = at / dims.count;
    let i = at % dims.count;
    if (part >= dims.parts) {
        return;
    }
    let last = min((part + 1u) * dims.share, dims.n);
    let row = i / dims.width;
    let column = i % dims.width;
    var sum = 0.0;
    for (var start = part * dims.share; start < last; start += BLOCK) {
        var block = 0.0;
        for (var k = start; k < min(start + BLOCK, last); k++) {
            if (indices[k] == row) {
                block += dy[k * dims.width + column];
            }
        }
        sum += block;
    }
    out[at] = sum;
}

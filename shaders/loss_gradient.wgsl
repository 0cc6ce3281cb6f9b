// gradient = scale · upstream · ∂ Σ item(i) / ∂ predictions. A loss_*.wgsl before this file says
// what an item is. An item has LINE_LANES invocations; scale is 1 / the number of elements or of rows,
// since losses are means.

struct Dims {
    items: u32,
    columns: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(4) var<storage, read> upstream: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<Piece>;

const EMITS: bool = true;

fn emit(index: u32, value: Piece) {
    gradient[index] = value;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * (256u / LINE_LANES) + lane / LINE_LANES;
    _ = item(i, i < dims.items, lane, upstream[0] * dims.scale);
}

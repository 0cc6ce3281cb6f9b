// Parts: shared/prelude, update/clip, update/guard, update/no_clip.
//
// Momentum: d = g + λ·w; v = μ·v + d; w -= η·v, or with Nesterov w -= η·(d + μ·v).
// η is the step's learning rate, g is clipped. values, gradients and state1 (v) are count
// pieces of four elements of an arena.

override NESTEROV: bool;

struct Dims {
    count: u32,
    loss_stride: u32,
    loss_column: u32,
    weight_decay: f32,
    momentum: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> values: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> state1: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i >= dims.count || halted()) {
        return;
    }
    let w = values[i];
    let d = clipped(gradients[i]) + dims.weight_decay * w;
    let old_v = state1[i];
    let v = dims.momentum * old_v + d;
    let direction = select(v, d + dims.momentum * v, NESTEROV);
    let new_w = w - step.learning_rate * direction;
    let sound = finite(new_w) & finite(v);
    if (!all(sound)) {
        report(2u);
    }
    values[i] = select(w, new_w, sound);
    state1[i] = select(old_v, v, sound);
}

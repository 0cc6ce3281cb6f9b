// Parts: shared/prelude, update/clip, update/guard, update/no_clip.
//
// Stochastic gradient descent: w -= η·(g + λ·w), η the step's learning rate, g clipped.
// values and gradients are count pieces of four elements of an arena.

struct Dims {
    count: u32,
    loss_stride: u32,
    loss_column: u32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> values: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gradients: array<vec4<f32>>;

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
    let new_w = w - step.learning_rate * d;
    let sound = finite(new_w);
    if (!all(sound)) {
        report(2u);
    }
    values[i] = select(w, new_w, sound);
}

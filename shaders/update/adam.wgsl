// Parts: shared/prelude, update/clip, update/guard, update/no_clip.
//
// Adam: d = g + λ·w, g clipped; m = β₁·m + (1-β₁)·d; v = β₂·v + (1-β₂)·d²;
// w -= η·(m·c₁) / (√(v·c₂) + ε), c₁ and c₂ the step's corrections.
// Decoupled (AdamW): d = g, and w -= η·λ·w besides.
// values, gradients, state1 (m) and state2 (v) are count pieces of four elements of an arena.

override DECOUPLED: bool;

struct Dims {
    count: u32,
    loss_stride: u32,
    loss_column: u32,
    weight_decay: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> values: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> state1: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> state2: array<vec4<f32>>;

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
    let decay = dims.weight_decay * w;
    let d = clipped(gradients[i]) + select(decay, vec4<f32>(), DECOUPLED);
    // For β from ½ to 1, where it matters, 1 - β is exact.
    let old_m = state1[i];
    let old_v = state2[i];
    let m = dims.beta1 * old_m + (1.0 - dims.beta1) * d;
    let v = dims.beta2 * old_v + (1.0 - dims.beta2) * d * d;
    let direction = (m * step.correction1) / (sqrt(v * step.correction2) + dims.epsilon);
    let new_w = w - step.learning_rate * (direction + select(vec4<f32>(), decay, DECOUPLED));
    let sound = finite(new_w) & finite(m) & finite(v);
    if (!all(sound)) {
        report(2u);
    }
    values[i] = select(w, new_w, sound);
    state1[i] = select(old_m, m, sound);
    state2[i] = select(old_v, v, sound);
}

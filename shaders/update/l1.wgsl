// The L1 penalty λ·|w|: its derivative is λ·sign(w), 0 where w is 0.
override L1: f32;

fn penalized(w: vec4<f32>, gradients: vec4<f32>) -> vec4<f32> {
    return gradients + L1 * vec4(sign_of(w.x), sign_of(w.y), sign_of(w.z), sign_of(w.w));
}

// The derivatives of all activations are computed from their outputs.
fn save_input(to: Outputs, at: u32, z: vec4<f32>) {}

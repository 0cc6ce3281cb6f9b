// Epilogue (A·B) ⊙ f'(saved): the gradient passes through the activation below the layer.
@group(0) @binding(4) var<storage, read> saved: array<f32>;
override FUNCTION: u32 = 0u;

fn finish(at: u32, column: u32, value: f32) -> f32 {
    return value * activation_grad(FUNCTION, saved[at]);
}

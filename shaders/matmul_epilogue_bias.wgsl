// Epilogue f(A·B + bias): a layer's bias-add and activation, without a trip through memory.
@group(0) @binding(4) var<storage, read> bias: array<f32>;
override FUNCTION: u32 = 0u;

fn finish(at: u32, column: u32, value: f32) -> f32 {
    return activate(FUNCTION, value + bias[column]);
}

// Parts: shared/prelude.
//
// value[result_row · result_stride + result_column] = scalar[0]: copies a number to the results
// that the host reads.

struct Dims {
    result_stride: u32,
    result_column: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> scalar: array<f32>;
@group(0) @binding(3) var<storage, read_write> value: array<f32>;

@compute @workgroup_size(1)
fn main() {
    value[step.result_row * dims.result_stride + dims.result_column] = scalar[0];
}

// Parts: shared/prelude, shared/tree_sum.
//
// value[result_row · result_stride + result_column] = Σ partials[i], i < count: the second dispatch
// of a sum over many items. One workgroup.

struct Dims {
    count: u32,
    result_stride: u32,
    result_column: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> partials: array<f32>;
@group(0) @binding(3) var<storage, read_write> value: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(local_invocation_index) invocation: u32) {
    var sum = 0.0;
    for (var i = invocation; i < dims.count; i += INVOCATIONS) {
        sum += partials[i];
    }
    let total = tree_sum(invocation, sum);
    if (invocation == 0u) {
        value[step.result_row * dims.result_stride + dims.result_column] = total;
    }
}

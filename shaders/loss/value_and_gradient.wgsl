// Parts: shared/line, shared/log1p, shared/prelude, shared/tree_sum, shared/words, piece:*, softmax/row,
// element:*, loss/binary_cross_entropy, loss/found, loss/huber, loss/huber_delta, loss/items_are_elements,
// loss/items_are_labelled_rows, loss/items_are_rows_of_probabilities, loss/items_of_four, loss/items_of_one,
// loss/mean_absolute_error, loss/mean_squared_error, loss/no_weights, loss/piece_4, loss/piece_words,
// loss/softmax_cross_entropy, loss/softmax_cross_entropy_probabilities, loss/weights.
//
// loss/value.wgsl and loss/gradient.wgsl in one dispatch: value = factor · Σ item(i), and
// gradient = scale · ∂ Σ item(i) / ∂ predictions, where scale is a constant.
// Workgroup g takes share items from g·share on and writes its sum to
// value[g + result_row · result_stride + result_column].

struct Dims {
    items: u32,
    columns: u32,
    share: u32,
    factor: f32,
    scale: f32,
    result_stride: u32,
    result_column: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(4) var<storage, read_write> value: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<Piece>;

const EMITS: bool = true;

fn emit(index: u32, value: Piece) {
    gradient[index] = value;
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let end = min((group + 1u) * dims.share, dims.items);
    var sum = 0.0;
    for (var first = group * dims.share; first < end; first += INVOCATIONS / LINE_INVOCATIONS) {
        let i = first + invocation / LINE_INVOCATIONS;
        sum += item(i, i < end, invocation, dims.scale);
    }
    let total = tree_sum(invocation, sum);
    // Every workgroup has items, except for the surplus of the dispatch.
    if (invocation == 0u && group * dims.share < dims.items) {
        value[group + step.result_row * dims.result_stride + dims.result_column] = total * dims.factor;
    }
}

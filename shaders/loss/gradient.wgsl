// Parts: shared/line, shared/log1p, shared/prelude, shared/words, piece:*, softmax/row, element:*,
// loss/binary_cross_entropy, loss/found, loss/huber, loss/huber_delta, loss/items_are_elements,
// loss/items_are_labelled_rows, loss/items_are_rows_of_probabilities, loss/items_of_four, loss/items_of_one,
// loss/mean_absolute_error, loss/mean_squared_error, loss/no_weights, loss/piece_4, loss/piece_words,
// loss/softmax_cross_entropy, loss/softmax_cross_entropy_probabilities, loss/weights.
//
// gradient = scale · upstream · ∂ Σ item(i) / ∂ predictions. A file of the loss before this one says
// what an item is. An item has LINE_INVOCATIONS invocations; scale is 1 / the number of elements or of rows,
// since losses are means.

struct Dims {
    items: u32,
    columns: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(4) var<storage, read> upstream: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<Piece>;

const EMITS: bool = true;

fn emit(index: u32, value: Piece) {
    gradient[index] = value;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * (256u / LINE_INVOCATIONS) + invocation / LINE_INVOCATIONS;
    _ = item(i, i < dims.items, invocation, upstream[0] * dims.scale);
}

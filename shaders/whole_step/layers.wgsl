// What the kernel in memory has for each workgroup, as much for every one and in this order: the results, a
// row per step (the loss, then a sum per metric); how far the turns have come; the parameters, the
// optimizer's state, the gradients of even turns and those of odd ones; then what the layers compute.
//
// Where what lies is in the table of layers. Matrices lie row by row in fours of numbers; rows are filled up
// with zeros, and where a matrix has fours of rows, the last ones too: with rows of zeros, or of a batch with
// its last row again, whose error is 0. What a product reads beyond a matrix goes into sums that are not stored.
@group(0) @binding(5) var<storage, read_write> memory: array<Four>;

fn load_four(at: u32) -> vec4<f32> {
    return numbers_of(memory[at]);
}

fn store_four(at: u32, v: vec4<f32>) {
    memory[at] = four_of(v);
}

// A layer. Places are in fours of numbers from the beginning of a workgroup's memory; those in arenas in
// numbers.
struct Layer {
    inputs: u32,
    units: u32,
    weights_at: u32,
    bias_at: u32,
    // inputs × units, then a row of biases.
    weights: u32,
    // Rows × inputs: the outputs of the layer below, and what its derivative is computed from.
    below: u32,
    saved_below: u32,
    // Rows × units: the outputs, what the derivative is computed from, and ∂ loss / ∂ the outputs before
    // the activation.
    above: u32,
    saved: u32,
    error: u32,
    error_below: u32,
    // The activations, by their place among those of the net.
    function: u32,
    function_below: u32,
    unused1: u32,
    unused2: u32,
    unused3: u32,
}

@group(0) @binding(7) var<uniform> layers: array<Layer, LAYERS>;

// A workgroup, of those that share the rows of a batch.
struct Sharer {
    number: u32,
    count: u32,
    // Fours of each one's memory, and where this one's begins.
    size: u32,
    own: u32,
}

// Layer l, where the workgroup has it.
fn layer_of(l: u32, own: u32) -> Layer {
    var layer = layers[l];
    layer.weights += own;
    layer.below += own;
    layer.saved_below += own;
    layer.above += own;
    layer.saved += own;
    layer.error += own;
    layer.error_below += own;
    return layer;
}

// The four before the parameters.
const PROGRESS: u32 = FIRST - 1u;

// Where the gradients of turn t lie, counted from the parameters. While a workgroup writes those of a
// turn, others may still read those of the turn before.
fn gradients_at(t: u32) -> u32 {
    return (STATES + 1u) * PARAMETERS + t % 2u * TOTALS;
}

fn fours(numbers: u32) -> u32 {
    return (numbers + 3u) / 4u;
}

// v, with zeros from `count` on, where v holds numbers first, first + 1 ….
fn filled_up(v: vec4<f32>, first: u32, count: u32) -> vec4<f32> {
    return select(vec4<f32>(), v, vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(count));
}

// `numbers` with `value` at place i. Older compilers of DirectX know no stores to numbers[i].
fn with_number(numbers: vec4<f32>, i: u32, value: f32) -> vec4<f32> {
    return select(numbers, vec4(value), vec4(0u, 1u, 2u, 3u) == vec4(i));
}

fn set_number(at: u32, value: f32) {
    store_four(at / 4u, with_number(load_four(at / 4u), at % 4u, value));
}

// The batch's row r, or its last one.
fn row_of(record: Record, r: u32) -> u32 {
    return order[record.batch_start + min(r, record.rows - 1u)];
}

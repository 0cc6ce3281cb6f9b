// The matrix products of the kernel in memory, those of matmul/registers.wgsl: an invocation adds up STRIPS
// strips of 8 rows × 4 columns.

// Invocations lie ACROSS side by side; the others are HEIGHT rows further down.
const HEIGHT: u32 = 8u * STRIPS;
const TILE_ROWS: u32 = INVOCATIONS / ACROSS * HEIGHT;
const TILE_COLUMNS: u32 = 4u * ACROSS;

// Where the left operand lies, and the fours of its rows.
var<private> a_first: u32;
var<private> a_stride: u32;

fn a_at(row: u32, column: u32) -> vec4<f32> {
    return load_four(a_first + row * a_stride + column / 4u);
}

// Four rows of the right operand, from `at` on, `stride` apart.
fn block_at(at: u32, stride: u32) -> Block {
    return Block(load_four(at), load_four(at + stride), load_four(at + 2u * stride), load_four(at + 3u * stride));
}

// Where outputs, or errors below, go.
struct Outputs {
    layer: Layer,
    backward: bool,
    bias: u32,
    rows: u32,
    column: u32,
    columns: u32,
}

// Forward, a layer's outputs: f(below·weights + bias). Backward, the error of the layer below it:
// error·weightsᵀ, times the slope of that layer's activation. One loop for both, since its code is most
// of what has to be compiled.
fn outputs_or_error_below(layer: Layer, backward: bool, rows: u32, invocation: u32) {
    let across = fours(layer.units);
    let columns = select(layer.units, layer.inputs, backward);
    let terms = select(layer.inputs, layer.units, backward);
    a_first = select(layer.below, layer.error, backward);
    a_stride = fours(terms);
    for (var tile_row = 0u; tile_row < rows; tile_row += TILE_ROWS) {
        for (var tile_column = 0u; tile_column < columns; tile_column += TILE_COLUMNS) {
            let row = tile_row + invocation / ACROSS * HEIGHT;
            let column = tile_column + invocation % ACROSS * 4u;
            var c = Strips();
            for (var k = 0u; k < terms; k += 4u) {
                let at = layer.weights + select(k * across + column / 4u, column * across + k / 4u, backward);
                var b = block_at(at, across);
                let t = transposed(b.b0, b.b1, b.b2, b.b3);
                b = Block(
                    select(b.b0, t.b0, backward),
                    select(b.b1, t.b1, backward),
                    select(b.b2, t.b2, backward),
                    select(b.b3, t.b3, backward),
                );
                c = add_along_k(row, k, b, c, invocation);
            }
            let bias = layer.weights + 4u * fours(layer.inputs) * across + column / 4u;
            let to = Outputs(layer, backward, bias, rows, column, columns);
            // Rows to store: 8, but a number that the compiler does not know, or it writes them out.
            let up = min(8u, rows);
            for (var i = 0u; i < up; i += 1u) {
                finish_rows(to, row + i, c);
                c = strips_moved_up(c);
            }
        }
    }
}

// One load and one store serve both directions: what is in a branch costs as much where it is not taken.
fn finish_row(to: Outputs, row: u32, sum: vec4<f32>) {
    let layer = to.layer;
    if (row < to.rows) & (to.column < to.columns) {
        let at = row * fours(to.columns) + to.column / 4u;
        let beside = load_four(select(to.bias, layer.saved_below + at, to.backward));
        let z = sum + beside;
        let y = vec4(
            activated(layer.function, z.x),
            activated(layer.function, z.y),
            activated(layer.function, z.z),
            activated(layer.function, z.w),
        );
        let slopes = vec4(
            slope(layer.function_below, beside.x),
            slope(layer.function_below, beside.y),
            slope(layer.function_below, beside.z),
            slope(layer.function_below, beside.w),
        );
        let result = select(y, sum * slopes, to.backward);
        let outputs = select(layer.above, layer.error_below, to.backward);
        store_four(outputs + at, filled_up(result, to.column, to.columns));
        save_input(to, at, z);
    }
}

// Where gradients go.
struct Gradients {
    first: u32,
    height: u32,
    across: u32,
    column: u32,
    columns: u32,
}

// Gradients of a layer's weights, belowᵀ·error, and of its biases, the column sums of the error.
fn weight_gradient(layer: Layer, first: u32, rows: u32, invocation: u32) {
    let across = fours(layer.units);
    a_first = layer.below;
    a_stride = fours(layer.inputs);
    for (var tile_row = 0u; tile_row < layer.inputs; tile_row += TILE_ROWS) {
        for (var tile_column = 0u; tile_column < layer.units; tile_column += TILE_COLUMNS) {
            let row = tile_row + invocation / ACROSS * HEIGHT;
            let column = tile_column + invocation % ACROSS * 4u;
            var c = Strips();
            var sums = vec4<f32>();
            for (var k = 0u; k < rows; k += 4u) {
                let b = block_at(layer.error + k * across + column / 4u, across);
                sums += (b.b0 + b.b1) + (b.b2 + b.b3);
                c = add_across_k(row, k, b, c, invocation);
            }
            let to = Gradients(first, 4u * a_stride, across, column, layer.units);
            if (row == 0u) & (column < layer.units) {
                store_four(first + to.height * across + column / 4u, sums);
            }
            let up = min(8u, layer.inputs);
            for (var i = 0u; i < up; i += 1u) {
                store_rows(to, row + i, c);
                c = strips_moved_up(c);
            }
        }
    }
}

fn store_row(to: Gradients, row: u32, sum: vec4<f32>) {
    if (row < to.height) & (to.column < to.columns) {
        store_four(to.first + row * to.across + to.column / 4u, sum);
    }
}

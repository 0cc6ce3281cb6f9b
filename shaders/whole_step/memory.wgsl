// Parts: without:*, elementwise/functions, shared/log1p, shared/norm, shared/prelude, shared/words, element:*,
// net:*, rule_of_numbers:*, loss/binary_cross_entropy, loss/count_correct, loss/count_correct_binary,
// loss/found, loss/huber, loss/mean_absolute_error, loss/mean_squared_error, loss/softmax_cross_entropy,
// loss/softmax_cross_entropy_probabilities, matmul/block, matmul/rows_alone, matmul/rows_subgroup_4,
// matmul/rows_subgroup_8, update/rule_*, whole_step/clip, whole_step/features_in_fours,
// whole_step/features_one_by_one, whole_step/fours, whole_step/fours_in_words, whole_step/huber_delta,
// whole_step/invocation_of_subgroup, whole_step/invocation_of_workgroup, whole_step/layers,
// whole_step/loss_of_elements, whole_step/loss_of_labels, whole_step/loss_of_probabilities,
// whole_step/memory_clip, whole_step/memory_no_clip, whole_step/no_clip, whole_step/products,
// whole_step/row_of_logits, whole_step/run, whole_step/saved_inputs, whole_step/strips_1, whole_step/strips_4,
// whole_step/total_alone, whole_step/total_shared, whole_step/update.
//
// The training kernel for nets whose numbers do not fit registers. Weights, gradients, the optimizer's
// state and what the layers compute lie in memory that a workgroup has for itself, and that stays in the
// caches of the one core that works on it.
//
// Steps go by turns: the update of the step before, then the gradients of the next. One workgroup takes
// all turns in one dispatch, as the kernel in registers does. Several share the rows of each batch and take a
// turn per dispatch: each adds up what all found in the last one, in the same order, and so comes to the
// same parameters as the others.

fn load_rows(record: Record, first_row: u32, rows: u32, first: u32, invocation: u32) {
    for (var i = invocation; i < rows * INPUT_FOURS; i += INVOCATIONS) {
        let row = row_of(record, first_row + i / INPUT_FOURS);
        memory[first + i] = four_of_features(row, i % INPUT_FOURS);
    }
    storageBarrier();
}

// Fours q of a row of a layer's parameters, or of its biases, in memory and in the arenas.
struct Place {
    // In memory.
    at: u32,
    // In the arenas: where the row begins, and whether there is such a row.
    begin: u32,
    inside: bool,
    // Numbers of the row before these, and in all.
    first: u32,
    units: u32,
}

fn load_parameters(own: u32, invocation: u32) {
    for (var l = 0u; l < run.layers; l += 1u) {
        let layer = layer_of(l, own);
        let across = fours(layer.units);
        for (var row = 0u; row <= 4u * fours(layer.inputs); row += 1u) {
            for (var q = invocation; q < across; q += INVOCATIONS) {
                load_states(place_of(layer, row, q));
            }
        }
    }
    storageBarrier();
}

fn store_parameters(own: u32, invocation: u32) {
    for (var l = 0u; l < run.layers; l += 1u) {
        let layer = layer_of(l, own);
        let across = fours(layer.units);
        for (var row = 0u; row <= 4u * fours(layer.inputs); row += 1u) {
            for (var q = invocation; q < across; q += INVOCATIONS) {
                store_states(place_of(layer, row, q));
            }
        }
    }
}

fn place_of(layer: Layer, row: u32, q: u32) -> Place {
    let is_bias = row == 4u * fours(layer.inputs);
    let begin = select(layer.weights_at + row * layer.units, layer.bias_at, is_bias);
    let at = layer.weights + row * fours(layer.units) + q;
    return Place(at, begin, (row < layer.inputs) | is_bias, 4u * q, layer.units);
}

// The gradients of turn t, of the workgroup's rows. Rows are dealt out in fours; the last workgroups may
// have none, and gradients of 0.
fn find_gradients(t: u32, sharer: Sharer, invocation: u32) {
    let record = run.records[t];
    let fours_of_batch = fours(record.rows);
    let fours_each = (fours_of_batch + sharer.count - 1u) / sharer.count;
    let first = min(sharer.number * fours_each, fours_of_batch);
    let rows = 4u * min(fours_each, fours_of_batch - first);
    load_rows(record, 4u * first, rows, layer_of(0u, sharer.own).below, invocation);
    // Up through the layers, and down again.
    for (var n = 0u; n < 2u * run.layers; n += 1u) {
        let backward = n >= run.layers;
        let layer = layer_of(select(n, 2u * run.layers - 1u - n, backward), sharer.own);
        if backward {
            weight_gradient(layer, layer.weights + gradients_at(t), rows, invocation);
        }
        // The features need no gradient.
        if n + 1u < 2u * run.layers {
            outputs_or_error_below(layer, backward, rows, invocation);
        }
        storageBarrier();
        if n + 1u == run.layers {
            let sums = loss_of_rows(layer, record, 4u * first, rows, invocation);
            let behind = sharer.own + FIRST + gradients_at(t) + PARAMETERS;
            put_sums(sums, 4u * behind, invocation);
            storageBarrier();
        }
    }
}

// The first step that went wrong: its number among the turns, plus one, or 0; and what did.
struct Halt {
    at: u32,
    by: u32,
}

// The update by the gradients of turn t, unless an earlier step went wrong or this one does.
fn move_parameters(t: u32, halt: Halt, sharer: Sharer, invocation: u32) -> Halt {
    let record = run.records[t];
    var sums = totals(t, sharer);
    sums.loss *= record.share;
    var wrong = select(0u, 1u, !is_finite(sums.loss));
    let clipping = clipping_of(t, sharer, invocation);
    wrong = select(wrong, 2u, (wrong == 0u) & !is_finite(clipping.z));
    let halted = (halt.at != 0u) | (status[0] != 0u);
    let by = update_of(record, !halted & (wrong == 0u), clipping.xy);
    var overflows = false;
    for (var i = invocation; i < PARAMETERS; i += INVOCATIONS) {
        overflows = move_four(by, sharer.own + FIRST + i, total(t, i, sharer)) | overflows;
    }
    let overflow = invocation_sum(select(0.0, 1.0, overflows), invocation);
    wrong = select(wrong, 2u, (wrong == 0u) & (overflow > 0.0));
    // All have the same results; the host reads those of the first.
    if invocation == 0u {
        put_results(sums, 4u * sharer.own + t * COLUMNS);
    }
    storageBarrier();
    let goes_wrong = !halted & (wrong != 0u);
    return Halt(select(halt.at, t + 1u, goes_wrong), select(halt.by, wrong, goes_wrong));
}

// The turn to begin with, and the number of steps. The latter is read from here since lavapipe compiles
// the kernel anew, 50 ms, for every number in a uniform that a branch depends on.
var<workgroup> bounds: vec2<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    mine: Invocation,
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let invocation = mine.number;
    let size = arrayLength(&memory) / workgroups.x;
    let sharer = Sharer(workgroup.x, workgroups.x, size, workgroup.x * size);
    // The turn, and the halt, from one dispatch of a submission to the next.
    let progress = vec4<u32>(load_four(sharer.own + PROGRESS));
    if invocation == 0u {
        bounds = vec2(progress.x, run.steps);
    }
    let of_all_invocations = workgroupUniformLoad(&bounds);
    let first = of_all_invocations.x;
    let steps = of_all_invocations.y;
    let end = select(first + 1u, steps + 1u, sharer.count == 1u);
    if first == 0u {
        load_parameters(sharer.own, invocation);
    }
    var halt = Halt(progress.y, progress.z);
    for (var t = first; t < end; t += 1u) {
        // After the last step, what one of them has is enough.
        if (t > 0u) & ((t < steps) | (sharer.number == 0u)) {
            halt = move_parameters(t - 1u, halt, sharer, invocation);
        }
        if t < steps {
            find_gradients(t, sharer, invocation);
        }
    }
    let is_last = end > steps;
    if is_last & (sharer.number == 0u) {
        store_parameters(sharer.own, invocation);
        if (invocation == 0u) & (halt.at != 0u) {
            report(halt.at - 1u, halt.by);
        }
    }
    if invocation == 0u {
        let now = vec4<f32>(vec4(end, halt.at, halt.by, 0u));
        store_four(sharer.own + PROGRESS, select(now, vec4<f32>(), is_last));
    }
}

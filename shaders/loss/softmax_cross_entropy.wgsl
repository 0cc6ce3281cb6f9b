// The softmax cross-entropy of a row of logits z with a class label: -ln softmax(z)[label]
// = ln Σ exp(z - top) - (z[label] - top), where top is the largest logit; gradient softmax(z), minus 1 at the
// label. `rest` is Σ exp(z - top) over all logits but the first largest, which would add exactly 1.

fn softmax_cross_entropy(rest: f32, top: f32, at_label: f32) -> f32 {
    return log1p(rest) - (at_label - top);
}

// The derivative by a logit, of which `power` is exp(z - top).
fn softmax_cross_entropy_gradient(power: f32, rest: f32, is_label: bool, is_top: bool) -> f32 {
    let sum = 1.0 + rest;
    let share = power / sum;
    // At the label 1/sum - 1 would cancel if it is the top.
    return select(share, select(share - 1.0, -rest / sum, is_top), is_label);
}

// The host checks labels; one past the last class, in a buffer of the app's, makes NaN of the loss and of
// the row's gradient.
fn rest_with_label(rest: f32, label: u32, classes: u32) -> f32 {
    return select(not_a_number(rest), rest, label < classes);
}

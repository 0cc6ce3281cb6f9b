//! The formulas of losses and counts: files under `shaders/loss/`, a file for each, of which all kernels are made.

use super::source::made;
use super::{Part, part};
use crate::graph::{Count, Loss};

/// The file of a loss, of which all kernels are made: functions of an element, or of a row and of its elements.
pub(super) fn of_loss(loss: Loss) -> &'static Part {
    match loss {
        Loss::MeanSquaredError => part!("loss/mean_squared_error"),
        Loss::MeanAbsoluteError => part!("loss/mean_absolute_error"),
        Loss::Huber { .. } => part!("loss/huber"),
        Loss::BinaryCrossEntropy => part!("loss/binary_cross_entropy"),
        Loss::SoftmaxCrossEntropy => part!("loss/softmax_cross_entropy"),
        Loss::SoftmaxCrossEntropyProbabilities => part!("loss/softmax_cross_entropy_probabilities"),
    }
}

/// The file of a count, of which all kernels are made: a function of an element, or of what is found of a row.
pub(super) fn of_count(count: Count) -> &'static Part {
    match count {
        Count::Correct | Count::CorrectProbabilities => part!("loss/count_correct"),
        Count::CorrectBinary => part!("loss/count_correct_binary"),
        // The items of these losses, without the division by their number.
        Count::AbsoluteError => part!("loss/mean_absolute_error"),
        Count::SquaredError => part!("loss/mean_squared_error"),
    }
}

/// The name of the function in the file of a loss or count of elements: that of the file.
pub(super) fn function(formula: &Part) -> &'static str {
    formula.name.rsplit_once('/').map_or(formula.name, |(_, name)| name)
}

/// Calls the function of a loss or count of elements `element`.
pub(super) fn element(formula: &'static Part) -> &'static Part {
    let function = function(formula);
    made(&format!("element:{function}"), || {
        format!("fn element(p: f32, t: f32) -> Found {{\n    return {function}(p, t);\n}}\n")
    })
}

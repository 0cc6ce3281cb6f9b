//! The WGSL of an activation, made from its row in [`graph::activation`](crate::graph::Unary).

use super::source::made;
use super::{Part, part};
use crate::graph::Unary;
use crate::graph::activation::{Derivative, Row};

/// The functions that the rows call.
pub(super) const FUNCTIONS: [&Part; 2] = [part!("shared/log1p"), part!("elementwise/functions")];

impl Row {
    /// The derivative, an expression of `saved`.
    pub(super) fn slope(&self) -> &'static str {
        match self.derivative {
            Derivative::FromOutput(slope) | Derivative::FromInput(slope) => slope,
        }
    }
}

/// `activate` and `activation_grad` of one number. [`FUNCTIONS`] go before, and [`constants`] with it.
pub(super) fn of_numbers(function: Unary) -> &'static Part {
    let row = function.row();
    functions(
        "activation",
        function,
        ["activate", "activation_grad"],
        "f32",
        [row.value, row.slope()],
    )
}

/// `activate_piece` and `activation_grad_piece` in the row's short form, if it has one.
pub(super) fn of_pieces(function: Unary) -> Option<&'static Part> {
    let names = ["activate_piece", "activation_grad_piece"];
    Some(functions("pieces", function, names, "Piece", function.row().pieces?))
}

/// What a shader with a part of these must be given.
pub(super) fn constants(function: Unary) -> Vec<(&'static str, f64)> {
    function.parameter().map(|(_, value)| ("PARAMETER", value.into())).into_iter().collect()
}

fn functions(
    kind: &str,
    function: Unary,
    [value, slope]: [&str; 2],
    number: &str,
    [of_x, of_saved]: [&str; 2],
) -> &'static Part {
    made(&format!("{kind}:{}", function.name()), || {
        let parameter = function.parameter().map_or("", |_| "override PARAMETER: f32;\n\n");
        format!(
            "{parameter}fn {value}(x: {number}) -> {number} {{\n    return {of_x};\n}}\n\n\
             fn {slope}(saved: {number}) -> {number} {{\n    return {of_saved};\n}}\n"
        )
    })
}

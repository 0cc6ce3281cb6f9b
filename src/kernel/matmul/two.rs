//! Two products in one dispatch, by the files of `matmul/two.wgsl`.

use super::OUT;
use crate::kernel::{Launch, Operand, Part, part};

pub(super) const SINGLE: &Part = part!("matmul/single");
pub(super) const COLUMN_SUMS: &Part = part!("matmul/column_sums");

/// What the second product has bound, by what the first has.
const SECOND: [(&str, &str); 4] = [
    ("a", "second_a"),
    ("b", "second_b"),
    ("out", "second_out"),
    ("column_sums", "second_column_sums"),
];

/// Whether `launch` is a weight gradient `Aᵀ·B` through workgroup memory, or the parts of one.
pub fn is_weight_gradient(launch: &Launch) -> bool {
    let has = |part: &'static Part| launch.parts.contains(&part);
    let is_across = (has(part!("matmul/slab_a_across")) && has(part!("matmul/slab_b_across")))
        || (has(part!("matmul/quarter_a_across")) && has(part!("matmul/quarter_b_across")));
    is_across
        && has(SINGLE)
        && has(OUT)
        && has(part!("matmul/one"))
        && has(part!("matmul/epilogue_plain"))
}

/// Both in one dispatch, if they are [weight gradients](is_weight_gradient) that differ in nothing but their operands.
/// The bits are those of two dispatches.
pub fn two(first: &Launch, second: &Launch) -> Option<Launch> {
    let alike = first.parts == second.parts
        && first.constants == second.constants
        && first.dims == second.dims
        && first.workgroups == second.workgroups
        && first.operands.iter().map(|of| of.0).eq(second.operands.iter().map(|of| of.0));
    if !alike || !is_weight_gradient(first) {
        return None;
    }
    let others = second.operands.iter().map(|&(binding, operand)| {
        let (_, name) = SECOND.iter().find(|(of_first, _)| *of_first == binding)?;
        Some((*name, operand))
    });
    let others: Vec<(&'static str, Operand)> = others.collect::<Option<_>>()?;
    let mut both = first.clone();
    both.name = format!("2 × {}", first.name);
    both.parts = first.parts.iter().flat_map(|&part| of_two(part)).collect();
    both.operands.extend(others);
    both.workgroups *= 2;
    both.multiply_adds = first.multiply_adds.saturating_add(second.multiply_adds);
    Some(both)
}

/// What takes the place of a part of one product.
fn of_two(part: &'static Part) -> Vec<&'static Part> {
    match part.name {
        "matmul/single" => vec![part!("matmul/two")],
        "matmul/out_f32" => vec![part!("matmul/two_out")],
        "matmul/column_sums" => vec![part!("matmul/two_column_sums")],
        "matmul/pieces_of_a_vector" => vec![part, part!("matmul/second_a_vector")],
        "matmul/pieces_of_a_scalar" => vec![part, part!("matmul/second_a_scalar")],
        "matmul/pieces_of_b_vector" => vec![part, part!("matmul/second_b_vector")],
        "matmul/pieces_of_b_scalar" => vec![part, part!("matmul/second_b_scalar")],
        _ => vec![part],
    }
}

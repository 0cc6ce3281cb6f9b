//! The files of a product that read and write memory, and those that do so in 16 bits.

use super::{A_TEXELS, B_TEXELS, NO_SAVED, NO_SAVED_PAIR, OUT};
use crate::kernel::{Part, part};

const PIECE_4: &Part = part!("matmul/piece_4");
const SAVED: &Part = part!("matmul/saved");

/// What takes the place of `part`, which is one of `parts`, if that is what reads or writes `binding`.
pub(in crate::kernel) fn in_half(
    parts: &[&'static Part],
    binding: &str,
    part: &'static Part,
) -> Option<Vec<&'static Part>> {
    // Written in eights it can be written in fours.
    let in_fours = parts.contains(&PIECE_4) || parts.contains(&part!("matmul/piece_words"));
    let others: &[&'static Part] = match (binding, part.name) {
        ("a", "matmul/a_vector" | "matmul/a_words") => &[part!("matmul/a_f16")],
        ("a", _) if part == A_TEXELS => &[part!("matmul/a_f16")],
        ("a", "matmul/pieces_of_a_vector") => &[part!("matmul/pieces_of_a_f16")],
        ("b", "matmul/b_vector" | "matmul/b_words") => &[part!("matmul/b_f16")],
        ("b", _) if part == B_TEXELS => &[part!("matmul/b_f16")],
        ("b", "matmul/b_words_8") => &[part!("matmul/b_f16"), part!("matmul/b_pair")],
        ("b", "matmul/pieces_of_b_vector") => &[part!("matmul/pieces_of_b_f16")],
        ("second_a", "matmul/second_a_vector") => &[part!("matmul/second_a_f16")],
        ("second_b", "matmul/second_b_vector") => &[part!("matmul/second_b_f16")],
        ("saved", "matmul/saved" | "matmul/saved_words") if in_fours => {
            &[part!("matmul/saved_f16")]
        }
        ("out", "matmul/out_f32" | "matmul/piece_words") if in_fours => &[part!("matmul/out_f16")],
        _ => return None,
    };
    Some(others.to_vec())
}

/// Has C and what lies beside it written and read in fours where that is done in eights.
pub(in crate::kernel) fn by_fours(parts: &mut Vec<&'static Part>) {
    let Some(at) = parts.iter().position(|part| *part == part!("matmul/piece_words")) else {
        return;
    };
    parts.splice(at..=at, [PIECE_4, OUT, part!("matmul/piece_pair")]);
    for part in parts.iter_mut() {
        if *part == part!("matmul/saved_words") {
            *part = SAVED;
        } else if *part == NO_SAVED_PAIR {
            *part = NO_SAVED;
        }
    }
}

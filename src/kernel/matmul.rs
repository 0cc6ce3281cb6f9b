//! Matrix products in the three layouts that training needs, with their epilogues: the parts of
//! `matmul/dims.wgsl`, and `matmul/join.wgsl`.

mod half;
mod sizes;
mod tiling;
mod top;
mod two;

pub(super) use half::{by_fours, in_half};
pub use sizes::{matrices, multiply_adds, sizes};
pub use tiling::{Memory, Tiling};
pub use top::{arg_max, keeps_top};
pub use two::{is_weight_gradient, two};

use super::activation::{self, FUNCTIONS};
use super::{
    Launch, MOST_TEXELS, Operand, PRELUDE, Part, Shapes, TEXELS_ACROSS, Turns, WORKGROUP, part,
    word,
};
use crate::graph::{Layout, Tensor, Unary};

/// What happens to a product before it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// An activation, where there is no bias.
    Activation(Unary),
    /// Adds a bias row, then applies an activation, if any.
    Bias(Tensor, Option<Unary>),
    /// Multiplies by the derivative of an activation, taken from its saved output or input.
    Mask(Unary, Tensor),
}

/// Terms that a workgroup copies at a time.
const SLAB: usize = 16;

/// For epilogues that read nothing beside C.
const NO_SAVED: &Part = &Part {
    name: "without:saved",
    source: "fn saved_piece(i: u32) -> Piece {\n    return Piece(0.0);\n}\n",
};
const NO_SAVED_PAIR: &Part = &Part {
    name: "without:saved_pair",
    source: "fn saved_pair(i: u32) -> Pair {\n    return Pair();\n}\n",
};
/// Where no column sums are wanted.
const NOTHING_JOINED: &Part =
    &Part { name: "without:join_columns", source: "fn join_columns(column: u32) {}\n" };

/// `out = epilogue(a·b)` in `layout`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// How the operands lie.
    pub layout: Layout,
    /// The left operand.
    pub a: Tensor,
    /// The right operand.
    pub b: Tensor,
    /// The product.
    pub out: Tensor,
    /// What happens to a value before it is stored.
    pub epilogue: Epilogue,
    /// Receives the column sums of `b`; only with [`Layout::TN`].
    pub column_sums: Option<Tensor>,
}

/// `product` in one dispatch.
pub fn matmul(shapes: Shapes<'_>, tiling: Tiling, product: Product) -> Launch {
    let mut launch = launch(shapes, tiling, product, 1);
    launch.name.push_str(&format!(", {tiling}"));
    launch
}

/// Terms of each part of a sum over `k`: a multiple of [`Tiling::terms`]. The last part may have fewer.
fn share(tiling: Tiling, k: usize, parts: usize) -> usize {
    k.div_ceil(parts.max(1)).next_multiple_of(tiling.terms())
}

/// Terms of the longest part whose loops take at most `most` turns.
pub fn longest_share(tiling: Tiling, most: u64) -> usize {
    let terms = tiling.terms();
    terms * super::longest_share(1 << 26, most, |times| tiling.turns(terms * times, true))
}

/// The number of parts, at most `wanted`, in which a sum over `k` is split so that none is empty.
pub fn parts(tiling: Tiling, k: usize, wanted: usize) -> usize {
    k.div_ceil(share(tiling, k.max(1), wanted)).max(1)
}

/// `product` in two dispatches: `parts` summands, then their sum. `products` has room for `parts`
/// times `out`, `sums` for `parts` times the column sums, if those are wanted.
pub fn matmul_in_parts(
    shapes: Shapes<'_>,
    tiling: Tiling,
    product: Product,
    parts: usize,
    products: Tensor,
    sums: Option<Tensor>,
) -> [Launch; 2] {
    let first = Product { out: products, epilogue: Epilogue::None, column_sums: sums, ..product };
    let mut first = launch(shapes, tiling, first, parts);
    first.name.push_str(&format!(", {tiling} in {parts} parts"));
    let [m, n, _] = sizes(shapes, product.layout, product.a, product.b);
    let mut join = Launch {
        name: "join parts".into(),
        parts: vec![PRELUDE, Pieces::without_words(n).part(), OUT],
        constants: vec![],
        dims: [m, n, parts].map(word).to_vec(),
        operands: vec![
            ("products", Operand::Tensor(products)),
            ("out", Operand::Tensor(product.out)),
        ],
        workgroups: 0,
        turns: joining_turns(parts),
        multiply_adds: 0,
    };
    add_epilogue(&mut join, Pieces::without_words(n), product.epilogue);
    let pieces = if n.is_multiple_of(4) { m * n / 4 } else { m * n };
    let mut invocations = pieces;
    match sums.zip(product.column_sums) {
        Some((sums, column_sums)) => {
            join.name.push_str(" + column sums");
            join.parts.push(part!("matmul/join_columns"));
            join.operands.push(("sums", Operand::Tensor(sums)));
            join.operands.push(("column_sums", Operand::Tensor(column_sums)));
            join.turns = join.turns + joining_turns(parts);
            invocations += n;
        }
        None => join.parts.push(NOTHING_JOINED),
    }
    join.parts.push(part!("matmul/join"));
    join.workgroups = invocations.div_ceil(WORKGROUP);
    [first, join]
}

/// Turns of the loop that adds up `parts` in `matmul/join.wgsl`, or in `matmul/join_columns.wgsl`.
fn joining_turns(parts: usize) -> Turns {
    Turns::of_loop(parts, Turns::NONE)
}

fn launch(shapes: Shapes<'_>, tiling: Tiling, product: Product, parts: usize) -> Launch {
    let [_, n, _] = sizes(shapes, product.layout, product.a, product.b);
    launch_in(shapes, tiling, product, parts, Pieces::of(tiling, n))
}

fn launch_in(
    shapes: Shapes<'_>,
    tiling: Tiling,
    product: Product,
    parts: usize,
    pieces: Pieces,
) -> Launch {
    let Product { layout, a, b, out, epilogue, column_sums } = product;
    let [m, n, k] = sizes(shapes, layout, a, b);
    let matrices = matrices(shapes, a);
    let [tile_rows, tile_columns] = tiling.tile();
    let (across, down) = (n.div_ceil(tile_columns), m.div_ceil(tile_rows));
    let share = share(tiling, k, parts);
    let name = match layout {
        Layout::NN => "matmul_nn",
        Layout::NT => "matmul_nt",
        Layout::TN => "matmul_tn",
    };
    let (parts_of_tiling, constants) = tiling.parts(layout, column_sums.is_some());
    let mut launch = Launch {
        name: name.into(),
        parts: vec![PRELUDE, part!("matmul/dims"), number_of(matrices), part!("matmul/block")],
        constants,
        dims: [m, n, k, across, down, share, matrices].map(word).to_vec(),
        operands: vec![
            ("a", Operand::Tensor(a)),
            ("b", Operand::Tensor(b)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: across * down * parts.max(1) * matrices,
        turns: tiling.turns(share, column_sums.is_some()),
        multiply_adds: multiply_adds(shapes, layout, a, b),
    };
    let operand = |tensor| Operated {
        columns: shapes.of(tensor).columns(),
        memory: match tiling.memory() {
            Memory::Texels if shapes.of(tensor).elements() > 4 * MOST_TEXELS => Memory::Words,
            memory => memory,
        },
    };
    let access = access(tiling, layout, operand(a), operand(b), pieces);
    if access.iter().any(|part| [A_TEXELS, B_TEXELS].contains(part)) {
        launch.parts.push(part!("shared/texels"));
        launch.constants.push(("TEXELS_ACROSS", TEXELS_ACROSS.into()));
    }
    launch.parts.extend(access);
    add_epilogue(&mut launch, pieces, epilogue);
    if let Some(sums) = column_sums {
        launch.name.push_str(" + column sums");
        launch.operands.push(("column_sums", Operand::Tensor(sums)));
    }
    launch.parts.extend(parts_of_tiling);
    launch
}

/// The file that says where the matrices begin.
fn number_of(matrices: usize) -> &'static Part {
    if matrices == 1 { part!("matmul/one") } else { part!("matmul/each") }
}

/// How C is written, and what lies beside it read: as many neighbours at a time as divide its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pieces {
    Ones,
    Fours,
    /// As four integers of 64 bits.
    Eights,
    /// Not at all, but for the place of each row's largest value.
    Top,
}

impl Pieces {
    /// With rows of `n` values.
    fn of(tiling: Tiling, n: usize) -> Self {
        let words = tiling.memory() != Memory::Numbers;
        if words && tiling.columns() == 8 && n.is_multiple_of(8) {
            Pieces::Eights
        } else {
            Pieces::without_words(n)
        }
    }

    fn without_words(n: usize) -> Self {
        if n.is_multiple_of(4) { Pieces::Fours } else { Pieces::Ones }
    }

    fn part(self) -> &'static Part {
        match self {
            Pieces::Ones => part!("matmul/piece_1"),
            Pieces::Fours => part!("matmul/piece_4"),
            Pieces::Eights => part!("matmul/piece_words"),
            Pieces::Top => part!("matmul/top"),
        }
    }
}

/// Writes C piece by piece.
const OUT: &Part = part!("matmul/out_f32");
const A_TEXELS: &Part = part!("matmul/a_texels");
const B_TEXELS: &Part = part!("matmul/b_texels");

/// How an operand is read.
#[derive(Clone, Copy, Debug)]
struct Operated {
    /// Numbers of a row.
    columns: usize,
    memory: Memory,
}

/// The files with which an invocation reads A and B and writes C in `pieces`: several neighbours at a time where that
/// never crosses into the next row.
fn access(
    tiling: Tiling,
    layout: Layout,
    a: Operated,
    b: Operated,
    pieces: Pieces,
) -> Vec<&'static Part> {
    let along_k = layout == Layout::NT;
    let mut parts: Vec<&'static Part> = vec![pieces.part()];
    if matches!(pieces, Pieces::Ones | Pieces::Fours) {
        parts.push(OUT);
    }
    if tiling.is_shared() {
        parts.push(match a.columns.is_multiple_of(4) {
            true => part!("matmul/pieces_of_a_vector"),
            false => part!("matmul/pieces_of_a_scalar"),
        });
        parts.push(match b.columns.is_multiple_of(4) {
            true => part!("matmul/pieces_of_b_vector"),
            false => part!("matmul/pieces_of_b_scalar"),
        });
        parts.push(two::SINGLE);
        return parts;
    }
    if tiling.memory() != Memory::Numbers {
        parts.push(part!("shared/words"));
    }
    parts.push(match (a.columns.is_multiple_of(4), a.memory) {
        (true, Memory::Texels) => A_TEXELS,
        (true, Memory::Words) => part!("matmul/a_words"),
        (true, Memory::Numbers) => part!("matmul/a_vector"),
        (false, _) => part!("matmul/a_scalar"),
    });
    let words = b.memory == Memory::Words;
    let eights = words && tiling.columns() == 8 && b.columns.is_multiple_of(8) && !along_k;
    parts.push(match (b.columns.is_multiple_of(4), b.memory) {
        (true, Memory::Texels) => B_TEXELS,
        (true, Memory::Words) if eights => part!("matmul/b_words_8"),
        (true, Memory::Words) => part!("matmul/b_words"),
        (true, Memory::Numbers) => part!("matmul/b_vector"),
        (false, _) => part!("matmul/b_scalar"),
    });
    if tiling.columns() == 8 {
        parts.push(part!("matmul/width_8"));
        match along_k {
            true => parts.push(part!("matmul/blocks_along")),
            false if eights => parts.push(part!("matmul/blocks_across")),
            false => parts.extend([part!("matmul/blocks_across"), part!("matmul/b_pair")]),
        }
        if !matches!(pieces, Pieces::Eights | Pieces::Top) {
            parts.push(part!("matmul/piece_pair"));
        }
    } else {
        parts.push(part!("matmul/width_4"));
    }
    parts
}

/// Adds the epilogue to a product that is written in `pieces`.
fn add_epilogue(launch: &mut Launch, pieces: Pieces, epilogue: Epilogue) {
    let (part, function): (&Part, _) = match epilogue {
        Epilogue::None => (part!("matmul/epilogue_plain"), None),
        Epilogue::Activation(function) => (part!("matmul/epilogue_activation"), Some(function)),
        Epilogue::Bias(_, None) => (part!("matmul/epilogue_bias"), None),
        Epilogue::Bias(_, Some(function)) => {
            (part!("matmul/epilogue_bias_activation"), Some(function))
        }
        Epilogue::Mask(function, _) => (part!("matmul/epilogue_mask"), Some(function)),
    };
    let masked = matches!(epilogue, Epilogue::Mask(..));
    launch.parts.push(match pieces {
        Pieces::Eights if masked => part!("matmul/saved_words"),
        Pieces::Eights => NO_SAVED_PAIR,
        _ if masked => part!("matmul/saved"),
        _ => NO_SAVED,
    });
    match epilogue {
        Epilogue::Bias(bias, _) => {
            launch.operands.push(("bias_row", Operand::Tensor(bias)));
            launch.name.push_str(" + bias");
        }
        Epilogue::Mask(function, saved) => {
            launch.operands.push(("saved", Operand::Tensor(saved)));
            launch.name.push_str(&format!(" + {}_grad", function.name()));
        }
        Epilogue::None | Epilogue::Activation(_) => {}
    }
    if let Epilogue::Activation(function) | Epilogue::Bias(_, Some(function)) = epilogue {
        launch.name.push_str(&format!(" + {}", function.name()));
    }
    if let Some(function) = function {
        match activation::of_pieces(function) {
            Some(short) => launch.parts.push(short),
            None => {
                let each: &Part = match pieces {
                    Pieces::Ones => part!("matmul/activation_1"),
                    _ => part!("matmul/activation_4"),
                };
                launch.parts.extend(FUNCTIONS);
                launch.parts.extend([activation::of_numbers(function), each]);
            }
        }
        launch.constants.extend(activation::constants(function));
    }
    launch.parts.push(part);
}

#[cfg(test)]
mod tests {
    use super::{Tiling, parts, share};

    #[test]
    fn no_part_of_a_sum_is_empty() {
        for k in (1..=5000).chain([65_536, 1 << 24]) {
            for wanted in 0..=130 {
                for tiling in [Tiling::Shared { side: 8 }, Tiling::Quarters] {
                    let parts = parts(tiling, k, wanted);
                    assert!((1..=wanted.max(1)).contains(&parts), "{k} in {wanted}: {parts}");
                    let share = share(tiling, k, parts);
                    let whole = (parts - 1) * share < k && k <= parts * share;
                    assert!(whole, "{k} in {parts} of {share}");
                }
            }
        }
    }
}

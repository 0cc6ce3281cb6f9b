//! Matrix products in the three layouts that training needs, with their epilogues: the parts of
//! `matmul/dims.wgsl`, and `matmul/join.wgsl`.

mod sizes;
mod top;

pub use sizes::{matrices, multiply_adds, sizes};
pub use top::{arg_max, keeps_top};

use std::fmt;

use super::activation::{self, FUNCTIONS};
use super::{Launch, Operand, PRELUDE, Part, Shapes, Turns, WORKGROUP, part, word};
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

/// How the work of a product lies on the invocations of a device. Every tiling computes every
/// product, adding up its terms in the same order: tilings differ in speed and in the time they take
/// to compile, but in the result only where they split the sum into different parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tiling {
    /// `matmul/registers.wgsl`: invocations read A and B from memory.
    Registers {
        /// Invocations of a subgroup (4, or a multiple of 8) that share what they read of A; with `None`,
        /// 64 invocations, each reading what it needs.
        subgroup: Option<u32>,
        /// Bands of 8 rows that an invocation adds up: 1 to 4; 1 where nothing is shared, since
        /// more loads than that leave the registers.
        strips: u32,
        /// Columns that an invocation adds up: 4, or 8 where rows are shared.
        columns: u32,
        /// Whether the two halves of a subgroup of 8 invocations have rows of their own and the same 16
        /// columns: for products that have no more. With `columns` 4.
        halves: bool,
        /// Whether memory is read and written as integers of 64 bits, where rows have a multiple of
        /// four numbers. Software drivers take as long for such a load as for one of 32 bits.
        words: bool,
    },
    /// `matmul/shared.wgsl`: a workgroup reads A and B into workgroup memory.
    Shared {
        /// Invocations along each side of a workgroup: 8 or 16.
        side: u32,
    },
}

/// Rows of tiles that are worked on together with `Tiling::Registers`, whose tiles are low.
const GROUP: u32 = 16;

/// The same with `Tiling::Shared`.
const GROUP_SHARED: u32 = 8;

/// Invocations side by side where they do not share rows.
const ALONE_ACROSS: u32 = 8;

impl Tiling {
    /// Rows and columns of the product that one workgroup covers.
    pub fn tile(self) -> [usize; 2] {
        let [rows, columns] = match self {
            Tiling::Registers { subgroup: Some(invocations), strips, halves: true, .. } => {
                [16 * strips, 2 * invocations]
            }
            Tiling::Registers { subgroup: Some(invocations), strips, columns, .. } => {
                [8 * strips, columns * invocations]
            }
            Tiling::Registers { subgroup: None, strips, columns, .. } => {
                [64 * strips, columns * ALONE_ACROSS]
            }
            Tiling::Shared { side } => [8 * side, 4 * side],
        };
        [rows as usize, columns as usize]
    }

    /// Whether there is such a tiling, and a device can run it whose subgroups all have `subgroup`
    /// invocations, and which has integers of 64 bits if `words`.
    pub fn runs_with(self, subgroup: Option<u32>, words: bool) -> bool {
        match self {
            Tiling::Registers { words: true, .. } if !words => false,
            Tiling::Registers { subgroup: None, strips, columns, halves, .. } => {
                strips == 1 && columns == 4 && !halves
            }
            Tiling::Registers { subgroup: Some(invocations), strips, columns, halves, .. } => {
                let shared = invocations == 4
                    || (matches!(invocations, 8..=64) && invocations.is_multiple_of(8));
                shared
                    && subgroup == Some(invocations)
                    && matches!(strips, 1..=4)
                    && matches!(columns, 4 | 8)
                    && (!halves || (invocations == 8 && columns == 4))
            }
            Tiling::Shared { side } => matches!(side, 8 | 16),
        }
    }

    /// Turns of the loops of an invocation that adds up `share` terms, and stores 8 rows.
    fn turns(self, share: usize) -> Turns {
        let of_loop = |times| Turns::of_loop(times, Turns::NONE);
        let terms = match self {
            Tiling::Registers { .. } => of_loop(share.div_ceil(4)),
            Tiling::Shared { side } => {
                // Each invocation copies some of `A_PIECES` and `B_PIECES`, then adds up four terms a turn.
                let side = side as usize;
                let slab = of_loop(2 * SLAB / side) + of_loop(SLAB / side) + of_loop(SLAB / 4);
                Turns::of_loop(share.div_ceil(SLAB), slab)
            }
        };
        terms + of_loop(8)
    }

    /// Whether memory is accessed as integers of 64 bits.
    fn words(self) -> bool {
        matches!(self, Tiling::Registers { words: true, .. })
    }

    /// Columns of C that an invocation computes.
    fn columns(self) -> u32 {
        match self {
            Tiling::Registers { columns, .. } => columns,
            Tiling::Shared { .. } => 4,
        }
    }

    /// The file with `main`, what it needs besides, and its constants.
    fn parts(self) -> (&'static Part, Option<&'static Part>, Vec<(&'static str, f64)>) {
        match self {
            Tiling::Registers { subgroup, strips, halves, .. } => {
                let rows: &Part = match subgroup {
                    _ if halves => part!("matmul/rows_halves"),
                    None => part!("matmul/rows_alone"),
                    Some(4) => part!("matmul/rows_subgroup_4"),
                    Some(_) => part!("matmul/rows_subgroup_8"),
                };
                let invocations = subgroup.unwrap_or(ALONE_ACROSS * ALONE_ACROSS);
                let across = subgroup.unwrap_or(ALONE_ACROSS) / if halves { 2 } else { 1 };
                let constants = vec![
                    ("INVOCATIONS", invocations.into()),
                    ("ACROSS", across.into()),
                    ("STRIPS", strips.into()),
                    ("GROUP", GROUP.into()),
                ];
                (part!("matmul/registers"), Some(rows), constants)
            }
            Tiling::Shared { side } => {
                let constants = vec![
                    ("DOWN", side.into()),
                    ("ACROSS", side.into()),
                    ("GROUP", GROUP_SHARED.into()),
                ];
                (part!("matmul/shared"), Some(part!("matmul/rows_alone")), constants)
            }
        }
    }
}

impl fmt::Display for Tiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns] = self.tile();
        let family = match self {
            Tiling::Registers { halves: true, .. } => "subgroup in halves",
            Tiling::Registers { subgroup: Some(_), .. } => "subgroup",
            Tiling::Registers { subgroup: None, .. } => "alone",
            Tiling::Shared { .. } => "shared",
        };
        let words = if self.words() { ", words" } else { "" };
        write!(f, "{rows}×{columns} {family}{words}")
    }
}

/// Terms by which `k` is walked along; every part of a split sum but the last is a multiple of it.
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
const NO_COLUMNS: &Part = &Part {
    name: "without:columns",
    source: "fn add_columns(sums: vec4<f32>, b: Block) -> vec4<f32> {\n    return sums;\n}\n\n\
             fn store_column_sums(part: u32, row: u32, column: u32, sums: vec4<f32>) {}\n",
};
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

/// Terms of each part of a sum over `k`: whole slabs. The last part may have fewer.
fn share(k: usize, parts: usize) -> usize {
    k.div_ceil(parts.max(1)).next_multiple_of(SLAB)
}

/// Terms of the longest part whose loops take at most `most` turns.
pub fn longest_share(tiling: Tiling, most: u64) -> usize {
    let slabs = super::longest_share(1 << 28, most, |slabs| tiling.turns(SLAB * slabs));
    SLAB * slabs
}

/// The number of parts, at most `wanted`, in which a sum over `k` is split so that none is empty.
pub fn parts(k: usize, wanted: usize) -> usize {
    k.div_ceil(share(k.max(1), wanted)).max(1)
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
        parts: vec![PRELUDE, Pieces::without_words(n).part()],
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
    let share = share(k, parts);
    let (of_layout, name): (&Part, _) = match layout {
        Layout::NN => (part!("matmul/nn"), "matmul_nn"),
        Layout::NT => (part!("matmul/nt"), "matmul_nt"),
        Layout::TN => (part!("matmul/tn"), "matmul_tn"),
    };
    let (main, rows, constants) = tiling.parts();
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
        turns: tiling.turns(share),
        multiply_adds: multiply_adds(shapes, layout, a, b),
    };
    let columns = |tensor| shapes.of(tensor).columns();
    launch.parts.extend(access(tiling, layout, columns(a), columns(b), pieces));
    add_epilogue(&mut launch, pieces, epilogue);
    match column_sums {
        Some(sums) => {
            launch.name.push_str(" + column sums");
            launch.parts.push(part!("matmul/columns"));
            launch.operands.push(("column_sums", Operand::Tensor(sums)));
        }
        None => launch.parts.push(NO_COLUMNS),
    }
    launch.parts.extend(rows);
    launch.parts.extend([of_layout, main]);
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
        if tiling.words() && tiling.columns() == 8 && n.is_multiple_of(8) {
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

/// The files with which an invocation reads A and B, whose rows have `a` and `b` values, and writes C
/// in `pieces`: several neighbours at a time where that never crosses into the next row.
fn access(
    tiling: Tiling,
    layout: Layout,
    a: usize,
    b: usize,
    pieces: Pieces,
) -> Vec<&'static Part> {
    let words = tiling.words();
    let along_k = layout == Layout::NT;
    let mut parts: Vec<&'static Part> = vec![pieces.part()];
    if words {
        parts.push(part!("shared/words"));
    }
    parts.push(match a.is_multiple_of(4) {
        true if words => part!("matmul/a_words"),
        true => part!("matmul/a_vector"),
        false => part!("matmul/a_scalar"),
    });
    let eights = words && tiling.columns() == 8 && b.is_multiple_of(8) && !along_k;
    parts.push(match b.is_multiple_of(4) {
        true if eights => part!("matmul/b_words_8"),
        true if words => part!("matmul/b_words"),
        true => part!("matmul/b_vector"),
        false => part!("matmul/b_scalar"),
    });
    match tiling {
        Tiling::Shared { .. } => {}
        Tiling::Registers { columns: 8, .. } => {
            parts.push(part!("matmul/width_8"));
            match along_k {
                true => parts.push(part!("matmul/blocks_along")),
                false if eights => parts.push(part!("matmul/blocks_across")),
                false => parts.extend([part!("matmul/blocks_across"), part!("matmul/b_pair")]),
            }
            if !matches!(pieces, Pieces::Eights | Pieces::Top) {
                parts.push(part!("matmul/piece_pair"));
            }
        }
        Tiling::Registers { .. } => parts.push(part!("matmul/width_4")),
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
    use super::{parts, share};

    #[test]
    fn no_part_of_a_sum_is_empty() {
        for k in (1..=5000).chain([65_536, 1 << 24]) {
            for wanted in 0..=130 {
                let parts = parts(k, wanted);
                assert!((1..=wanted.max(1)).contains(&parts), "{k} in {wanted}: {parts}");
                let share = share(k, parts);
                assert!((parts - 1) * share < k && k <= parts * share, "{k} in {parts} of {share}");
            }
        }
    }
}

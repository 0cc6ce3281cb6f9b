//! Matrix products in the three layouts that training needs, with their epilogues: the parts of
//! `matmul_dims.wgsl`, and `matmul_join.wgsl`.

use std::fmt;

use super::elementwise::{ACTIVATION, code};
use super::{Launch, Operand, PRELUDE, Part, Shapes, WORKGROUP, part, word};
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
    /// `matmul_registers.wgsl`: invocations read A and B from memory.
    Registers {
        /// Lanes of a subgroup (4, or a multiple of 8) that share what they read of A; with `None`,
        /// 64 invocations, each reading what it needs.
        subgroup: Option<u32>,
        /// Blocks of 8 rows × 4 columns that an invocation adds up: 1, 2 or 4; 1 where nothing is
        /// shared, since more loads than that leave the registers.
        strips: u32,
    },
    /// `matmul_shared.wgsl`: a workgroup reads A and B into workgroup memory.
    Shared {
        /// Invocations along each side of a workgroup: 8 or 16.
        side: u32,
    },
}

/// Lanes side by side where they do not share rows.
const ALONE_ACROSS: u32 = 8;

impl Tiling {
    /// Rows and columns of the product that one workgroup covers.
    pub fn tile(self) -> [usize; 2] {
        let [rows, columns] = match self {
            Tiling::Registers { subgroup: Some(lanes), strips } => [8 * strips, 4 * lanes],
            Tiling::Registers { subgroup: None, strips } => [64 * strips, 4 * ALONE_ACROSS],
            Tiling::Shared { side } => [8 * side, 4 * side],
        };
        [rows as usize, columns as usize]
    }

    /// Whether there is such a tiling, and a device whose subgroups all have `subgroup` lanes can
    /// run it.
    pub fn runs_with(self, subgroup: Option<u32>) -> bool {
        match self {
            Tiling::Registers { subgroup: lanes, strips } => {
                let shared = |lanes: u32| {
                    lanes == 4 || (lanes >= 8 && lanes.is_multiple_of(8) && lanes <= 64)
                };
                match lanes {
                    None => strips == 1,
                    Some(lanes) => {
                        matches!(strips, 1 | 2 | 4) && shared(lanes) && subgroup == Some(lanes)
                    }
                }
            }
            Tiling::Shared { side } => matches!(side, 8 | 16),
        }
    }

    /// The file with `main`, what it needs besides, and its constants.
    fn parts(self) -> (&'static Part, Option<&'static Part>, Vec<(&'static str, f64)>) {
        match self {
            Tiling::Registers { subgroup, strips } => {
                let rows: &Part = match subgroup {
                    None => part!("matmul_rows_alone"),
                    Some(4) => part!("matmul_rows_subgroup_4"),
                    Some(_) => part!("matmul_rows_subgroup_8"),
                };
                let lanes = subgroup.unwrap_or(ALONE_ACROSS * ALONE_ACROSS);
                let across = subgroup.unwrap_or(ALONE_ACROSS);
                let constants = vec![
                    ("LANES", lanes.into()),
                    ("ACROSS", across.into()),
                    ("STRIPS", strips.into()),
                ];
                (part!("matmul_registers"), Some(rows), constants)
            }
            Tiling::Shared { side } => {
                let constants = vec![("DOWN", side.into()), ("ACROSS", side.into())];
                (part!("matmul_shared"), Some(part!("matmul_rows_alone")), constants)
            }
        }
    }
}

impl fmt::Display for Tiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns] = self.tile();
        let family = match self {
            Tiling::Registers { subgroup: Some(_), .. } => "subgroup",
            Tiling::Registers { subgroup: None, .. } => "alone",
            Tiling::Shared { .. } => "shared",
        };
        write!(f, "{rows}×{columns} {family}")
    }
}

/// Terms by which `k` is walked along; every part of a split sum but the last is a multiple of it.
const SLAB: usize = 16;

/// `m`, `n` and `k` of a product.
pub fn sizes(shapes: Shapes<'_>, layout: Layout, a: Tensor, b: Tensor) -> [usize; 3] {
    let (a, b) = (shapes.of(a), shapes.of(b));
    match layout {
        Layout::NN => [a.rows(), b.columns(), a.columns()],
        Layout::NT => [a.rows(), b.rows(), a.columns()],
        Layout::TN => [a.columns(), b.columns(), a.rows()],
    }
}

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
        parts: vec![PRELUDE, piece(n)],
        constants: vec![],
        dims: [m, n, parts].map(word).to_vec(),
        operands: vec![
            ("products", Operand::Tensor(products)),
            ("out", Operand::Tensor(product.out)),
        ],
        workgroups: 0,
    };
    add_epilogue(&mut join, n, product.epilogue);
    let pieces = if n.is_multiple_of(4) { m * n / 4 } else { m * n };
    let mut invocations = pieces;
    match sums.zip(product.column_sums) {
        Some((sums, column_sums)) => {
            join.name.push_str(" + column sums");
            join.parts.push(part!("matmul_join_columns"));
            join.operands.push(("sums", Operand::Tensor(sums)));
            join.operands.push(("column_sums", Operand::Tensor(column_sums)));
            invocations += n;
        }
        None => join.parts.push(part!("matmul_join_columns_none")),
    }
    join.parts.push(part!("matmul_join"));
    join.workgroups = invocations.div_ceil(WORKGROUP);
    [first, join]
}

fn launch(shapes: Shapes<'_>, tiling: Tiling, product: Product, parts: usize) -> Launch {
    let Product { layout, a, b, out, epilogue, column_sums } = product;
    let [m, n, k] = sizes(shapes, layout, a, b);
    let [tile_rows, tile_columns] = tiling.tile();
    let (across, down) = (n.div_ceil(tile_columns), m.div_ceil(tile_rows));
    let share = k.div_ceil(parts.max(1)).next_multiple_of(SLAB);
    let (of_layout, name): (&Part, _) = match layout {
        Layout::NN => (part!("matmul_nn"), "matmul_nn"),
        Layout::NT => (part!("matmul_nt"), "matmul_nt"),
        Layout::TN => (part!("matmul_tn"), "matmul_tn"),
    };
    // Rows are read four elements at a time, if that never crosses into the next row.
    let aligned = |tensor| shapes.of(tensor).columns().is_multiple_of(4);
    let read_a: &Part =
        if aligned(a) { part!("matmul_a_vector") } else { part!("matmul_a_scalar") };
    let read_b: &Part =
        if aligned(b) { part!("matmul_b_vector") } else { part!("matmul_b_scalar") };
    let (main, rows, constants) = tiling.parts();
    let mut launch = Launch {
        name: name.into(),
        parts: vec![PRELUDE, part!("matmul_dims"), read_a, read_b, piece(n)],
        constants,
        dims: [m, n, k, across, down, share].map(word).to_vec(),
        operands: vec![
            ("a", Operand::Tensor(a)),
            ("b", Operand::Tensor(b)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: across * down * parts.max(1),
    };
    add_epilogue(&mut launch, n, epilogue);
    match column_sums {
        Some(sums) => {
            launch.name.push_str(" + column sums");
            launch.parts.push(part!("matmul_columns"));
            launch.operands.push(("column_sums", Operand::Tensor(sums)));
        }
        None => launch.parts.push(part!("matmul_columns_none")),
    }
    launch.parts.extend(rows);
    launch.parts.extend([of_layout, main]);
    launch
}

/// C is written four neighbours at a time, if its rows have a multiple of them.
fn piece(n: usize) -> &'static Part {
    if n.is_multiple_of(4) { part!("matmul_piece_4") } else { part!("matmul_piece_1") }
}

/// Multiply-adds of a launch: `m·n·k` of a product, 0 of anything else.
pub fn multiply_adds(launch: &Launch) -> u64 {
    match launch.dims.as_slice() {
        &[m, n, k, ..] if launch.name.starts_with("matmul") => {
            u64::from(m) * u64::from(n) * u64::from(k)
        }
        _ => 0,
    }
}

/// Adds the epilogue to a product with rows of `n` values.
fn add_epilogue(launch: &mut Launch, n: usize, epilogue: Epilogue) {
    let (part, function): (&Part, _) = match epilogue {
        Epilogue::None => (part!("matmul_epilogue_none"), None),
        Epilogue::Activation(function) => (part!("matmul_epilogue_activation"), Some(function)),
        Epilogue::Bias(_, None) => (part!("matmul_epilogue_bias"), None),
        Epilogue::Bias(_, Some(function)) => {
            (part!("matmul_epilogue_bias_activation"), Some(function))
        }
        Epilogue::Mask(function, _) => (part!("matmul_epilogue_mask"), Some(function)),
    };
    match epilogue {
        Epilogue::Bias(bias, _) => {
            launch.operands.push(("bias", Operand::Tensor(bias)));
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
    match function {
        None => {}
        Some(Unary::Relu) => launch.parts.push(part!("matmul_function_relu")),
        Some(Unary::LeakyRelu { slope }) => {
            launch.parts.push(part!("matmul_function_leaky_relu"));
            launch.constants.push(("SLOPE", slope.into()));
        }
        Some(function) => {
            let any: &Part = if n.is_multiple_of(4) {
                part!("matmul_function_any_4")
            } else {
                part!("matmul_function_any_1")
            };
            launch.parts.extend([ACTIVATION, any]);
            launch.constants.push(("FUNCTION", code(function).into()));
        }
    }
    launch.parts.push(part);
}

//! Matrix products in the three layouts that training needs, with their epilogues.

use super::elementwise::{ACTIVATION, code, slope};
use super::{Launch, Operand, PRELUDE, Part, Shapes, part, word};
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

/// How the work of a product lies on the lanes of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// 64 invocations, each loading what it needs: `matmul_lanes_plain.wgsl`.
    Plain,
    /// One subgroup of this many lanes (4, or a multiple of 8), sharing what it loads:
    /// `matmul_lanes_4.wgsl`, `matmul_lanes_8.wgsl`.
    Subgroup(u32),
}

impl Lanes {
    fn part(self) -> &'static Part {
        match self {
            Lanes::Plain => part!("matmul_lanes_plain"),
            Lanes::Subgroup(4) => part!("matmul_lanes_4"),
            Lanes::Subgroup(_) => part!("matmul_lanes_8"),
        }
    }

    fn count(self) -> u32 {
        match self {
            Lanes::Plain => 64,
            Lanes::Subgroup(size) => size,
        }
    }

    /// Rows and columns of the product that one workgroup covers.
    pub fn tile(self) -> [usize; 2] {
        match self {
            Lanes::Plain => [64, 32],
            Lanes::Subgroup(size) => [8, 4 * size as usize],
        }
    }
}

/// Terms that one workgroup may add up. Software drivers end a loop after 65,535 turns, without a
/// word, whatever the shader says; half of that leaves room.
const LONGEST_SHARE: usize = 32_768;

/// Terms that are worth a workgroup of their own where tiles are few.
const SHORTEST_SHARE: usize = 4096;

/// Tiles that keep a device busy without splitting sums.
const BUSY: usize = 16;

/// Into how many parts the sum over `k` is split: as many as loops must have, and more where an
/// `m×n` product has so few tiles that most of a device would idle. The parts are added up by a
/// dispatch of their own.
pub fn parts(lanes: Lanes, m: usize, n: usize, k: usize) -> usize {
    let [rows, columns] = lanes.tile();
    let tiles = m.div_ceil(rows) * n.div_ceil(columns);
    let share = if tiles < BUSY { SHORTEST_SHARE } else { LONGEST_SHARE };
    k.div_ceil(share).max(1)
}

/// `m`, `n` and `k` of a product.
pub fn sizes(shapes: Shapes<'_>, layout: Layout, a: Tensor, b: Tensor) -> [usize; 3] {
    let (a, b) = (shapes.of(a), shapes.of(b));
    match layout {
        Layout::NN => [a.rows(), b.columns(), a.columns()],
        Layout::NT => [a.rows(), b.rows(), a.columns()],
        Layout::TN => [a.columns(), b.columns(), a.rows()],
    }
}

/// `out = epilogue(a·b)` in `layout`. With [`Layout::TN`], `column_sums` receives the column sums
/// of `b`. With `parts` > 1, `out` and `column_sums` hold that many summands one after another,
/// and the epilogue must be [`Epilogue::None`].
#[allow(clippy::too_many_arguments)]
pub fn matmul(
    shapes: Shapes<'_>,
    lanes: Lanes,
    layout: Layout,
    a: Tensor,
    b: Tensor,
    out: Tensor,
    epilogue: Epilogue,
    column_sums: Option<Tensor>,
    parts: usize,
) -> Launch {
    let [m, n, k] = sizes(shapes, layout, a, b);
    let [tile_rows, tile_columns] = lanes.tile();
    let across = n.div_ceil(tile_columns);
    let tiles = m.div_ceil(tile_rows) * across;
    let share = k.div_ceil(parts.max(1)).next_multiple_of(4);
    let (file, name) = match layout {
        Layout::NN => (part!("matmul_nn"), "matmul_nn"),
        Layout::NT => (part!("matmul_nt"), "matmul_nt"),
        Layout::TN => (part!("matmul_tn"), "matmul_tn"),
    };
    // Rows of a and b are read four elements at a time.
    let aligned =
        shapes.of(a).columns().is_multiple_of(4) && shapes.of(b).columns().is_multiple_of(4);
    let load: &Part =
        if aligned { part!("matmul_load_vector") } else { part!("matmul_load_scalar") };
    let mut launch = Launch {
        name: if parts > 1 { format!("{name} in {parts} parts") } else { name.into() },
        parts: vec![PRELUDE, part!("matmul_dims"), load, lanes.part()],
        constants: vec![("LANES", lanes.count().into())],
        dims: [m, n, k, across, tiles, share].map(word).to_vec(),
        operands: vec![
            ("a", Operand::Tensor(a)),
            ("b", Operand::Tensor(b)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: tiles * parts.max(1),
    };
    add_epilogue(&mut launch, epilogue);
    launch.parts.push(part!("matmul_store"));
    if layout == Layout::TN {
        launch.parts.push(match column_sums {
            Some(_) => part!("matmul_columns"),
            None => part!("matmul_columns_none"),
        });
        if let Some(sums) = column_sums {
            launch.name.push_str(" + column sums");
            launch.operands.push(("column_sums", Operand::Tensor(sums)));
        }
    }
    launch.parts.push(file);
    launch
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

fn add_epilogue(launch: &mut Launch, epilogue: Epilogue) {
    let function = match epilogue {
        Epilogue::None => {
            launch.parts.push(part!("matmul_epilogue_none"));
            return;
        }
        Epilogue::Activation(function) => {
            launch.parts.extend([ACTIVATION, part!("matmul_epilogue_activation")]);
            launch.name.push_str(&format!(" + {}", function.name()));
            Some(function)
        }
        Epilogue::Bias(bias, function) => {
            launch.parts.extend([ACTIVATION, part!("matmul_epilogue_bias")]);
            launch.operands.push(("bias", Operand::Tensor(bias)));
            launch.name.push_str(" + bias");
            if let Some(function) = function {
                launch.name.push_str(&format!(" + {}", function.name()));
            }
            function
        }
        Epilogue::Mask(function, saved) => {
            launch.parts.extend([ACTIVATION, part!("matmul_epilogue_mask")]);
            launch.operands.push(("saved", Operand::Tensor(saved)));
            launch.name.push_str(&format!(" + {}_grad", function.name()));
            Some(function)
        }
    };
    launch.constants.push(("FUNCTION", function.map_or(0, code).into()));
    launch.constants.push(("SLOPE", function.map_or(0.01, slope)));
}

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

/// Rows of the product that one workgroup covers; `TILE_ROWS` in `matmul_dims.wgsl`.
pub const TILE_ROWS: usize = 64;
/// Columns of the product that one workgroup covers; `TILE_COLUMNS` in `matmul_dims.wgsl`.
pub const TILE_COLUMNS: usize = 32;

/// `out = epilogue(a·b)` in `layout`. With [`Layout::TN`], `column_sums` receives the column sums
/// of `b`.
pub fn matmul(
    shapes: Shapes<'_>,
    layout: Layout,
    a: Tensor,
    b: Tensor,
    out: Tensor,
    epilogue: Epilogue,
    column_sums: Option<Tensor>,
) -> Launch {
    let (m, n) = (shapes.of(out).rows(), shapes.of(out).columns());
    let k = shapes.of(a).elements() / m.max(1);
    let (file, name) = match layout {
        Layout::NN => (part!("matmul_nn"), "matmul_nn"),
        Layout::NT => (part!("matmul_nt"), "matmul_nt"),
        Layout::TN => (part!("matmul_tn"), "matmul_tn"),
    };
    // Rows of a and b are read four elements at a time.
    let aligned = shapes.of(a).columns() % 4 == 0 && shapes.of(b).columns() % 4 == 0;
    let load: &Part =
        if aligned { part!("matmul_load_vector") } else { part!("matmul_load_scalar") };
    let mut launch = Launch {
        name: name.into(),
        parts: vec![PRELUDE, part!("matmul_dims"), load],
        constants: Vec::new(),
        dims: [m, n, k, n.div_ceil(TILE_COLUMNS)].map(word).to_vec(),
        operands: vec![
            ("a", Operand::Tensor(a)),
            ("b", Operand::Tensor(b)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: m.div_ceil(TILE_ROWS) * n.div_ceil(TILE_COLUMNS),
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
        &[m, n, k, _] if launch.name.starts_with("matmul") => {
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

//! A product of which only the place of each row's largest value is kept, in `matmul/top.wgsl`; and what says that a
//! row has none, `rows/without_place.wgsl`.

use super::{Epilogue, Pieces, Product, Tiling};
use crate::kernel::elementwise::workgroups;
use crate::kernel::update::REPORT;
use crate::kernel::{Launch, Operand, PRELUDE, Shapes, Turns, part};

/// Whether `tiling` can: its workgroups are subgroups that share their rows, and one covers all `n` columns.
pub fn keeps_top(tiling: Tiling, n: usize, epilogue: Epilogue) -> bool {
    let [_, columns] = tiling.tile();
    let shares = matches!(
        tiling,
        Tiling::Registers { subgroup: Some(invocations), halves: false, .. } if invocations.is_power_of_two()
    );
    let plain = matches!(epilogue, Epilogue::None | Epilogue::Bias(_, None));
    shares && plain && n.is_multiple_of(4) && n <= columns
}

/// `product.out` = where in each row the largest value is, in a tiling that [`keeps_top`].
pub fn arg_max(shapes: Shapes<'_>, tiling: Tiling, product: Product) -> [Launch; 2] {
    let mut first = super::launch_in(shapes, tiling, product, 1, Pieces::Top);
    // Of each row of each band, what the invocations of a subgroup join.
    let (bands, joins) = match tiling {
        Tiling::Registers { subgroup, strips, .. } => (strips, subgroup.unwrap_or(1).ilog2()),
        // It is never asked of others.
        _ => (1, 0),
    };
    let joined = (0..bands).map(|_| Turns::of_loop(joins as usize, Turns::NONE));
    first.turns =
        first.turns + Turns::of_loop(8, joined.fold(Turns::NONE, |all, of_band| all + of_band));
    first.name.push_str(&format!(" + arg_max, {tiling}"));
    let count = shapes.elements(product.out);
    let check = Launch {
        name: "rows without a place".into(),
        parts: vec![PRELUDE, REPORT, part!("rows/without_place")],
        constants: vec![],
        dims: vec![count],
        operands: vec![("places", Operand::Tensor(product.out)), ("status", Operand::Status)],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    };
    [first, check]
}

//! How the work of a matrix product lies on the invocations of a device.

use std::fmt;

use super::SLAB;
use super::two::COLUMN_SUMS;
use crate::graph::Layout;
use crate::kernel::{Part, Turns, part};

/// How the work of a product lies on the invocations of a device. Every tiling computes every
/// product, adding up its terms in the same order: tilings differ in speed and in the time they take
/// to compile, but in the result only where they split the sum into different parts; and in the column sums
/// beside it, which have an order of their own through workgroup memory.
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
        /// How memory is read and written, where rows have a multiple of four numbers.
        memory: Memory,
    },
    /// `matmul/shared.wgsl`: a workgroup reads A and B into workgroup memory.
    Shared {
        /// Invocations along each side of a workgroup: 8 or 16.
        side: u32,
    },
    /// `matmul/quarters.wgsl`: the same, but a workgroup has few rows and columns, and each quarter of its
    /// invocations a quarter of the terms.
    Quarters,
}

/// How the kernels from registers reach memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Memory {
    /// By numbers of 32 bits.
    #[default]
    Numbers,
    /// By integers of 64 bits. Software drivers take as long for such a load as for one of 32 bits.
    Words,
    /// The same, but A and B are copied into textures first and read from there, four numbers at a time. A
    /// software driver reads a buffer in a loop over the invocations of a subgroup, and a texture without one.
    Texels,
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
            Tiling::Quarters => [32, 32],
        };
        [rows as usize, columns as usize]
    }

    /// Invocations of a workgroup.
    pub fn invocations(self) -> usize {
        let invocations = match self {
            Tiling::Registers { subgroup, .. } => subgroup.unwrap_or(ALONE_ACROSS * ALONE_ACROSS),
            Tiling::Shared { side } => side * side,
            Tiling::Quarters => 256,
        };
        invocations as usize
    }

    /// Whether there is such a tiling, and a device can run it whose subgroups all have `subgroup`
    /// invocations, has integers of 64 bits if `words`, and large textures if `texels`.
    pub fn runs_with(self, subgroup: Option<u32>, words: bool, texels: bool) -> bool {
        match self {
            Tiling::Registers { memory: Memory::Words, .. } if !words => false,
            Tiling::Registers { memory: Memory::Texels, .. } if !(words && texels) => false,
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
            Tiling::Quarters => true,
        }
    }

    /// Turns of the loops of an invocation that adds up `share` terms, with column sums or without, and stores
    /// what comes of it.
    pub(super) fn turns(self, share: usize, column_sums: bool) -> Turns {
        let of_loop = |times| Turns::of_loop(times, Turns::NONE);
        match self {
            // The second loop stores rows.
            Tiling::Registers { .. } => of_loop(share.div_ceil(4)) + of_loop(8),
            // The second loop adds up column sums.
            Tiling::Shared { side } if column_sums => {
                of_loop(share.div_ceil(SLAB)) + of_loop(side as usize)
            }
            Tiling::Shared { .. } => of_loop(share.div_ceil(SLAB)),
            Tiling::Quarters if column_sums => of_loop(share.div_ceil(4 * SLAB)) + of_loop(8),
            Tiling::Quarters => of_loop(share.div_ceil(4 * SLAB)),
        }
    }

    /// How memory is reached.
    pub(super) fn memory(self) -> Memory {
        match self {
            Tiling::Registers { memory, .. } => memory,
            Tiling::Shared { .. } | Tiling::Quarters => Memory::Numbers,
        }
    }

    /// Columns of C that an invocation computes.
    pub(super) fn columns(self) -> u32 {
        match self {
            Tiling::Registers { columns, .. } => columns,
            Tiling::Shared { .. } | Tiling::Quarters => 4,
        }
    }

    /// Terms by which `k` is walked along; every part of a split sum but the last is a multiple of it.
    pub fn terms(self) -> usize {
        match self {
            Tiling::Registers { .. } | Tiling::Shared { .. } => SLAB,
            Tiling::Quarters => 4 * SLAB,
        }
    }

    /// Whether invocations read A and B by workgroup memory.
    pub(super) fn is_shared(self) -> bool {
        matches!(self, Tiling::Shared { .. } | Tiling::Quarters)
    }

    /// The files of a product in `layout` from its column sums, if it has any, to `main`, and their constants.
    pub(super) fn parts(
        self,
        layout: Layout,
        column_sums: bool,
    ) -> (Vec<&'static Part>, Vec<(&'static str, f64)>) {
        match self {
            Tiling::Registers { subgroup, strips, halves, .. } => {
                let columns = if column_sums { part!("matmul/columns") } else { NO_COLUMNS };
                let rows: &Part = match subgroup {
                    _ if halves => part!("matmul/rows_halves"),
                    None => part!("matmul/rows_alone"),
                    Some(4) => part!("matmul/rows_subgroup_4"),
                    Some(_) => part!("matmul/rows_subgroup_8"),
                };
                let of_layout: &Part = match layout {
                    Layout::NN => part!("matmul/nn"),
                    Layout::NT => part!("matmul/nt"),
                    Layout::TN => part!("matmul/tn"),
                };
                let invocations = subgroup.unwrap_or(ALONE_ACROSS * ALONE_ACROSS);
                let across = subgroup.unwrap_or(ALONE_ACROSS) / if halves { 2 } else { 1 };
                let constants = vec![
                    ("INVOCATIONS", invocations.into()),
                    ("ACROSS", across.into()),
                    ("STRIPS", strips.into()),
                    ("GROUP", GROUP.into()),
                ];
                (vec![columns, rows, of_layout, part!("matmul/registers")], constants)
            }
            Tiling::Shared { side } => {
                let tile: &Part = match side {
                    16 => part!("matmul/tile_128x64"),
                    _ => part!("matmul/tile_64x32"),
                };
                let slab_of_a: &Part = match layout {
                    Layout::NN | Layout::NT => part!("matmul/slab_a_along"),
                    Layout::TN => part!("matmul/slab_a_across"),
                };
                let slab_of_b: &Part = match layout {
                    Layout::NT => part!("matmul/slab_b_along"),
                    Layout::NN | Layout::TN => part!("matmul/slab_b_across"),
                };
                let columns: &[&'static Part] = match column_sums {
                    true => &[COLUMN_SUMS, part!("matmul/columns_shared")],
                    false => &[NO_COLUMNS_SHARED],
                };
                let parts = [&[tile, slab_of_a, slab_of_b], columns, &[part!("matmul/shared")]];
                (parts.concat(), vec![("GROUP", GROUP_SHARED.into())])
            }
            Tiling::Quarters => {
                let slab_of_a: &Part = match layout {
                    Layout::NN | Layout::NT => part!("matmul/quarter_a_along"),
                    Layout::TN => part!("matmul/quarter_a_across"),
                };
                let slab_of_b: &Part = match layout {
                    Layout::NT => part!("matmul/quarter_b_along"),
                    Layout::NN | Layout::TN => part!("matmul/quarter_b_across"),
                };
                let columns: &[&'static Part] = match column_sums {
                    true => &[COLUMN_SUMS, part!("matmul/columns_quarters")],
                    false => &[NO_COLUMNS_SHARED],
                };
                let parts = [&[slab_of_a, slab_of_b], columns, &[part!("matmul/quarters")]];
                (parts.concat(), vec![("GROUP", GROUP_SHARED.into())])
            }
        }
    }
}

/// Where no column sums are wanted.
const NO_COLUMNS: &Part = &Part {
    name: "without:columns",
    source: "fn add_columns(sums: vec4<f32>, b: Block) -> vec4<f32> {\n    return sums;\n}\n\n\
             fn store_column_sums(part: u32, row: u32, column: u32, sums: vec4<f32>) {}\n",
};
const NO_COLUMNS_SHARED: &Part = &Part {
    name: "without:columns_shared",
    source: "fn add_copied(sums: vec4<f32>, c: Copied) -> vec4<f32> {\n    return sums;\n}\n\n\
             fn store_column_sums(part: u32, corner: vec2<u32>, invocation: u32, sums: vec4<f32>) {}\n",
};

impl fmt::Display for Tiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns] = self.tile();
        let family = match self {
            Tiling::Registers { halves: true, .. } => "subgroup in halves",
            Tiling::Registers { subgroup: Some(_), .. } => "subgroup",
            Tiling::Registers { subgroup: None, .. } => "alone",
            Tiling::Shared { .. } => "shared",
            Tiling::Quarters => "in quarters",
        };
        let memory = match self.memory() {
            Memory::Numbers => "",
            Memory::Words => ", words",
            Memory::Texels => ", texels",
        };
        write!(f, "{rows}×{columns} {family}{memory}")
    }
}

//! Which variant of a matrix product a device gets: a small rule, no timing.
//!
//! | device | product | tiling |
//! | --- | --- | --- |
//! | software, subgroups of 4 or 8·i lanes | from 2²³ multiply-adds on | 4 strips of 8 rows per lane, rows shared |
//! | | from 2²⁰ on | 2 strips |
//! | | smaller | 1 strip |
//! | software, without such subgroups | any | 1 strip, nothing shared |
//! | GPU | sums of fewer than 16 terms | 1 strip, nothing shared |
//! | | 64 tiles of 128×64 or more | workgroup memory, 16×16 invocations |
//! | | smaller | workgroup memory, 8×8 invocations |
//!
//! On software adapters a load costs thirty multiply-adds and workgroup memory is no faster, so a
//! value should be used often once it is in a register; but the code grows with every strip, and
//! the first step of a new process has to wait for its compilation. `docs/rejected.md` has the
//! figures. The rule for GPUs is that of the textbooks; it was never timed on one.
//!
//! Sums are split where a product has too few tiles to keep a device busy, and where a loop would
//! become too long for software drivers.

use super::{AdapterClass, Target};
use crate::kernel::matmul::Tiling;

/// A matrix product's variant, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How the work lies.
    pub tiling: Tiling,
    /// Into how many parts the sum over `k` is split.
    pub parts: usize,
    /// The row of the rule that applied.
    pub why: &'static str,
}

/// Multiply-adds from which two strips pay for their compilation within a thousand steps.
const MEDIUM: usize = 1 << 20;

/// Multiply-adds from which four strips do.
const LARGE: usize = 1 << 23;

/// Terms that one workgroup may add up. Software drivers end a loop after 65,535 turns, without a
/// word, whatever the shader says; half of that leaves room.
const LONGEST_SHARE: usize = 32_768;

/// Terms that are worth a workgroup of their own where tiles are few.
const SHORTEST_SHARE: usize = 256;

/// The choice for `m`×`n` sums over `k`.
pub(super) fn product(target: &Target, [m, n, k]: [usize; 3]) -> Choice {
    let (tiling, why) = match target.tiling {
        Some(tiling) => (tiling, "as asked for"),
        None => tiling(target, [m, n, k]),
    };
    let [rows, columns] = tiling.tile();
    let tiles = m.div_ceil(rows) * n.div_ceil(columns);
    // Workgroups that keep a device busy.
    let busy = match target.class {
        AdapterClass::Software => 16,
        AdapterClass::Gpu => 128,
    };
    let parts = busy_parts(tiles, busy, k).max(k.div_ceil(LONGEST_SHARE)).max(1);
    Choice { tiling, parts, why }
}

fn busy_parts(tiles: usize, busy: usize, k: usize) -> usize {
    (busy / tiles.max(1)).min(k / SHORTEST_SHARE)
}

fn tiling(target: &Target, [m, n, k]: [usize; 3]) -> (Tiling, &'static str) {
    let multiply_adds = m.saturating_mul(n).saturating_mul(k);
    match target.class {
        AdapterClass::Software => {
            let shared = |strips| Tiling::Registers { subgroup: target.subgroup, strips };
            if target.subgroup.is_none() || !shared(1).runs_with(target.subgroup) {
                let alone = Tiling::Registers { subgroup: None, strips: 1 };
                return (alone, "software adapter without subgroups of a known size");
            }
            // Rows past the last are computed in vain.
            let rows = m.div_ceil(8);
            if multiply_adds >= LARGE && rows > 2 {
                (shared(4), "software adapter, 2^23 multiply-adds or more")
            } else if multiply_adds >= MEDIUM && rows > 1 {
                (shared(2), "software adapter, 2^20 multiply-adds or more")
            } else {
                (shared(1), "software adapter, a small product")
            }
        }
        AdapterClass::Gpu if k < 16 => {
            (Tiling::Registers { subgroup: None, strips: 1 }, "GPU, sums of fewer than 16 terms")
        }
        AdapterClass::Gpu if m.div_ceil(128) * n.div_ceil(64) >= 64 => {
            (Tiling::Shared { side: 16 }, "GPU, 64 tiles or more")
        }
        AdapterClass::Gpu => (Tiling::Shared { side: 8 }, "GPU, fewer than 64 tiles of 128×64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Tiling = Tiling::Registers { subgroup: None, strips: 1 };

    fn of(class: AdapterClass, subgroup: Option<u32>, sizes: [usize; 3]) -> Tiling {
        product(&Target { class, subgroup, ..Target::default() }, sizes).tiling
    }

    #[test]
    fn subgroups_are_for_software_adapters_that_have_them() {
        let small = |subgroup| of(AdapterClass::Software, subgroup, [32, 64, 10]);
        for lanes in [4, 8, 16] {
            let shared = Tiling::Registers { subgroup: Some(lanes), strips: 1 };
            assert_eq!(small(Some(lanes)), shared);
        }
        assert_eq!(small(Some(2)), ALONE);
        assert_eq!(small(None), ALONE);
        for subgroup in [None, Some(8), Some(32)] {
            let sizes = [32, 64, 20];
            assert_eq!(of(AdapterClass::Gpu, subgroup, sizes), Tiling::Shared { side: 8 });
        }
    }

    #[test]
    fn tiles_grow_with_the_product() {
        let strips = |strips| Tiling::Registers { subgroup: Some(8), strips };
        let software = |sizes| of(AdapterClass::Software, Some(8), sizes);
        assert_eq!(software([128, 128, 63]), strips(1));
        assert_eq!(software([128, 128, 64]), strips(2));
        assert_eq!(software([4096, 64, 31]), strips(2));
        assert_eq!(software([4096, 64, 32]), strips(4));
        assert_eq!(software([8, 1024, 4096]), strips(1));
        assert_eq!(software([16, 1024, 4096]), strips(2));
        let gpu = |sizes| of(AdapterClass::Gpu, Some(32), sizes);
        assert_eq!(gpu([1024, 512, 16]), Tiling::Shared { side: 16 });
        assert_eq!(gpu([1024, 448, 16]), Tiling::Shared { side: 8 });
        assert_eq!(gpu([1024, 512, 15]), ALONE);
    }

    #[test]
    fn sums_are_split_where_tiles_are_few_or_loops_long() {
        let parts = |class, sizes| {
            product(&Target { class, subgroup: Some(8), ..Target::default() }, sizes).parts
        };
        let software = |sizes| parts(AdapterClass::Software, sizes);
        assert_eq!(software([64, 64, 4096]), 4, "four tiles of 32×32");
        assert_eq!(software([64, 64, 511]), 1);
        assert_eq!(software([3, 5, 4096]), 16);
        assert_eq!(software([4096, 4096, 32_769]), 2);
        assert_eq!(software([1, 1, 1]), 1);
        assert_eq!(parts(AdapterClass::Gpu, [64, 64, 4096]), 16);
    }

    #[test]
    fn a_tiling_that_is_asked_for_is_taken() {
        let tiling = Tiling::Shared { side: 16 };
        let target = Target { tiling: Some(tiling), ..Target::default() };
        assert_eq!(product(&target, [3, 3, 3]).tiling, tiling);
    }
}

//! Which variant of a matrix product a device gets: a small rule, no timing.
//!
//! | device | product | tiling |
//! | --- | --- | --- |
//! | software, subgroups of 8 invocations | 16 columns or fewer of 2¹⁴ terms or more, 25 rows or more | 2 bands of 8 rows × 4 columns per invocation, subgroups in halves |
//! | software, subgroups of 4 or 8·i invocations | from 2²¹ multiply-adds on | 3 bands of 8 rows × 8 columns per invocation, 2 below 185 rows, or 4 of 4 columns; rows shared |
//! | | from 2²⁰ on | 2 bands of 8 rows × 4 columns per invocation |
//! | | smaller | 1 band |
//! | software, without such subgroups | any | 1 band, nothing shared |
//! | GPU | sums of fewer than 16 terms | 1 band, nothing shared |
//! | | sums of 128 terms or more, tiles of 64×32 fill less than half of it | workgroup memory, 32×32, in quarters |
//! | | tiles of 128×64 fill half of it or more, and waste little at edges | workgroup memory, 128×64 |
//! | | any other | workgroup memory, 64×32 |
//!
//! On software adapters a load costs thirty multiply-adds and workgroup memory is no faster, so a
//! value should be used often once it is in a register; but the code grows with every band, the first
//! step of a new process has to wait for its compilation, and with more than three bands of 8 columns
//! it leaves the processor's instruction cache. 2²⁰ and 2²¹ multiply-adds are counted with 16 more for
//! each sum, for what it takes to store it. Where shaders have integers of 64 bits, memory is read in them.
//! From 2²⁰ multiply-adds on, on processors without AVX-512, and with it from 2²⁶ on, on Mesa 22, A and B are copied into
//! textures and read from there, which takes a fraction of that. `docs/rejected.md` and `docs/performance.md` have the
//! figures. The rule for GPUs goes by what a GPU's compiler makes of the kernels and by a model of what that takes
//! (`bench/kernels`); it was never timed on one. An invocation of tiles of 128×64 and of 64×32 does the same work, so both
//! fill a GPU alike; the large ones load half as much, the small ones spread over more cores.
//! In quarters, an invocation does an eighth of it.
//!
//! Sums are split where a product has too few tiles to fill a device, and where so many terms one after another
//! would lose digits; what is left of a loop is short enough for software drivers. On a GPU they are split until
//! [`Target::filled_by`] invocations have work or each quarter of a part has 64 terms, or 32 where that would leave half
//! of the GPU idle; sums of fewer than 1024 terms are not, since what joins the parts is a dispatch, which takes as
//! long as some sixteen slabs.

use super::{AdapterClass, Target};
use crate::kernel::LONGEST_SUM;
use crate::kernel::matmul::{self, Memory, Tiling};

/// A matrix product's variant, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TilingChoice {
    /// How the work lies.
    pub tiling: Tiling,
    /// Into how many parts the sum over `k` is split.
    pub parts: usize,
    /// The row of the rule that applied.
    pub why: &'static str,
    /// Why the sum is split, if it is.
    pub split: Option<&'static str>,
}

/// Multiply-adds from which two bands pay for their compilation within a thousand steps.
const MEDIUM: usize = 1 << 20;

/// Multiply-adds that take about as long as storing a sum and what the epilogue does to it before.
const STORE: usize = 16;

/// Multiply-adds per column from which few columns pay for tiles of their own: in tiles of 32 columns,
/// most of what they take is in vain.
const NARROW: usize = 1 << 14;

/// Multiply-adds from which more sums per invocation pay within some thousands of products: 20 µs of each, for
/// 45 ms (Mesa 22.3) or 140 ms (25.0) of compilation in the first process.
const LARGE: usize = 1 << 21;

/// Bands of 8 rows from which hardly any are computed in vain with three to a tile.
const MANY_ROWS: usize = 24;

/// Terms that are worth a workgroup of their own where tiles are few, on software adapters.
const SHORTEST_SHARE: usize = 256;

/// Terms that are worth a quarter of a workgroup on GPUs; the same where half of a GPU would be idle.
const GPU_SHARE: usize = 64;
const GPU_SHORTEST_SHARE: usize = 32;
/// Terms from which splitting a sum on a GPU saves more than the dispatch that joins its parts takes.
const GPU_SPLIT: usize = 1024;

/// The choice for `m`×`n` sums over `k`.
pub(super) fn product(target: &Target, [m, n, k]: [usize; 3]) -> TilingChoice {
    let (tiling, why) = match target.tiling {
        Some(tiling) => (tiling, "as asked for"),
        None => tiling(target, [m, n, k]),
    };
    let longest = matmul::longest_share(tiling, target.most_turns).min(LONGEST_SUM);
    let (busy, long) = (busy_parts(target, tiling, [m, n, k]), k.div_ceil(longest));
    let parts = matmul::parts(tiling, k, busy.max(long));
    let reason = match busy > long {
        true => "fewer tiles than keep the device busy",
        false => "too many terms for one loop",
    };
    TilingChoice { tiling, parts, why, split: (parts > 1).then_some(reason) }
}

/// Tiles that cover `m`×`n`.
fn tiles(tiling: Tiling, m: usize, n: usize) -> usize {
    let [rows, columns] = tiling.tile();
    m.div_ceil(rows) * n.div_ceil(columns)
}

/// Parts in which sums are split so that the device has enough to do.
fn busy_parts(target: &Target, tiling: Tiling, [m, n, k]: [usize; 3]) -> usize {
    match target.class {
        AdapterClass::Software => {
            (target.busy / tiles(tiling, m, n).max(1)).min(k / SHORTEST_SHARE)
        }
        AdapterClass::Gpu if k < GPU_SPLIT || fills(target, tiling, m, n) => 1,
        AdapterClass::Gpu => {
            let wanted = target.filled_by.div_ceil(invocations(tiling, m, n));
            // Quarters have a quarter of a part each.
            let shares = tiling.terms() / 16;
            let at_least_half = (wanted / 2).min(k / (shares * GPU_SHORTEST_SHARE));
            wanted.min(at_least_half.max(k / (shares * GPU_SHARE)))
        }
    }
}

/// Invocations of all tiles that cover `m`×`n`; 1 at least.
fn invocations(tiling: Tiling, m: usize, n: usize) -> usize {
    tiles(tiling, m, n).saturating_mul(tiling.invocations()).max(1)
}

/// Whether they fill a GPU by half or more: two subgroups for each of its schedulers.
fn fills(target: &Target, tiling: Tiling, m: usize, n: usize) -> bool {
    invocations(tiling, m, n) >= target.filled_by / 2
}

/// Whether tiles of 128×64 fill half of a GPU, and compute little more in vain than those of 64×32.
fn large_tiles_pay(target: &Target, m: usize, n: usize) -> bool {
    let large = Tiling::Shared { side: 16 };
    let of_small = invocations(Tiling::Shared { side: 8 }, m, n);
    fills(target, large, m, n) && invocations(large, m, n) <= of_small / 8 * 9
}

fn tiling(target: &Target, [m, n, k]: [usize; 3]) -> (Tiling, &'static str) {
    let multiply_adds = m.saturating_mul(n).saturating_mul(k.saturating_add(STORE));
    match target.class {
        AdapterClass::Software => {
            let Target { subgroup, words, texels, texels_from, .. } = *target;
            let memory = match words {
                true if texels && texels_from.is_some_and(|from| multiply_adds >= from) => {
                    Memory::Texels
                }
                true => Memory::Words,
                false => Memory::Numbers,
            };
            let of_size = |strips, columns, halves| Tiling::Registers {
                subgroup,
                strips,
                columns,
                halves,
                memory,
            };
            let bands = |strips, columns| of_size(strips, columns, false);
            let halves = of_size(2, 4, true);
            let runs = |tiling: Tiling| tiling.runs_with(subgroup, words, texels);
            let Some(invocations) = subgroup.filter(|_| runs(bands(1, 4))) else {
                let why = "software adapter without subgroups of a known size";
                return (
                    Tiling::Registers {
                        subgroup: None,
                        strips: 1,
                        columns: 4,
                        halves: false,
                        memory,
                    },
                    why,
                );
            };
            // What lies past the last row or column is computed in vain.
            let rows = m.div_ceil(8);
            let wide = n > 4 * invocations as usize;
            if m.saturating_mul(k) >= NARROW && n <= 16 && rows >= 4 && runs(halves) {
                (halves, "software adapter, 16 columns or fewer, 2^14 terms in each or more")
            } else if multiply_adds >= LARGE && rows > 1 {
                let tiling = match (wide, rows) {
                    (true, MANY_ROWS..) => bands(3, 8),
                    (true, _) => bands(2, 8),
                    (false, 2) => bands(2, 4),
                    (false, _) => bands(4, 4),
                };
                (tiling, "software adapter, 2^21 multiply-adds or more, 16 for each store")
            } else if multiply_adds >= MEDIUM && rows > 1 {
                (bands(2, 4), "software adapter, 2^20 multiply-adds or more, 16 for each store")
            } else {
                (bands(1, 4), "software adapter, a small product")
            }
        }
        AdapterClass::Gpu if k < 16 => {
            let alone = Tiling::Registers {
                subgroup: None,
                strips: 1,
                columns: 4,
                halves: false,
                memory: Memory::Numbers,
            };
            (alone, "GPU, sums of fewer than 16 terms")
        }
        AdapterClass::Gpu if k >= 128 && !fills(target, Tiling::Shared { side: 8 }, m, n) => (
            Tiling::Quarters,
            "GPU, sums of 128 terms or more, tiles of 64×32 fill less than half of it",
        ),
        AdapterClass::Gpu if large_tiles_pay(target, m, n) => {
            (Tiling::Shared { side: 16 }, "GPU, tiles of 128×64 fill half of it or more")
        }
        AdapterClass::Gpu => {
            (Tiling::Shared { side: 8 }, "GPU, tiles of 128×64 are too few or waste too much")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(subgroup: Option<u32>, strips: u32, columns: u32) -> Tiling {
        let memory = Memory::Numbers;
        Tiling::Registers { subgroup, strips, columns, halves: false, memory }
    }

    fn of(class: AdapterClass, subgroup: Option<u32>, sizes: [usize; 3]) -> Tiling {
        product(&Target { class, subgroup, ..Target::default() }, sizes).tiling
    }

    #[test]
    fn subgroups_are_for_software_adapters_that_have_them() {
        let small = |subgroup| of(AdapterClass::Software, subgroup, [32, 64, 10]);
        for invocations in [4, 8, 16] {
            assert_eq!(small(Some(invocations)), registers(Some(invocations), 1, 4));
        }
        assert_eq!(small(Some(2)), registers(None, 1, 4));
        assert_eq!(small(None), registers(None, 1, 4));
        for subgroup in [None, Some(8), Some(32)] {
            let sizes = [32, 64, 20];
            assert_eq!(of(AdapterClass::Gpu, subgroup, sizes), Tiling::Shared { side: 8 });
        }
    }

    #[test]
    fn tiles_grow_with_the_product() {
        let bands = |strips, columns| registers(Some(8), strips, columns);
        let software = |sizes| of(AdapterClass::Software, Some(8), sizes);
        assert_eq!(software([128, 128, 47]), bands(1, 4));
        assert_eq!(software([128, 128, 48]), bands(2, 4));
        assert_eq!(software([1024, 64, 15]), bands(2, 4));
        assert_eq!(software([1024, 64, 16]), bands(3, 8));
        assert_eq!(software([8192, 64, 1]), bands(3, 8));
        assert_eq!(software([4096, 33, 64]), bands(3, 8));
        assert_eq!(software([185, 1024, 64]), bands(3, 8));
        assert_eq!(software([184, 1024, 64]), bands(2, 8));
        assert_eq!(software([4096, 32, 64]), bands(4, 4));
        assert_eq!(software([16, 32, 16_384]), bands(2, 4));
        assert_eq!(software([8, 1024, 4096]), bands(1, 4));
        assert_eq!(software([16, 1024, 4096]), bands(2, 8));
        let in_halves = |tiling| matches!(tiling, Tiling::Registers { halves: true, .. });
        assert!(in_halves(software([4096, 16, 64])));
        assert!(in_halves(software([256, 1, 64])));
        assert!(!in_halves(software([255, 1, 64])));
        assert!(!in_halves(software([4096, 17, 64])));
        assert!(!in_halves(of(AdapterClass::Software, Some(4), [4096, 16, 64])));
        let gpu = |sizes| of(AdapterClass::Gpu, Some(32), sizes);
        assert_eq!(gpu([1024, 512, 16]), Tiling::Shared { side: 16 });
        assert_eq!(gpu([1024, 448, 16]), Tiling::Shared { side: 8 });
        assert_eq!(gpu([1024, 512, 15]), registers(None, 1, 4));
        assert_eq!(gpu([256, 512, 127]), Tiling::Shared { side: 8 });
        assert_eq!(gpu([256, 512, 128]), Tiling::Quarters);
        assert_eq!(gpu([1024, 768, 128]), Tiling::Shared { side: 16 });
        // Half of each tile would be in vain.
        assert_eq!(gpu([65_536, 32, 64]), Tiling::Shared { side: 8 });
    }

    #[test]
    fn sums_are_split_where_tiles_are_few_or_loops_long() {
        let parts = |class, sizes| {
            let target = Target { class, subgroup: Some(8), busy: 16, ..Target::default() };
            product(&target, sizes).parts
        };
        let software = |sizes| parts(AdapterClass::Software, sizes);
        assert_eq!(software([64, 64, 4096]), 4, "four tiles of 16×64");
        assert_eq!(software([64, 64, 511]), 1);
        assert_eq!(software([3, 5, 4096]), 16);
        assert_eq!(software([4096, 4096, 32_769]), 2);
        assert_eq!(software([1, 1, 1]), 1);
    }

    #[test]
    fn sums_are_split_until_a_gpu_is_full() {
        let parts =
            |filled_by, sizes| product(&Target { filled_by, ..Target::default() }, sizes).parts;
        let discrete = |sizes| parts(1 << 15, sizes);
        // The products of 784-512-512-10 at batch 256, forward, of the inputs and of the weights.
        for sizes in [[256, 512, 784], [256, 10, 512], [256, 512, 512], [784, 512, 256]] {
            assert_eq!(discrete(sizes), 1, "{sizes:?}");
        }
        assert_eq!(discrete([64, 64, 4096]), 16, "quarters of 64 terms fill half");
        // Those would leave more than half of the GPU idle.
        assert_eq!(discrete([32, 64, 4096]), 32);
        assert_eq!(discrete([32, 32, 4096]), 32, "quarters of 32 terms are the shortest");
        assert_eq!(discrete([64, 64, 1023]), 1);
        assert_eq!(discrete([1024, 1024, 4096]), 1);
        assert_eq!(discrete([1, 1, 1]), 1);
        // A smaller GPU, and a larger one.
        assert_eq!(parts(6 << 10, [64, 64, 4096]), 6);
        assert_eq!(parts(1 << 16, [64, 64, 4096]), 32);
    }

    #[test]
    fn words_and_texels_are_for_software_adapters_that_have_them() {
        let memory = |class, texels_from, sizes| {
            let target = Target { class, words: true, texels_from, ..Target::default() };
            match product(&target, sizes).tiling {
                Tiling::Registers { memory, .. } => Some(memory),
                Tiling::Shared { .. } | Tiling::Quarters => None,
            }
        };
        let (small, large) = ([32, 64, 8], [256, 512, 64]);
        for from in [None, Some(1 << 20)] {
            assert_eq!(memory(AdapterClass::Software, from, small), Some(Memory::Words));
            assert_eq!(memory(AdapterClass::Gpu, from, large), None);
        }
        assert_eq!(memory(AdapterClass::Software, Some(1 << 20), large), Some(Memory::Texels));
        for from in [None, Some(1 << 26)] {
            assert_eq!(memory(AdapterClass::Software, from, large), Some(Memory::Words));
        }
    }

    #[test]
    fn a_tiling_that_is_asked_for_is_taken() {
        let tiling = Tiling::Shared { side: 16 };
        let target = Target { tiling: Some(tiling), ..Target::default() };
        assert_eq!(product(&target, [3, 3, 3]).tiling, tiling);
    }
}

//! Which variant of a kernel a device gets: a small rule, no timing.

use super::{AdapterClass, Target};
use crate::kernel::matmul::Lanes;

/// Matrix products: on software adapters, where a load costs ten times a broadcast, one subgroup
/// per workgroup; elsewhere, and where subgroups are missing or of changing size, plain lanes.
///
/// A first sketch of both (8 rows, 4 columns per lane, 1024³, a busy two-core machine) ran at 9 and
/// 18 GFLOP/s on lavapipe, at 1 and 5 on SwiftShader; the kernels as they stand have yet to be
/// compared on a quiet machine.
pub(super) fn lanes(target: &Target) -> Lanes {
    match (target.class, target.subgroup) {
        (AdapterClass::Software, Some(4)) => Lanes::Subgroup(4),
        (AdapterClass::Software, Some(size)) if size >= 8 && size.is_multiple_of(8) => {
            Lanes::Subgroup(size)
        }
        _ => Lanes::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subgroups_are_for_software_adapters_that_have_them() {
        let target = |class, subgroup| Target { class, subgroup, ..Target::default() };
        assert_eq!(lanes(&target(AdapterClass::Software, Some(8))), Lanes::Subgroup(8));
        assert_eq!(lanes(&target(AdapterClass::Software, Some(4))), Lanes::Subgroup(4));
        assert_eq!(lanes(&target(AdapterClass::Software, Some(2))), Lanes::Plain);
        assert_eq!(lanes(&target(AdapterClass::Software, None)), Lanes::Plain);
        assert_eq!(lanes(&target(AdapterClass::Gpu, Some(32))), Lanes::Plain);
        assert_eq!(lanes(&Target::default()), Lanes::Plain);
    }
}

//! What tells plans apart whose results may differ in their bits.

use super::Plan;

/// FNV-1a, 64 bits (Fowler, Noll, Vo): the same on every host and in every version of Rust.
struct Fnv(u64);

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// With its length, so that what follows it is told from its end.
    fn add_text(&mut self, text: &str) {
        self.add(&(text.len() as u64).to_le_bytes());
        self.add(text.as_bytes());
    }
}

impl Plan {
    /// A number of the kernels that the plan runs: their texts, constants, sizes and workgroups, in order, and of
    /// what trains in their place, if something does. Plans with the same number compute the same bits on the same adapter
    /// and driver. With another one they may not: how sums are split depends on what fills the device
    /// ([`Target::filled_by`](super::Target::filled_by), [`Target::busy`](super::Target::busy)), and kernels are
    /// chosen by its kind. A new version of wgrad may give the same plan another number.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        for dispatch in &self.dispatches {
            let launch = &dispatch.launch;
            for part in &launch.parts {
                hash.add_text(part.source);
            }
            for (name, value) in &launch.constants {
                hash.add_text(name);
                hash.add(&value.to_bits().to_le_bytes());
            }
            for word in &launch.dims {
                hash.add(&word.to_le_bytes());
            }
            hash.add(&(launch.workgroups as u64).to_le_bytes());
            if dispatch.missed > 0 {
                hash.add(&dispatch.missed.to_le_bytes());
            }
        }
        hash.add_text(self.trains_with.as_deref().unwrap_or_default());
        hash.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::plan::Target;

    #[test]
    fn it_is_fnv() {
        let of = |text: &str| {
            let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
            hash.add(text.as_bytes());
            hash.0
        };
        // The test vectors of its authors.
        assert_eq!(of(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(of("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn plans_that_split_sums_otherwise_have_another() {
        let plan = |filled_by, k| {
            let mut graph = Graph::new();
            let a = graph.input("a", [64, k]).unwrap();
            let b = graph.input("b", [k, 64]).unwrap();
            let y = graph.matmul(a, b).unwrap();
            let target = Target { filled_by, ..Target::default() };
            Plan::new(&graph, &[y], &target).unwrap().fingerprint()
        };
        assert_eq!(plan(1 << 15, 4096), plan(1 << 15, 4096));
        assert_ne!(plan(1 << 15, 4096), plan(1 << 10, 4096));
        assert_ne!(plan(1 << 15, 4096), plan(1 << 15, 4097));
        // Too short to be split.
        assert_eq!(plan(1 << 15, 64), plan(1 << 10, 64));
    }
}

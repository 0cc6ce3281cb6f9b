//! What stands in a kernel's hottest loop, by AMD's assembly as ACO prints it.

use std::collections::BTreeMap;

/// The instructions of a loop, by what they do. One that does two things at once counts as both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    pub all: usize,
    /// On vectors: what an invocation does.
    pub vector: usize,
    /// Of those, fused multiply-adds.
    pub multiply_adds: usize,
    /// Of those, integer minima and maxima, comparisons and selections.
    pub checks: usize,
    /// On scalars: what a subgroup does.
    pub scalar: usize,
    /// Of workgroup memory.
    pub reads: usize,
    pub writes: usize,
    /// Of other memory.
    pub loads: usize,
    pub stores: usize,
    pub waits: usize,
    /// How often loads are under way that are waited for before others begin.
    pub rounds_of_loads: usize,
    pub barriers: usize,
    pub branches: usize,
    /// Whether what is loaded is written to workgroup memory a turn later: loads come after writes.
    pub loads_ahead: bool,
}

impl Mix {
    /// Multiply-adds per vector instruction.
    pub fn share(&self) -> f64 {
        self.multiply_adds as f64 / self.vector.max(1) as f64
    }

    fn of(lines: &[&str]) -> Self {
        let mut mix = Mix::default();
        let mut written_first = None;
        let mut under_way = false;
        for line in lines {
            let Some(instruction) = line.strip_prefix('\t') else { continue };
            // Two in one: `v_dual_fmac_f32 … :: v_dual_mul_f32 …`.
            for part in instruction.split("::") {
                let op = part.split_whitespace().next().unwrap_or_default();
                if op.is_empty() || op.starts_with('(') {
                    continue;
                }
                let loads = mix.loads;
                mix.count(op);
                under_way |= mix.loads > loads;
                if under_way && op == "s_waitcnt" && part.contains("vmcnt") {
                    mix.rounds_of_loads += 1;
                    under_way = false;
                }
                if mix.loads + mix.writes == 1 && written_first.is_none() {
                    written_first = Some(mix.writes == 1);
                }
            }
        }
        mix.loads_ahead = written_first == Some(true) && mix.loads > 0;
        mix
    }

    fn count(&mut self, op: &str) {
        let is = |names: &[&str]| names.iter().any(|name| op.contains(name));
        self.all += 1;
        if op.starts_with("v_") {
            let sums =
                ["_fma_f32", "_fmac_f32", "_fmaak_f32", "_fmamk_f32", "_mad_f32", "_mac_f32"];
            self.vector += 1;
            self.multiply_adds += usize::from(is(&sums));
            self.checks +=
                usize::from(is(&["_min_u32", "_max_u32", "_cmp_", "_cmpx_", "_cndmask"]));
        } else if op.starts_with("ds_read") || op.starts_with("ds_load") {
            self.reads += 1;
        } else if op.starts_with("ds_") {
            self.writes += 1;
        } else if op.starts_with("s_waitcnt") || op.starts_with("s_wait_") {
            self.waits += 1;
        } else if op.starts_with("s_barrier") {
            self.barriers += 1;
        } else if op.starts_with("s_branch") || op.starts_with("s_cbranch") {
            self.branches += 1;
        } else if op.starts_with("s_") {
            self.scalar += 1;
        } else if is(&["buffer_load", "global_load", "flat_load"]) {
            self.loads += 1;
        } else if is(&["buffer_store", "global_store", "flat_store"]) {
            self.stores += 1;
        }
    }
}

/// The innermost loop around the most multiply-adds. Loops within it count once.
pub fn hottest_loop(assembly: &str) -> Option<Mix> {
    let code = |line| str::split(line, ';').next().unwrap_or_default().trim_end();
    let lines: Vec<&str> = assembly.lines().map(code).collect();
    let mixes = loops(&lines).into_iter().map(|(start, end)| Mix::of(&lines[start..=end]));
    mixes
        .max_by_key(|mix| (mix.multiply_adds, usize::MAX - mix.all))
        .filter(|m| m.multiply_adds > 0)
}

/// The loops of an assembly: from a label to the last branch back to it.
fn loops(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut labels = BTreeMap::new();
    let mut loops: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(label) = line.strip_suffix(':').filter(|label| label.starts_with("BB")) {
            labels.insert(label, at);
        }
        let mut fields = line.split_whitespace();
        let op = fields.next().unwrap_or_default();
        let branches = op.starts_with("s_branch") || op.starts_with("s_cbranch");
        if let Some(&start) = fields.next().filter(|_| branches).and_then(|l| labels.get(l)) {
            loops.insert(start, at);
        }
    }
    loops.into_iter().collect()
}

#[test]
fn the_hottest_loop_has_most_multiply_adds() {
    let text = "BB0:\n\tv_mov_b32 v0, 0\nBB1:\n\tds_write_b128 v0, v1\n\ts_barrier\n\tbuffer_load_dwordx4 v[0:3]\n\
                \ts_waitcnt lgkmcnt(0)\n\ts_waitcnt vmcnt(0)\n\tds_read_b128 v[4:7], v8\n\tv_fma_f32 v0, v1, v2, v3 ; 00\n\
                \tv_dual_fmac_f32 v0, v1, v2 :: v_dual_mul_f32 v3, v4, v5\n\tv_cndmask_b32 v0, v1\n\
                \ts_cbranch_scc1 BB1\nBB2:\n\tv_fma_f32 v0, v1, v2, v3\n\ts_cbranch_scc1 BB2\n\ts_endpgm\n";
    let expected = Mix {
        all: 11,
        vector: 4,
        multiply_adds: 2,
        checks: 1,
        reads: 1,
        writes: 1,
        loads: 1,
        waits: 2,
        rounds_of_loads: 1,
        barriers: 1,
        branches: 1,
        loads_ahead: true,
        ..Mix::default()
    };
    assert_eq!(hottest_loop(text), Some(expected));
    assert_eq!(hottest_loop("BB0:\n\tv_fma_f32 v0, v1, v2, v3\n"), None);
}

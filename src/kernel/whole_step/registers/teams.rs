//! Teams: subgroups of one workgroup that each have all parameters and some of a batch's rows.

use super::{Kernel, four};
use crate::kernel::whole_step::writer::{Writer, component, line};

impl Kernel<'_> {
    /// Adds up what the teams found of their rows, in their order, so that every team has the gradients and sums of
    /// the whole batch: through workgroup memory, some fours of numbers of each invocation at a time.
    pub(super) fn write_totals_of_teams(&self, w: &mut Writer) {
        let Self { net, .. } = self;
        if net.teams == 1 {
            return;
        }
        let gradients = self.names().into_iter().map(|name| format!("g{name}"));
        let counts = (0..net.counts.len()).map(|n| format!("count{n}"));
        let sums: Vec<String> = gradients.chain(["loss".into()]).chain(counts).collect();
        line!(w, "// ---- The sums over all teams.");
        let fours: Vec<usize> = (0..sums.len().div_ceil(4)).collect();
        for some in fours.chunks(net.fours_at_once()) {
            for (n, &q) in some.iter().enumerate() {
                let numbers = four(q, sums.len(), |i| sums[i].clone());
                line!(
                    w,
                    "exchange[team].fours[{}u + invocation] = {numbers};",
                    n * net.invocations
                );
            }
            line!(w, "workgroupBarrier();");
            for (n, &q) in some.iter().enumerate() {
                let of_team =
                    |team| format!("exchange[{team}].fours[{}u + invocation]", n * net.invocations);
                let all: Vec<String> = (0..net.teams).map(of_team).collect();
                line!(w, "let all{q} = {};", all.join(" + "));
                for (c, sum) in sums.iter().skip(4 * q).take(4).enumerate() {
                    line!(w, "{sum} = all{q}.{};", component(c));
                }
            }
            line!(w, "workgroupBarrier();");
        }
    }

    /// The head of `main`: which invocation of which team this is.
    pub(super) fn write_head(&self, w: &mut Writer) {
        line!(
            w,
            "@compute @workgroup_size({})",
            match self.net.teams {
                1 => "INVOCATIONS".into(),
                teams => format!("INVOCATIONS * {teams}"),
            }
        );
        match (self.net.teams, self.net.subgroups) {
            (1, true) => {
                line!(w, "fn main(@builtin(subgroup_invocation_id) invocation: u32) {{");
            }
            (1, false) => {
                line!(w, "fn main(@builtin(local_invocation_index) invocation: u32) {{");
            }
            (_, true) => {
                line!(w, "fn main(");
                line!(w, "@builtin(subgroup_invocation_id) invocation: u32,");
                line!(w, "@builtin(subgroup_id) subgroup: u32,");
                line!(w, ") {{");
                line!(w, "team = subgroup;");
            }
            (_, false) => {
                line!(w, "fn main(@builtin(local_invocation_index) index: u32) {{");
                line!(w, "team = index / INVOCATIONS;");
                line!(w, "let invocation = index % INVOCATIONS;");
            }
        }
    }

    /// Whether it is one invocation of all, or one team: what only one should do.
    pub(super) fn of_one_team(&self, condition: &str) -> String {
        match self.net.teams {
            1 => format!("({condition})"),
            _ => format!("(({condition}) & (team == 0u))"),
        }
    }
}

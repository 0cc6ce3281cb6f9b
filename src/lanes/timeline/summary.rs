//! A timeline as a small table.

use std::collections::BTreeSet;
use std::fmt;

use super::{Activity, Timeline};

impl fmt::Display for Timeline {
    /// Per lane: the share of wall time in which it computes, milliseconds of each activity, and
    /// megabytes exchanged; then how much overlaps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: BTreeSet<u64> = self.valid().map(|span| span.step).collect();
        writeln!(
            f,
            "{} and {} in {:.3} ms ({})",
            counted(self.lanes.len(), "lane"),
            counted(steps.len(), "step"),
            1e3 * self.wall(),
            self.clock
        )?;
        let width = self.lanes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(4);
        write!(f, "{:<width$} {:>7}", "lane", "busy")?;
        // Few trainings read or write files while they train.
        let of_files = |a: &Activity| matches!(a, Activity::Read | Activity::Checkpoint);
        let is_there = |a: &Activity| self.valid().any(|span| span.activity == *a);
        let shown = || Activity::ALL.into_iter().filter(|a| !of_files(a) || is_there(a));
        for activity in shown() {
            write!(f, " {:>11}", format!("{activity} ms"))?;
        }
        writeln!(f, " {:>12}", "exchanged MB")?;
        for (lane, name) in self.lanes.iter().enumerate() {
            write!(f, "{name:<width$} {:>5.1} %", 100.0 * self.busy(lane))?;
            for activity in shown() {
                write!(f, " {:>11.3}", 1e3 * self.seconds(lane, activity))?;
            }
            writeln!(f, " {:>12.3}", 1e-6 * self.bytes(lane, Activity::Exchange) as f64)?;
        }
        write!(f, "at least two lanes compute {:.1} % of the time; ", 100.0 * self.overlap())?;
        match (self.exchange_hidden(), self.exchange_beside_compute()) {
            (Some(own), Some(any)) => {
                let (own, any) = (100.0 * own, 100.0 * any);
                write!(f, "of the exchange, {own:.1} % is hidden behind the lane's own work, ")?;
                write!(f, "{any:.1} % behind any lane's")
            }
            _ => f.write_str("nothing was exchanged"),
        }?;
        match self.times_serial {
            Some(times) => write!(f, "; {times:.2} times as fast as serial"),
            None => Ok(()),
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

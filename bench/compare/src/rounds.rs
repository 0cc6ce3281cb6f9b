//! Rounds in turns: every peer does a workload once per round, each round in another order.

use bench_common::protocol::Description;
use bench_common::workload::{Task, Workload};

use crate::figures::figures;
use crate::process::Worker;
use crate::report::{Place, Row};

/// The relative difference between checks beyond which peers have not done the same arithmetic:
/// sums in other orders differ in the last of f32's 24 bits, and hundreds of steps let that grow.
pub const TOLERANCE: f64 = 1e-3;

/// Runs before the first that counts; kernels are compiled and tuned in them.
const WARM_UPS: usize = 2;

/// A worker that is up, and who it says it is.
pub type Peer = (Worker, Description);

/// Measures a workload; returns the rows and whether the checks agree. A peer that cannot do it is
/// left out, with the reason.
pub fn measure(
    peers: &mut [Peer],
    place: &Place,
    workload: &Workload,
    rounds: usize,
) -> Result<(Vec<Row>, bool), String> {
    let task = &workload.task;
    let mut able = Vec::new();
    for (index, (worker, _)) in peers.iter_mut().enumerate() {
        match worker.prepare(task)? {
            Ok(()) => able.push(index),
            Err(why) if matches!(task, Task::Peak { .. }) => drop(why),
            Err(why) => println!("{:<24}{:<11}not measured: {why}", workload.name, worker.peer),
        }
    }
    for &index in &able {
        for _ in 0..WARM_UPS {
            peers[index].0.measure()?;
        }
    }
    let mut runs = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        for turn in 0..able.len() {
            let index = able[(round + turn) % able.len()];
            runs[index].push(peers[index].0.measure()?);
        }
    }
    let mut rows = Vec::new();
    let mut checks = Vec::new();
    for ((worker, description), runs) in peers.iter().zip(&runs) {
        let Some(last) = runs.last() else { continue };
        let check = has_check(task).then_some(last.check);
        checks.extend(runs.iter().filter(|_| has_check(task)).map(|run| run.check));
        let by_round: Vec<_> = runs.iter().map(|run| figures(task, &run.seconds)).collect();
        for (number, &(suffix, _, unit)) in by_round[0].iter().enumerate() {
            let values: Vec<f64> = by_round.iter().map(|figures| figures[number].1).collect();
            let name = format!("{}{suffix}", workload.name);
            let who = (worker.peer.as_str(), description);
            rows.push(Row::new(place, &name, who, &values, unit, check));
        }
    }
    rows.sort_by(|a, b| a.workload.cmp(&b.workload));
    let Some(apart) = apart(&checks) else { return Ok((rows, true)) };
    let agree = apart <= TOLERANCE;
    println!(
        "{:<24}results {}: {:.6}, apart by {apart:.1e} of at most {TOLERANCE:.0e}",
        workload.name,
        if agree { "agree" } else { "DISAGREE" },
        checks[0],
    );
    Ok((rows, agree))
}

/// Nothing is computed on the noop device, and the peak has nothing to compare.
fn has_check(task: &Task) -> bool {
    !matches!(task, Task::HostFit { .. } | Task::Peak { .. })
}

/// How far the checks of all peers and rounds lie apart, relative to the first, if there are two: NaN if
/// one is.
fn apart(checks: &[f64]) -> Option<f64> {
    let (first, others) = checks.split_first()?;
    let apart = others.iter().map(|other| ((other - first) / first).abs());
    apart.reduce(|most, next| if most.is_nan() || next <= most { most } else { next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peer_and_no_round_may_be_apart() {
        let agree = |checks: &[f64]| apart(checks).is_none_or(|apart| apart <= TOLERANCE);
        assert!(agree(&[]) && agree(&[f64::NAN]));
        assert!(agree(&[-2.0, -2.001, -1.999]));
        assert!(!agree(&[2.0, 2.003, 2.0]) && !agree(&[2.0, 2.0, 1.997]) && !agree(&[2.0, -2.0]));
        let nan = f64::NAN;
        assert!(!agree(&[2.0, nan, 2.0]) && !agree(&[nan, 2.0, 2.0]) && !agree(&[2.0, 2.0, nan]));
    }
}

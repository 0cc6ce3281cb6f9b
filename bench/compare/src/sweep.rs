//! Steps per second over hidden widths and batch sizes, and what must hold over all of them.

use bench_common::workload::{Task, Workload, sweep};

use crate::figures::Spread;
use crate::report::{Place, Row, SUBJECT};
use crate::rounds::{self, Peer};

pub const HIDDEN: [usize; 7] = [16, 32, 64, 128, 256, 512, 1024];
pub const BATCH: [usize; 6] = [32, 128, 512, 2048, 8192, 16384];

/// Multiply-adds inside a clock, about; between 1 and 64 steps.
const WORK: u64 = 1 << 30;

/// A point may be this much slower per multiply-add than both its neighbours, not more.
const CLIFF: f64 = 2.0;

pub struct Sweep {
    pub rows: Vec<Row>,
    pub peers: Vec<String>,
    /// Medians in steps per second, by peer, hidden width and batch size.
    pub rates: Vec<Vec<Vec<f64>>>,
    /// Whether results agree, there is no cliff, and wgrad loses nowhere.
    pub holds: bool,
}

pub fn measure(peers: &mut [Peer], place: &Place, rounds: usize) -> Result<Sweep, String> {
    let names: Vec<String> = peers.iter().map(|(worker, _)| worker.peer.clone()).collect();
    let mut rates = vec![vec![Vec::new(); HIDDEN.len()]; peers.len()];
    let mut all = Vec::new();
    let mut holds = true;
    crate::report::print_header();
    for (h, hidden) in HIDDEN.into_iter().enumerate() {
        for batch in BATCH {
            let training = sweep(hidden, batch);
            let steps = (WORK / training.multiply_adds()).clamp(1, 64) as usize;
            let name = format!("sweep h={hidden} batch={batch}");
            let workload = Workload { name, task: Task::Steps { training, steps } };
            let (rows, agree) = rounds::measure(peers, place, &workload, rounds)?;
            holds &= agree;
            for row in &rows {
                crate::report::print_row(row, crate::report::advantage(&rows, row));
            }
            for (peer, name) in names.iter().enumerate() {
                let row = rows.iter().find(|row| row.peer == *name);
                rates[peer][h].push(row.map_or(f64::NAN, |row| row.median));
            }
            all.extend(rows);
        }
    }
    let subject = names.iter().position(|name| name == SUBJECT);
    if let Some(subject) = subject {
        holds &= no_cliff(&rates[subject]);
        for (peer, name) in names.iter().enumerate().filter(|&(peer, _)| peer != subject) {
            holds &= wins(&rates[subject], &rates[peer], name);
        }
    }
    Ok(Sweep { rows: all, peers: names, rates, holds })
}

/// Seconds per multiply-add at a point.
fn cost(rates: &[Vec<f64>], h: usize, b: usize) -> f64 {
    1.0 / (rates[h][b] * sweep(HIDDEN[h], BATCH[b]).multiply_adds() as f64)
}

/// Prints the points that are slower than both neighbours, in either direction.
fn no_cliff(rates: &[Vec<f64>]) -> bool {
    let mut cliffs = 0;
    for (h, hidden) in HIDDEN.into_iter().enumerate() {
        for (b, batch) in BATCH.into_iter().enumerate() {
            let inner_h = h > 0 && h + 1 < HIDDEN.len();
            let inner_b = b > 0 && b + 1 < BATCH.len();
            let across_h = inner_h.then(|| [cost(rates, h - 1, b), cost(rates, h + 1, b)]);
            let across_b = inner_b.then(|| [cost(rates, h, b - 1), cost(rates, h, b + 1)]);
            for [one, two] in across_h.into_iter().chain(across_b) {
                let times = cost(rates, h, b) / one.max(two);
                if times > CLIFF {
                    cliffs += 1;
                    println!(
                        "cliff: h={hidden} batch={batch} is {times:.1} times its neighbours' cost"
                    );
                }
            }
        }
    }
    println!("points of wgrad more than {CLIFF} times as costly as both neighbours: {cliffs}");
    cliffs == 0
}

/// Prints where wgrad does not win, and by how much it wins elsewhere.
fn wins(subject: &[Vec<f64>], other: &[Vec<f64>], name: &str) -> bool {
    let mut ratios = Vec::new();
    let mut lost = 0;
    for (h, hidden) in HIDDEN.into_iter().enumerate() {
        for (b, batch) in BATCH.into_iter().enumerate() {
            let ratio = subject[h][b] / other[h][b];
            if ratio < 1.0 {
                lost += 1;
                println!("lost: h={hidden} batch={batch} runs at {ratio:.2} of {name}'s rate");
            }
            ratios.push(ratio);
        }
    }
    let Spread { median, min, max } = Spread::of(&ratios);
    println!("wgrad against {name}: {lost} points lost; ratio {median:.2} ({min:.2} to {max:.2})");
    lost == 0
}

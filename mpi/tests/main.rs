//! Trainings over processes, started by `mpirun`: this program is both what starts them and what each process runs.
//!
//! `cargo test --test processes` runs all that takes seconds, `-- --ignored` what takes minutes; other words are
//! parts of names. `scripts/test-mpi` sees to it that there is an MPI.

mod launch;
mod process;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use launch::{Job, Line, launch};

/// Steps of the trainings with faults: 5 epochs of 5 batches.
const STEPS: u64 = 25;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "rank") {
        std::process::exit(process::run(&args[1..]));
    }
    let ignored = args.iter().any(|arg| arg == "--ignored");
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let tests: &[(&str, bool, fn())] = &[
        ("every_world_comes_to_the_bits_of_one_process", false, bits),
        ("garbage_and_nan_end_all_with_a_name", false, garbage_and_nan),
        ("a_process_that_hangs_is_named_and_training_goes_on", false, || hang(true)),
        ("a_process_that_is_killed_ends_the_job_and_training_goes_on", false, || hang(false)),
        ("twenty_kills_and_twenty_hangs_at_random_moments", true, campaign),
    ];
    for (name, is_long, test) in tests {
        if *is_long != ignored || !words.iter().all(|word| name.contains(word.as_str())) {
            continue;
        }
        let begun = Instant::now();
        test();
        println!("test {name} ... ok ({:.1} s)", begun.elapsed().as_secs_f64());
    }
}

/// What the processes said that begins with `word`.
fn said<'a>(lines: &'a [Line], word: &'a str) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(move |line| line.word == word)
}

/// One hash for each kind of training, whatever the number of processes and lanes, and the bytes that they take.
fn bits() {
    let mut hashes: BTreeSet<(String, String)> = BTreeSet::new();
    for (ranks, lanes) in [(1, 2), (2, 2), (3, 1), (4, 1)] {
        let job = Job { ranks, args: vec!["bits".into(), format!("lanes={lanes}")] };
        let outcome = launch(&job, Duration::from_secs(120));
        assert!(outcome.is_success, "{outcome:#?}");
        for line in said(&outcome.lines, "HASH") {
            hashes.insert((line.get("training"), line.get("hash")));
        }
        let said_by = said(&outcome.lines, "HASH").map(|line| line.get("rank"));
        assert_eq!(said_by.collect::<BTreeSet<_>>().len(), ranks, "{outcome:#?}");
        // With a micro-batch for each lane: what crosses processes in a step is at most twice the gradients, up to
        // names of messages. Several lanes of a process each send their part.
        for line in said(&outcome.lines, "BYTES") {
            let (sent, bound) = (line.number("sent"), line.number("bound"));
            assert!(sent <= bound, "{sent} bytes a step of {ranks} ranks, not {bound}");
            assert!(ranks == 1 || sent > 0);
        }
        assert!(said(&outcome.lines, "BYTES").count() == ranks, "{outcome:#?}");
    }
    let names: BTreeSet<&String> = hashes.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 2, "{hashes:?}");
    assert_eq!(hashes.len(), names.len(), "one hash for each: {hashes:?}");
}

/// In one job, after each other: whoever fails does not take the next training along.
fn garbage_and_nan() {
    let job = Job { ranks: 3, args: vec!["broken".into()] };
    let outcome = launch(&job, Duration::from_secs(60));
    assert!(outcome.is_success, "{outcome:#?}");
    for (fault, said_of_it) in [("garbage", "bytes as the gradient sums"), ("nan", "NaN")] {
        let errors: Vec<&Line> =
            said(&outcome.lines, "ERROR").filter(|line| line.get("fault") == fault).collect();
        assert_eq!(errors.len(), 3, "{outcome:#?}");
        assert!(errors.iter().any(|line| line.rest.contains(said_of_it)), "{errors:#?}");
        for line in errors {
            assert!(line.rest.contains("step 3") || line.rest.contains("of step 3"), "{line:?}");
            assert!(line.number("ms") < 20_000, "{line:?}");
        }
    }
    assert_eq!(said(&outcome.lines, "HASH").count(), 3, "{outcome:#?}");
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wgrad-mpi-{}-{name}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    folder
}

fn trains(ranks: usize, more: &[String]) -> Job {
    let mut args = vec!["train".to_string(), "patience=4".into()];
    args.extend_from_slice(more);
    Job { ranks, args }
}

fn hash_of(outcome: &launch::Outcome, ranks: usize) -> String {
    assert!(outcome.is_success, "{outcome:#?}");
    let hashes: BTreeSet<String> =
        said(&outcome.lines, "HASH").map(|line| line.get("hash")).collect();
    assert_eq!(said(&outcome.lines, "HASH").count(), ranks, "{outcome:#?}");
    assert_eq!(hashes.len(), 1, "{outcome:#?}");
    assert!(said(&outcome.lines, "HASH").all(|line| line.number("step") == STEPS));
    hashes.into_iter().next().unwrap_or_default()
}

/// The step from which a training went on, which rank 0 knows.
fn begun_at(outcome: &launch::Outcome) -> u64 {
    let first = said(&outcome.lines, "HASH").find(|line| line.get("rank") == "0");
    first.expect("what rank 0 says").number("from")
}

fn undisturbed() -> &'static str {
    static HASH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HASH.get_or_init(|| hash_of(&launch(&trains(1, &[]), Duration::from_secs(60)), 1))
}

/// Stops (or kills) rank 1 in step 12, sees what the others say, and goes on with another number of processes.
fn hang(stops: bool) {
    let folder = folder(if stops { "hang" } else { "kill" });
    let checkpoints = format!("checkpoints={}", folder.display());
    let fault = if stops { "fault=stop@1:12" } else { "fault=kill@1:12" };
    let job = trains(3, &[checkpoints.clone(), fault.into()]);
    let outcome = launch(&job, Duration::from_secs(60));
    assert!(!outcome.is_success, "{outcome:#?}");
    if stops {
        // The launcher wakes the one that was stopped before it ends it, and that may say something too.
        let errors: Vec<&Line> =
            said(&outcome.lines, "ERROR").filter(|line| line.get("rank") != "1").collect();
        assert_eq!(errors.len(), 2, "{outcome:#?}");
        for line in errors {
            assert!(line.rest.contains("step 12") && line.rest.contains("rank 1"), "{line:?}");
            // Patience is 4 s.
            assert!(line.number("ms") < 15_000, "{line:?}");
        }
    }
    // Whatever there is, is whole: it can be gone on from.
    let again = launch(&trains(2, &[checkpoints]), Duration::from_secs(60));
    assert_eq!(hash_of(&again, 2), undisturbed());
    let from = begun_at(&again);
    assert!((5..=12).contains(&from), "{again:#?}");
    drop(std::fs::remove_dir_all(folder));
}

/// Whatever the moment and the number of processes, a training that is killed or hangs ends in time, and its
/// checkpoint leads to the bits of an undisturbed one. Half of those that hang, and of those that are killed, go on with
/// another number of processes.
fn campaign() {
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) % below
    };
    let mut worst = Duration::ZERO;
    for number in 0..40 {
        let stops = number % 2 == 0;
        let ranks = 2 + random(3) as usize;
        let (rank, ms) = (random(ranks as u64), random(2500));
        let folder = folder(&format!("random-{number}"));
        let checkpoints = format!("checkpoints={}", folder.display());
        let fault = format!("fault={}@{rank}:{ms}ms", if stops { "stop" } else { "kill" });
        let job = trains(ranks, &[checkpoints.clone(), fault.clone(), "slow=100".into()]);
        let begun = Instant::now();
        let outcome = launch(&job, Duration::from_secs(60));
        let took = begun.elapsed();
        worst = worst.max(took);
        // It may have come to its end before.
        let errors = said(&outcome.lines, "ERROR").count();
        let others = if number % 4 < 2 { ranks } else { 1 + (ranks + 1) % 4 };
        let again = launch(&trains(others, &[checkpoints]), Duration::from_secs(120));
        assert_eq!(hash_of(&again, others), undisturbed(), "{fault} of {ranks}, then {others}");
        let from = begun_at(&again);
        println!(
            "{number}: {fault} of {ranks} ranks: ended after {:.1} s, {errors} errors said; \
             {others} ranks went on from step {from}",
            took.as_secs_f64()
        );
        drop(std::fs::remove_dir_all(folder));
    }
    println!("the longest took {:.1} s", worst.as_secs_f64());
}

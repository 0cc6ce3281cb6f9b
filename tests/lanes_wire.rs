//! Sums of gradients that cross processes in 16 bits: half of the bytes, the same bits in each run and in all processes,
//! and a net that has learned as much.

use crate::common::lanes;
use crate::lanes_world::{adam, data, net, options};
use crate::support::bits;
use crate::support::parallel::{run_to, start, state_bits};
use crate::support::world::world;
use wgrad::lanes::{ParallelOptions, Schedule, Wire, World, step_messages};

const STEPS: u64 = 60;

/// The last loss, the state and the bytes of each rank.
fn trained(options: &ParallelOptions, of_ranks: &[usize]) -> Vec<(f32, Vec<u32>, u64)> {
    let all = world(options, of_ranks, |options, gpus| {
        let mut parallel = start((net(), adam(), &data()), options, &gpus)?;
        let losses = run_to(&mut parallel, STEPS)?;
        let last: f32 = losses.iter().rev().take(5).sum();
        assert_eq!(bits(&losses).len() as u64, STEPS);
        Ok((last / 5.0, state_bits(parallel.state()), parallel.bytes_exchanged()))
    });
    all.into_iter().map(Result::unwrap).collect()
}

#[test]
fn sums_in_sixteen_bits_train_as_well_with_half_the_bytes() {
    for (schedule, parts, of_ranks) in [
        (Schedule::data_parallel(), 3, vec![1, 1]),
        (Schedule::Replicated { stages: Vec::new(), replicas: 2 }, 2, vec![1, 2, 1]),
    ] {
        let plain = options(schedule.clone(), parts);
        let coded = ParallelOptions { wire: Wire::F16, ..plain.clone() };
        let (exact, rounded) = (trained(&plain, &of_ranks), trained(&coded, &of_ranks));
        assert!(rounded == trained(&coded, &of_ranks), "{schedule:?}: other bits in another run");
        let first = &rounded[0];
        assert!(rounded.iter().all(|rank| rank.1 == first.1), "{schedule:?}: ranks differ");
        assert!(first.1 != exact[0].1, "{schedule:?}: nothing was rounded");
        let near = (first.0 - exact[0].0).abs() < 0.05 * exact[0].0;
        assert!(near, "{schedule:?}: a loss of {}, {} in 32 bits", first.0, exact[0].0);
        if schedule == Schedule::data_parallel() {
            // Scales, and the losses, which are not rounded.
            let (sent, before) = (first.2 as f64, exact[0].2 as f64);
            assert!(sent < 0.53 * before && sent > 0.5 * before, "{sent} bytes, {before} before");
        }
    }
}

/// What was rounded away in one training is not added to another that begins at the same state.
#[test]
fn a_state_that_is_set_leaves_no_rounding_behind() {
    let coded = ParallelOptions { wire: Wire::F16, ..options(Schedule::data_parallel(), 4) };
    let all = world(&coded, &[1, 1], |options, gpus| {
        let mut parallel = start((net(), adam(), &data()), options, &gpus)?;
        run_to(&mut parallel, 6)?;
        let state = parallel.state().clone();
        let mut again = || -> wgrad::Result<Vec<u32>> {
            pollster::block_on(parallel.set_state(state.clone()))?;
            run_to(&mut parallel, 9)?;
            Ok(state_bits(parallel.state()))
        };
        Ok((again()?, again()?))
    });
    for rank in all {
        let (once, twice) = rank.unwrap();
        assert!(once == twice);
    }
}

#[test]
fn the_list_of_messages_has_their_coded_bytes() {
    let target = lanes(1)[0].target();
    let options = ParallelOptions { wire: Wire::F16, ..options(Schedule::data_parallel(), 4) };
    let all = world(&ParallelOptions { batch: 24, ..options }, &[1, 2, 1], |options, gpus| {
        let own = options.world.clone().unwrap().own();
        let mut parallel = start((net(), adam(), &data()), options.clone(), &gpus)?;
        parallel.run(0..2)?;
        let listed = step_messages(&net(), &adam(), &options, 4, &target)?;
        let listed = listed.iter().filter(|message| own.contains(&message.from));
        Ok((parallel.bytes_exchanged(), 2 * listed.map(|message| message.bytes).sum::<u64>()))
    });
    for sent in all {
        let (sent, listed) = sent.unwrap();
        assert_eq!(sent, listed);
    }
}

#[test]
fn sixteen_bits_are_for_all_processes_of_a_world() {
    let coded = ParallelOptions { wire: Wire::F16, ..options(Schedule::data_parallel(), 4) };
    let alone = start((net(), adam(), &data()), coded, &lanes(2)).map(drop);
    let error = alone.unwrap_err().to_string();
    assert!(error.contains("wire is F16; it must be F32 within a process"), "{error}");
    let plain = options(Schedule::data_parallel(), 4);
    for outcome in world(&plain, &[1, 1], |mut options, gpus| {
        if !options.world.as_ref().is_some_and(World::is_first) {
            options.wire = Wire::F16;
        }
        start((net(), adam(), &data()), options, &gpus).map(drop)
    }) {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("wire on rank 1 is F16; it must be F32"), "{error}");
    }
}

//! What goes wrong in one process of a world, and what all others say then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lanes_world::{adam, data, net, options};
use crate::support::parallel::start;
use crate::support::world::world;
use wgrad::lanes::exchange::{Content, Exchange, Message, Payload, RunId};
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{Loss, Optimizer};
use wgrad::train::{FitOptions, TrainingConfig};
use wgrad::{Error, Result};

/// An exchange whose rank 1 falls silent at a step, or sends what is no message.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Exchange>,
    from: usize,
    at: u64,
    garbage: bool,
}

impl Exchange for Faulty {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        let hit = message.from == self.from
            && message.step >= self.at
            && matches!(message.content, Content::Sums(_));
        match (hit, self.garbage) {
            (true, false) => Ok(()),
            (true, true) => self.inner.send(message, payload[1..].into()),
            (false, _) => self.inner.send(message, payload),
        }
    }
    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        self.inner.receive(message, within)
    }
    fn stop(&self, run: RunId, lane: usize, reason: &str) {
        self.inner.stop(run, lane, reason);
    }
    fn clear(&self, run: RunId) {
        self.inner.clear(run);
    }
}

#[test]
fn a_process_that_fails_ends_all_of_them_with_its_name() {
    for (garbage, said) in [(false, "waited"), (true, "bytes as the gradient sums")] {
        let begun = Instant::now();
        let all = world(&options(Schedule::data_parallel(), 5), &[1, 1, 1], |options, gpus| {
            let inner = options.exchange.clone();
            let exchange = Arc::new(Faulty { inner, from: 1, at: 2, garbage });
            let patience = Duration::from_secs(if garbage { 100 } else { 3 });
            let options = ParallelOptions { exchange, patience, ..options };
            let mut parallel = start((net(), adam(), &data()), options, &gpus)?;
            let error = parallel.fit_blocking(FitOptions::new(2)).unwrap_err();
            // And it says so again.
            let again = parallel.run(0..1).unwrap_err().to_string();
            assert!(again.contains("make the `Parallel` anew"), "{again}");
            Ok((error, parallel.state().step))
        });
        assert!(begun.elapsed() < Duration::from_secs(60));
        for (rank, outcome) in all.into_iter().enumerate() {
            let (error, step) = outcome.unwrap();
            let Error::Lane { step: failed, name, .. } = &error else { panic!("{error:?}") };
            let text = error.to_string();
            assert!(name.contains(&format!("rank {rank}")), "{name}");
            assert!(text.contains("step 2") && *failed == 2 && step == 2, "rank {rank}: {text}");
            if rank != 1 {
                assert!(text.contains("rank 1"), "rank {rank}: {text}");
            }
            assert!(text.contains(said) || text.contains("stopped"), "rank {rank}: {text}");
        }
    }
}

/// NaN on one process, which only its rows have.
#[test]
fn a_loss_that_is_not_finite_stops_all() {
    for schedule in [Schedule::data_parallel(), Schedule::pipeline()] {
        let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(1e30));
        let all = world(&options(schedule, 5), &[1, 1], |options, gpus| {
            let mut parallel = start((net(), how.clone(), &data()), options, &gpus)?;
            parallel.run(0..4).map(drop)
        });
        for outcome in all {
            let text = outcome.unwrap_err().to_string();
            assert!(
                text.contains("NaN or infinite")
                    || text.contains("loss was")
                    || text.contains("overflowed"),
                "{text}"
            );
        }
    }
}

/// A future that is dropped in one process.
#[test]
fn a_training_given_up_in_one_process_ends_in_all() {
    let all = world(&options(Schedule::data_parallel(), 5), &[1, 1], |options, gpus| {
        let gives_up = !options.world.as_ref().unwrap().is_first();
        let mut parallel = start((net(), adam(), &data()), options, &gpus)?;
        if gives_up {
            let mut fit = Box::pin(parallel.fit(FitOptions::new(2)));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(fit.as_mut().poll(&mut context).is_pending());
            drop(fit);
            return parallel.run(0..1).map(drop);
        }
        parallel.fit_blocking(FitOptions::new(2)).map(drop)
    });
    for outcome in all {
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains("given up"), "{text}");
    }
}

//! What a step of replicas would take over more lanes than there are: a model of it, from measured pieces and the
//! messages that the step really sends.

use super::exchange::Content;
use super::traffic::{StepMessage, step_messages};
use super::world::World;
use super::{ParallelOptions, Schedule};
use crate::nn::Sequential;
use crate::plan::Target;
use crate::train::TrainingConfig;
use crate::{Error, Result};

/// Of forward and backward together, the forward pass takes a third: a product of matrices, and two behind it.
const FORWARD: f64 = 1.0 / 3.0;

/// What a step costs on one lane, and on the way between two: each as measured, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCosts {
    /// Of a lane's own work whatever its rows: submissions, the update.
    pub fixed: f64,
    /// Of its own work for each row.
    pub per_row: f64,
    /// For each message at the lane that sends it, and again at the one that gets it: waits, copies begun.
    pub per_message: f64,
    /// For each byte there: copies between device, host and network.
    pub per_byte: f64,
    /// From one message of a process to the next, on the network.
    pub gap: f64,
    /// From the last byte that is sent to its arrival.
    pub latency: f64,
    /// Bytes per second into or out of a process.
    pub bandwidth: f64,
}

/// What a step would take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Seconds per step.
    pub seconds: f64,
    /// Of these, the lane's own work.
    pub compute: f64,
    /// Share of the exchange that passes behind the backward pass; 1 without an exchange.
    pub hidden: f64,
    /// Bytes that the lane sends that sends most, and its messages.
    pub bytes: u64,
    /// See `bytes`.
    pub messages: usize,
}

/// Computes, message by message, what a step of `model` would take on `lanes` replicas, each a process of its own: with
/// the batch, micro-batches and buckets of `options`, on devices like `target`. A lane works on its rows; the sums of
/// each bucket leave when the backward pass has come as far, in proportion to its bytes; ports send and take in one
/// message after another, at the pace of `costs`. That lanes differ, that a network has less in its middle than at its
/// ends, and that reports and uploads cost is not part of it: it is a model's figure, and a lower bound on
/// a real network.
///
/// ```
/// use wgrad::lanes::{ParallelOptions, Schedule, StepCosts, forecast};
/// use wgrad::prelude::*;
/// # fn main() -> wgrad::Result<()> {
/// let net = Sequential::new(784).dense(512).relu().dense(10);
/// let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.001));
/// let costs = StepCosts {
///     fixed: 1e-4, per_row: 2e-5, per_message: 1e-5, per_byte: 1e-10, gap: 1e-6, latency: 2e-6, bandwidth: 12.5e9,
/// };
/// let options = ParallelOptions::new(1024, 8, Schedule::data_parallel());
/// let eight = forecast(&net, &how, &options, 8, &Default::default(), &costs)?;
/// assert!(eight.seconds > eight.compute && eight.compute < 0.003);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] for another schedule than replicas with equal shares; those of
/// [`step_messages`].
pub fn forecast(
    model: &Sequential,
    config: &TrainingConfig,
    options: &ParallelOptions,
    lanes: usize,
    target: &Target,
    costs: &StepCosts,
) -> Result<Forecast> {
    if options.schedule != Schedule::data_parallel() {
        let rule = "replicas with equal shares, `Schedule::data_parallel()`: others are measured, not forecast";
        return Err(Error::argument("schedule", format!("{:?}", options.schedule), rule));
    }
    let world = Some(World::new(0, vec![1; lanes])?);
    let options = ParallelOptions { world, ..options.clone() };
    let messages = step_messages(model, config, &options, lanes, target)?;
    let parts = options.micro_batches.div_ceil(lanes).max(1);
    let rows = options.batch.div_ceil(options.micro_batches.max(1)) * parts;
    let compute = costs.fixed + costs.per_row * rows as f64;
    if messages.is_empty() {
        return Ok(Forecast { seconds: compute, compute, hidden: 1.0, bytes: 0, messages: 0 });
    }
    // All but the last micro-batch are over before anything is sent.
    let before = compute * (1.0 - 1.0 / parts as f64);
    let last = compute / parts as f64;
    let ready: Vec<f64> = shares_of_buckets(&messages, lanes)
        .into_iter()
        .map(|share| before + last * (FORWARD + (1.0 - FORWARD) * share))
        .collect();
    let at_end = vec![compute; ready.len()];
    let seconds = simulate(&messages, lanes, compute, &ready, costs);
    let one_after_another = simulate(&messages, lanes, compute, &at_end, costs) - compute;
    let mut sent = vec![(0_u64, 0_usize); lanes];
    for message in &messages {
        if let Some((bytes, count)) = sent.get_mut(message.from) {
            *bytes += message.bytes;
            *count += 1;
        }
    }
    let (bytes, messages) = sent.into_iter().max().unwrap_or_default();
    let hidden = 1.0 - (seconds - compute) / one_after_another.max(f64::MIN_POSITIVE);
    Ok(Forecast { seconds, compute, hidden: hidden.clamp(0.0, 1.0), bytes, messages })
}

/// For each bucket the share of all bytes that it and those before it have.
fn shares_of_buckets(messages: &[StepMessage], lanes: usize) -> Vec<f64> {
    let mut bytes: Vec<f64> = Vec::new();
    for message in messages {
        if let Content::Sums(part) = message.content {
            let bucket = part / lanes.max(1);
            if bytes.len() <= bucket {
                bytes.resize(bucket + 1, 0.0);
            }
            if let Some(sum) = bytes.get_mut(bucket) {
                *sum += message.bytes as f64;
            }
        }
    }
    let (all, mut sum) = (bytes.iter().sum::<f64>().max(1.0), 0.0);
    let upto = bytes.into_iter().map(|bytes| {
        sum += bytes;
        sum / all
    });
    upto.collect()
}

/// A message on its way: when it is there, whose it is, and its place among those that its receiver takes one after
/// another.
#[derive(Clone, Copy)]
struct Arrival {
    at: f64,
    to: usize,
    part: usize,
    from: usize,
    bytes: f64,
}

/// The ports and threads of all lanes, each with the time from which on it is free.
struct Lanes<'a> {
    costs: &'a StepCosts,
    /// The thread that sends, the way out, the way in, and the thread that takes in.
    sender: Vec<f64>,
    out: Vec<f64>,
    inward: Vec<f64>,
    main: Vec<f64>,
}

/// Uses what `lane` has, from when it is free on and no earlier than `from`, for so long; when it is free again.
fn use_from(times: &mut [f64], lane: usize, from: f64, seconds: f64) -> f64 {
    match times.get_mut(lane) {
        Some(time) => {
            *time = time.max(from) + seconds;
            *time
        }
        None => from + seconds,
    }
}

impl Lanes<'_> {
    /// Sends a message that is ready at `ready`; one of several alike is copied once.
    fn send(&mut self, message: &StepMessage, part: usize, ready: f64, is_copied: bool) -> Arrival {
        let StepCosts { per_message, per_byte, gap, latency, bandwidth, .. } = *self.costs;
        let (from, bytes) = (message.from, message.bytes as f64);
        let copy = if is_copied { per_message + per_byte * bytes } else { 0.0 };
        let copied = use_from(&mut self.sender, from, ready, copy);
        let sent = use_from(&mut self.out, from, copied, gap + bytes / bandwidth);
        Arrival { at: sent + latency, to: message.to, part, from, bytes }
    }

    /// Lets all in, each way one message after another, and has the lanes take them, in their order; what `taken` is
    /// told is the time at which a lane has a message.
    fn take(&mut self, mut all: Vec<Arrival>, mut taken: impl FnMut(&Arrival, f64)) {
        all.sort_by(|a, b| a.at.total_cmp(&b.at));
        let StepCosts { per_message, per_byte, bandwidth, .. } = *self.costs;
        for arrival in &mut all {
            // Its first byte may come while its last one is sent.
            let seconds = arrival.bytes / bandwidth;
            arrival.at = use_from(&mut self.inward, arrival.to, arrival.at - seconds, seconds);
        }
        all.sort_by_key(|arrival| (arrival.to, arrival.part, arrival.from));
        for arrival in &all {
            let seconds = per_message + per_byte * arrival.bytes;
            taken(arrival, use_from(&mut self.main, arrival.to, arrival.at, seconds));
        }
    }
}

/// Seconds until the last lane has everything: the sums of a bucket are ready at its time in `ready`, and a lane looks at
/// what comes once it has computed.
fn simulate(
    messages: &[StepMessage],
    lanes: usize,
    compute: f64,
    ready: &[f64],
    costs: &StepCosts,
) -> f64 {
    let times = |from: f64| vec![from; lanes];
    let (sender, out, inward) = (times(0.0), times(0.0), times(0.0));
    let mut all = Lanes { costs, sender, out, inward, main: times(compute) };
    let mut on_way = Vec::new();
    for message in messages {
        if let Content::Sums(part) = message.content {
            let at = ready.get(part / lanes.max(1)).copied().unwrap_or(compute);
            on_way.push(all.send(message, part, at, true));
        }
    }
    let mut summed = vec![compute; ready.len() * lanes];
    all.take(on_way, |arrival, at| {
        if let Some(time) = summed.get_mut(arrival.part) {
            *time = at;
        }
    });
    let (mut on_way, mut last) = (Vec::new(), None);
    for message in messages {
        if let Content::Totals(part) = message.content {
            let at = summed.get(part).copied().unwrap_or(compute);
            let is_first = last.replace(part) != Some(part);
            on_way.push(all.send(message, part, at, is_first));
        }
    }
    all.take(on_way, |_, _| {});
    all.main.into_iter().fold(compute, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Loss, Optimizer};

    const COSTS: StepCosts = StepCosts {
        fixed: 1e-3,
        per_row: 1e-4,
        per_message: 0.0,
        per_byte: 0.0,
        gap: 0.0,
        latency: 0.0,
        bandwidth: f64::INFINITY,
    };

    fn of(batch: usize, lanes: usize, costs: StepCosts) -> Forecast {
        let net = Sequential::new(256).dense(256).relu().dense(256).seed(3);
        let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
        let options = ParallelOptions::new(batch, lanes, Schedule::data_parallel());
        forecast(&net, &how, &options, lanes, &Target::default(), &costs).unwrap()
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-3 * expected
    }

    /// Bounds that are known by hand: nothing but the work where messages cost nothing; the bytes of a ring where the
    /// network is all; what is sent early is hidden.
    #[test]
    fn known_bounds_are_met() {
        let free = of(256, 4, COSTS);
        assert!(
            close(free.seconds, 1e-3 + 64.0 * 1e-4) && free.compute == free.seconds,
            "{free:?}"
        );
        let slow = StepCosts { bandwidth: 1e6, fixed: 0.0, per_row: 0.0, ..COSTS };
        let gradients = 4.0 * 2.0 * (256.0 * 256.0 + 256.0);
        for lanes in [2, 3, 8] {
            let found = of(256, lanes, slow);
            let ring = 2.0 * gradients * (lanes as f64 - 1.0) / lanes as f64;
            // Parts begin where a binding may: a few hundred bytes.
            assert!((found.bytes as f64 - ring).abs() < 4000.0, "{lanes}: {found:?}, {ring}");
            let seconds = ring / 1e6;
            assert!(found.seconds >= 0.99 * seconds && found.seconds < 1.6 * seconds, "{found:?}");
        }
        let latency = StepCosts { latency: 0.5, ..COSTS };
        // Two hops, the first of which begins before the backward pass ends.
        let found = of(256, 4, latency);
        assert!(close(found.seconds - found.compute, 1.0), "{found:?}");
        let some = of(256, 4, StepCosts { bandwidth: 4e8, ..COSTS });
        assert!(some.hidden > 0.1 && some.hidden < 0.9, "{some:?}");
        assert_eq!(of(256, 1, COSTS).messages, 0);
    }

    /// More messages cost more, and a thousand lanes are computed as well.
    #[test]
    fn many_lanes_pay_for_their_messages() {
        let costs = StepCosts { gap: 1e-6, per_message: 1e-5, ..COSTS };
        let (few, many) = (of(4096, 8, costs), of(4096, 128, costs));
        assert_eq!(few.messages, 2 * 2 * 7);
        assert!(many.compute < few.compute && many.seconds - many.compute > 1e-3, "{many:?}");
    }

    #[test]
    fn other_schedules_are_refused() {
        let options = ParallelOptions::new(8, 2, Schedule::pipeline());
        let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
        let net = Sequential::new(2).dense(2);
        let refused = forecast(&net, &how, &options, 2, &Target::default(), &COSTS);
        assert!(refused.unwrap_err().to_string().contains("measured, not forecast"));
    }
}

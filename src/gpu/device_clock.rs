//! The device's clock, told in the host's time.

use std::time::Instant;

use super::{Gpu, Timestamps};
use crate::Result;

/// Empty passes submitted to compare the clocks. The first ones meet cold caches.
const TRIES: usize = 12;

/// Clocks of good quartz part by some 10 µs each second; ten times that is still taken for one.
const LARGEST_DRIFT: f64 = 1e-4;

/// A timestamped pass, and times of the host's between which it ran.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// Host time before the submission, in seconds since the origin.
    pub before: f64,
    /// The device's ticks at the pass's begin.
    pub begin: u64,
    /// The device's ticks at the pass's end.
    pub end: u64,
    /// Host time after the submission was done, in seconds since the origin.
    pub after: f64,
}

/// Translates a device's ticks to host time, in seconds since an origin that several devices may
/// share, so that what they did can be laid on one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceClock {
    origin: Instant,
    /// Seconds per tick.
    period: f64,
    /// A tick and its host time. Ticks are counted from it as integers: some devices count
    /// nanoseconds since 1970, which floats of 64 bits resolve to no better than 256.
    base: u64,
    base_time: f64,
    uncertainty: f64,
}

impl DeviceClock {
    /// Compares `gpu`'s clock with the host's, counting from `origin`. Takes some milliseconds; the
    /// device should have nothing else to do. `None` if the device has no timestamps, or if what it
    /// gives for them cannot be times: then host times are all there is.
    ///
    /// # Errors
    /// Those of a submission and of reading back.
    pub async fn calibrate(gpu: &Gpu, origin: Instant) -> Result<Option<Self>> {
        let Some(mut timestamps) = Timestamps::new(gpu, 1).await? else { return Ok(None) };
        let mut brackets = Vec::with_capacity(TRIES);
        for _ in 0..TRIES {
            let before = origin.elapsed().as_secs_f64();
            gpu.submit(|encoder| {
                drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some("clock"),
                    timestamp_writes: timestamps.writes(0),
                }));
                timestamps.resolve(encoder, 1);
                Ok(())
            })
            .await?;
            let ticks = timestamps.ticks(1).await?;
            let after = origin.elapsed().as_secs_f64();
            brackets.extend(ticks.first().map(|&(begin, end)| Bracket {
                before,
                begin,
                end,
                after,
            }));
        }
        let period = f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
        Ok(Self::fit(origin, period, &brackets))
    }

    /// The clock that fits all `brackets`, with `period` seconds per tick. Each says that the host's
    /// time less the device's is at least `before - begin` and at most `after - end`; what all say
    /// together is narrower than the tightest alone. `None` if there are none, if they contradict
    /// each other, or if ticks are zero, decrease or never move.
    pub fn fit(origin: Instant, period: f64, brackets: &[Bracket]) -> Option<Self> {
        let (first, last) = (brackets.first()?, brackets.last()?);
        let ticks = brackets.iter().flat_map(|bracket| [bracket.begin, bracket.end]);
        let moves = last.end > first.begin || brackets.len() == 1;
        if !(period.is_finite() && period > 0.0 && first.begin > 0 && moves && ticks.is_sorted()) {
            return None;
        }
        let base = first.begin;
        let seconds = |ticks: u64| (ticks - base) as f64 * period;
        let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
        for bracket in brackets {
            least = least.max(bracket.before - seconds(bracket.begin));
            most = most.min(bracket.after - seconds(bracket.end));
        }
        // A tick may be coarser than what the brackets leave open.
        let uncertainty = (most - least) / 2.0 + period;
        let base_time = (most + least) / 2.0;
        (uncertainty >= 0.0 && base_time.is_finite()).then_some(Self {
            origin,
            period,
            base,
            base_time,
            uncertainty,
        })
    }

    /// The host's time, in seconds since the origin.
    pub fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    /// Host time of `ticks`, in seconds since the origin; negative before it.
    pub fn at(&self, ticks: u64) -> f64 {
        let since = i128::from(ticks) - i128::from(self.base);
        self.base_time + since as f64 * self.period
    }

    /// Seconds by which [`DeviceClock::at`] may be off at the time of the calibration, at most. Later
    /// the clocks part by what their quartzes differ in: some microseconds each second.
    pub fn uncertainty(&self) -> f64 {
        self.uncertainty
    }

    /// Host times of a pass from its ticks, unless they cannot be times of a pass that ran after the
    /// calibration and before `now`: zero (never written), decreasing, or out of that range.
    pub fn times(&self, (begin, end): (u64, u64), now: f64) -> Option<(f64, f64)> {
        let (start, finish) = (self.at(begin), self.at(end));
        let slack = self.uncertainty + LARGEST_DRIFT * (now - self.base_time).max(0.0);
        let sane = begin >= self.base && begin <= end && finish <= now + slack;
        sane.then_some((start, finish))
    }
}

//! Records what a lane does when, for the timeline. Off, it costs a branch per pass.

use std::time::{Duration, Instant};

use super::timeline::{Activity, ClockSource, Span};
use crate::data::Reading;
use crate::gpu::{DeviceClock, Gpu, Timestamps};
use crate::{Error, Result};

/// Most passes that one recording holds on a lane.
pub(super) const MOST_PASSES: usize = 1 << 16;

/// Where a lane's times come from.
#[derive(Debug)]
enum Source {
    Off,
    Gpu(DeviceClock, Timestamps),
    Host,
}

/// Notes what the host does.
#[derive(Clone, Debug)]
pub(super) struct HostRecorder {
    on: bool,
    lane: usize,
    origin: Instant,
    spans: Vec<Span>,
}

impl HostRecorder {
    /// One for somebody else who notes what the host does on this lane.
    pub(super) fn another(&self) -> Self {
        Self { spans: Vec::new(), ..self.clone() }
    }

    /// Something the host did from `begun` until now, in a step and perhaps for a micro-batch.
    pub(super) fn note(
        &mut self,
        activity: Activity,
        name: &'static str,
        (step, micro_batch): (u64, Option<usize>),
        begun: Instant,
        bytes: u64,
    ) {
        if self.on {
            let start = begun.duration_since(self.origin).as_secs_f64();
            let end = self.origin.elapsed().as_secs_f64();
            let (lane, name) = (self.lane, name.into());
            self.spans.push(Span { lane, activity, name, step, micro_batch, start, end, bytes });
        }
    }
}

impl HostRecorder {
    /// That rows were read, from when to when, which a step is the first to need.
    pub(super) fn note_reading(&mut self, reading: Reading, step: u64) {
        let Reading { begun, ended, bytes } = reading;
        // What was read before the recording began is no part of it.
        if self.on && ended > self.origin {
            let start = begun.saturating_duration_since(self.origin).as_secs_f64();
            let end = ended.duration_since(self.origin).as_secs_f64();
            let (lane, activity, name) = (self.lane, Activity::Read, "window".into());
            let micro_batch = None;
            self.spans.push(Span { lane, activity, name, step, micro_batch, start, end, bytes });
        }
    }
}

#[derive(Debug)]
pub(super) struct Recorder {
    source: Source,
    pub(super) host_recorder: HostRecorder,
    /// Passes whose times are to come, by their number.
    open: Vec<Span>,
}

/// The number of a recorded pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassNumber(u32);

impl Recorder {
    pub(super) fn off(origin: Instant) -> Self {
        let host_recorder = HostRecorder { on: false, lane: 0, origin, spans: Vec::new() };
        Self { source: Source::Off, host_recorder, open: Vec::new() }
    }

    /// Recorders for lanes on `gpus`, with room for `passes` passes each, and what their times are:
    /// timestamps if all lanes have them.
    pub(super) async fn on(
        gpus: &[Gpu],
        passes: usize,
        origin: Instant,
    ) -> Result<(Vec<Self>, ClockSource)> {
        if passes > MOST_PASSES {
            let rule = format!("at most {MOST_PASSES}; record fewer steps at once");
            return Err(Error::argument("number of passes to record", passes, &rule));
        }
        let mut sources = Vec::new();
        let mut worst: f64 = 0.0;
        for gpu in gpus {
            let clock = DeviceClock::calibrate(gpu, origin).await?;
            let timestamps = Timestamps::new(gpu, crate::kernel::word(passes)).await?;
            sources.push(match (clock, timestamps) {
                (Some(clock), Some(timestamps)) => {
                    worst = worst.max(clock.uncertainty());
                    Source::Gpu(clock, timestamps)
                }
                _ => Source::Host,
            });
        }
        let all_have = sources.iter().all(|source| matches!(source, Source::Gpu(..)));
        let recorders = sources.into_iter().enumerate().map(|(lane, source)| {
            let source = if all_have { source } else { Source::Host };
            let host_recorder = HostRecorder { on: true, lane, origin, spans: Vec::new() };
            Self { source, host_recorder, open: Vec::new() }
        });
        let clock =
            if all_have { ClockSource::Gpu { uncertainty: worst } } else { ClockSource::Host };
        Ok((recorders.collect(), clock))
    }

    /// Whether passes are timed by the host, so that each must be a submission of its own.
    pub(super) fn is_host(&self) -> bool {
        matches!(self.source, Source::Host)
    }

    /// Takes in what another one noted.
    pub(super) fn take(&mut self, host_recorder: HostRecorder) {
        self.host_recorder.spans.extend(host_recorder.spans);
    }

    /// A pass that is about to be recorded.
    pub(super) fn pass(
        &mut self,
        activity: Activity,
        name: &'static str,
        step: u64,
        micro_batch: Option<usize>,
    ) -> Option<PassNumber> {
        if !self.host_recorder.on {
            return None;
        }
        let number = PassNumber(crate::kernel::word(self.open.len()));
        let (lane, name, bytes) = (self.host_recorder.lane, name.into(), 0);
        let (start, end) = (f64::NAN, f64::NAN);
        self.open.push(Span { lane, activity, name, step, micro_batch, start, end, bytes });
        Some(number)
    }

    /// What makes the pass write its timestamps.
    pub(super) fn writes(
        &self,
        pass: Option<PassNumber>,
    ) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        match (&self.source, pass) {
            (Source::Gpu(_, timestamps), Some(PassNumber(number))) => timestamps.writes(number),
            _ => None,
        }
    }

    /// By the host's clock, a pass lasts from its submission until the device is done with it.
    pub(super) fn submitted(
        &mut self,
        gpu: &Gpu,
        begun: Instant,
        patience: Duration,
    ) -> Result<()> {
        if !self.is_host() || self.open.is_empty() {
            return Ok(());
        }
        gpu.wait_until_idle("a recorded pass", patience)?;
        let origin = self.host_recorder.origin;
        let start = begun.duration_since(origin).as_secs_f64();
        let end = origin.elapsed().as_secs_f64();
        self.host_recorder.spans.extend(self.open.drain(..).map(|span| Span {
            start,
            end,
            ..span
        }));
        Ok(())
    }

    /// All that was recorded, once the device is done with it.
    pub(super) async fn finish(self) -> Result<Vec<Span>> {
        let Self { source, host_recorder, open } = self;
        let mut spans = host_recorder.spans;
        if let Source::Gpu(clock, mut timestamps) = source {
            let times = timestamps.read(crate::kernel::word(open.len()), &clock).await?;
            for (span, times) in open.into_iter().zip(times) {
                if let Some((start, end)) = times {
                    spans.push(Span { start, end, ..span });
                }
            }
        }
        Ok(spans)
    }
}

//! Records what a lane does when, for the timeline. Off, it costs a branch.

use std::time::{Duration, Instant};

use crate::Result;
use crate::gpu::Gpu;

/// What a lane does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    Upload,
    Forward,
    Backward,
    Update,
    Exchange,
    Readback,
}

/// A span.
#[derive(Clone, Debug)]
pub struct Span {
    pub activity: Activity,
    pub name: &'static str,
    pub step: u32,
    pub micro_batch: Option<usize>,
    pub start: Duration,
    pub end: Duration,
    pub bytes: u64,
}

#[derive(Debug)]
pub(super) struct Recorder {
    on: bool,
    origin: Instant,
    pub(super) spans: Vec<Span>,
    open: Vec<Span>,
}

pub(super) struct PassTimes;

impl PassTimes {
    pub(super) fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        unreachable!()
    }
}

impl Recorder {
    pub(super) fn new(on: bool, origin: Instant) -> Self {
        Self { on, origin, spans: Vec::new(), open: Vec::new() }
    }

    pub(super) fn is_host(&self) -> bool {
        self.on
    }

    pub(super) fn host(
        &mut self,
        activity: Activity,
        name: &'static str,
        step: u32,
        micro_batch: Option<usize>,
        begun: Instant,
        bytes: u64,
    ) {
        if self.on {
            let start = begun.duration_since(self.origin);
            let end = self.origin.elapsed();
            self.spans.push(Span { activity, name, step, micro_batch, start, end, bytes });
        }
    }

    pub(super) fn pass(
        &mut self,
        activity: Activity,
        name: &'static str,
        step: u32,
        micro_batch: Option<usize>,
    ) -> Option<PassTimes> {
        if self.on {
            let start = Duration::ZERO;
            self.open.push(Span { activity, name, step, micro_batch, start, end: start, bytes: 0 });
        }
        None
    }

    pub(super) fn resolve(&mut self, _encoder: &mut wgpu::CommandEncoder) {}

    pub(super) fn submitted(
        &mut self,
        _gpu: &Gpu,
        _begun: Instant,
        _patience: Duration,
    ) -> Result<()> {
        Ok(())
    }

    pub(super) fn collect(&mut self, _gpu: &Gpu) -> Result<()> {
        Ok(())
    }
}

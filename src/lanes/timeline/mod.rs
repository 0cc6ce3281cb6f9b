//! What ran when, on which lane: spans, the figures drawn from them, and their export.
//!
//! [`Timeline`] is plain data. With the feature `timeline` it is also written as a trace that
//! Perfetto opens (`to_chrome_trace`) and drawn (`to_svg`, `to_png`).

#[cfg(feature = "timeline")]
mod chrome;
#[cfg(all(feature = "timeline", not(target_arch = "wasm32")))]
mod draw;
mod figures;
mod interval;
mod summary;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Seconds, some thirty years: no span is further from the timeline's start. Sums of such times are
/// finite, and fit 64 bits of nanoseconds.
const FURTHEST: f64 = 1e9;

/// What a lane does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Activity {
    /// Reading rows of a [`Source`](crate::data::Source), ahead of the steps that need them, by a thread that
    /// all lanes share.
    Read,
    /// Writing a batch to the device.
    Upload,
    /// The forward pass of a micro-batch.
    Forward,
    /// The backward pass of a micro-batch.
    Backward,
    /// The optimizer's step.
    Update,
    /// Moving activations, gradients or their sums between lanes.
    Exchange,
    /// Reading a step's results.
    Readback,
    /// Writing the file of a [checkpoint](crate::train::FitOptions::checkpoint), by a thread of its own; drawn on the
    /// first lane.
    Checkpoint,
}

impl Activity {
    /// All of them, in the order of a training step.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Upload,
        Self::Forward,
        Self::Backward,
        Self::Update,
        Self::Exchange,
        Self::Readback,
        Self::Checkpoint,
    ];

    /// Its name in tables, traces and legends.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Update => "update",
            Self::Exchange => "exchange",
            Self::Readback => "readback",
            Self::Checkpoint => "checkpoint",
        }
    }

    /// Whether the device computes meanwhile: forward, backward or update.
    pub const fn is_compute(self) -> bool {
        matches!(self, Self::Forward | Self::Backward | Self::Update)
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where the times of the computing spans come from. Uploads, exchanges and readbacks are the host's
/// work and always have its times.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClockSource {
    /// The devices' own timestamps, brought to the host's clock.
    Gpu {
        /// Seconds by which a lane's times may be off against the host's, at most.
        uncertainty: f64,
    },
    /// The host's times around each submission: they include the wait for the queue, and the host
    /// waits for each pass, so passes of one lane do not follow as closely as without a timeline.
    Host,
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu { uncertainty } => {
                write!(f, "GPU timestamps, lanes aligned within {:.1} µs; ", 1e6 * uncertainty)?;
                f.write_str("transfers by the host's clock")
            }
            Self::Host => f.write_str("host times, each pass waited for"),
        }
    }
}

/// Something that a lane did, from when to when.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Position of the lane in [`Timeline::lanes`].
    pub lane: usize,
    /// What the lane did.
    pub activity: Activity,
    /// In more detail than the activity: `activations out`.
    pub name: Cow<'static, str>,
    /// Training step, counted from 0.
    pub step: u64,
    /// Micro-batch within the step, if it was the work of one.
    pub micro_batch: Option<usize>,
    /// Seconds since the timeline's start.
    pub start: f64,
    /// Seconds since the timeline's start.
    pub end: f64,
    /// Bytes moved.
    pub bytes: u64,
}

impl Span {
    /// Seconds that it lasted; 0 if its times are broken.
    pub fn seconds(&self) -> f64 {
        if self.is_timed() { self.end - self.start } else { 0.0 }
    }

    /// Whether its times are a stretch of time, if maybe an empty one.
    fn is_timed(&self) -> bool {
        -FURTHEST <= self.start && self.start <= self.end && self.end <= FURTHEST
    }
}

/// What ran when. Spans may be in any order, nested, overlapping or empty; those whose times are
/// broken (reversed, not numbers, or decades from the start) or whose lane has no name count in no
/// figure and are not exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Names of the lanes: `lane 0 (llvmpipe)`.
    pub lanes: Vec<String>,
    /// What was done, in any order.
    pub spans: Vec<Span>,
    /// What the times are.
    pub clock: ClockSource,
    /// How many times as fast as the serial schedule the same training was, if whoever made the
    /// timeline measured that beside it. A recorded run is no measure of speed itself.
    pub times_serial: Option<f64>,
}

impl Timeline {
    /// A timeline without spans.
    pub fn new(lanes: Vec<String>, clock: ClockSource) -> Self {
        Self { lanes, spans: Vec::new(), clock, times_serial: None }
    }

    /// The spans of the steps in `steps`.
    pub fn steps(&self, steps: Range<u64>) -> Self {
        self.filtered(|span| steps.contains(&span.step).then(|| span.clone()))
    }

    /// What happened between `window.start` and `window.end`, in seconds since the timeline's start;
    /// spans that reach beyond are cut off. Bytes and times keep their meaning.
    pub fn window(&self, window: Range<f64>) -> Self {
        self.filtered(|span| {
            let inside = span.start < window.end && span.end > window.start;
            inside.then(|| Span {
                start: span.start.max(window.start),
                end: span.end.min(window.end),
                ..span.clone()
            })
        })
    }

    fn filtered(&self, keep: impl FnMut(&Span) -> Option<Span>) -> Self {
        let spans = self.valid().filter_map(keep).collect();
        Self { lanes: self.lanes.clone(), spans, ..*self }
    }

    /// Spans that count.
    fn valid(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|span| span.is_timed() && span.lane < self.lanes.len())
    }

    /// From when to when there are spans.
    fn extent(&self) -> Option<Range<f64>> {
        let start = self.valid().map(|span| span.start).reduce(f64::min)?;
        let end = self.valid().map(|span| span.end).reduce(f64::max)?;
        Some(start..end)
    }
}

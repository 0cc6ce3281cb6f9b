//! The one error type.

use std::borrow::Cow;

use crate::data::DataError;

/// Everything that can go wrong, each naming the thing, the value and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter fits the request.
    #[error("no WebGPU adapter {wanted}; found: {found}. {remedy}")]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// The adapters there are.
        found: String,
        /// What to install or change on this system.
        remedy: String,
    },
    /// The adapter did not give a device.
    #[error(
        "adapter '{adapter}' gave no device: {reason}; choose another adapter, or update its driver"
    )]
    NoDevice {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device is gone: unplugged, reset, or destroyed by its owner.
    #[error(
        "the device was lost during {during}: {reason}; make a new one and load the last saved weights"
    )]
    DeviceLost {
        /// What was being done.
        during: String,
        /// What the driver said.
        reason: String,
    },
    /// The device has no memory left for a buffer.
    #[error(
        "out of device memory during {during}: {reason}; use a smaller batch or a smaller model"
    )]
    OutOfMemory {
        /// What was being done.
        during: String,
        /// What the driver said.
        reason: String,
    },
    /// WebGPU refused a call. With wgrad's own kernels this is a bug worth reporting.
    #[error(
        "WebGPU refused {during}: {reason}; mend it in what is your own (shaders, buffers, encoders); in \
         wgrad's it is a bug worth reporting"
    )]
    Validation {
        /// What was being done.
        during: String,
        /// What WebGPU said.
        reason: String,
    },
    /// The device did not finish in time.
    #[error(
        "the device did not finish {during} within {seconds} s; it hangs, or has more to do than that: \
         submit fewer or smaller steps at once"
    )]
    Timeout {
        /// What was waited for.
        during: String,
        /// How long.
        seconds: u64,
    },
    /// Shapes, element types or operands do not fit an operation.
    #[error("{op}: {detail}")]
    Shape {
        /// The operation or tensor.
        op: String,
        /// What does not fit, with the shapes and the rule.
        detail: String,
    },
    /// An argument is out of its range.
    #[error("{name} is {value}; it must be {rule}")]
    Argument {
        /// The argument.
        name: String,
        /// Its value.
        value: String,
        /// What it must be.
        rule: String,
    },
    /// More is needed than the device, or a kernel, allows.
    #[error("{what} needs {needed} {unit}, {limit} is {allowed}; {remedy}")]
    Limit {
        /// What is too large.
        what: String,
        /// How much is needed.
        needed: u64,
        /// What is counted: `bytes`, `invocations`, `storage buffers`.
        unit: &'static str,
        /// The limit's name: that of WebGPU after `the device's`, such as `the device's maxBufferSize`,
        /// or of a bound that kernels keep by themselves.
        limit: &'static str,
        /// How much there is.
        allowed: u64,
        /// What to do.
        remedy: Cow<'static, str>,
    },
    /// Something happened that cannot happen: a bug in wgrad, not in the program that uses it.
    #[error("wgrad has a bug worth reporting: {what}, at {at}")]
    Bug {
        /// What cannot be.
        what: String,
        /// Where in wgrad's source.
        at: &'static std::panic::Location<'static>,
    },
    /// Training met a loss or a parameter that is NaN or infinite.
    #[error(
        "{} at step {step}{}; {}. {}",
        match loss {
            Some(loss) if loss.is_finite() => format!("a gradient overflowed (loss {loss})"),
            Some(loss) => format!("the loss was {loss}"),
            None => "the loss or a gradient was NaN or infinite".into(),
        },
        if *epoch > 0 { format!(" (epoch {epoch})") } else { String::new() },
        match loss {
            Some(loss) if !loss.is_finite() => "the weights of the last good step are kept",
            _ => "parameters whose gradients did keep their values, and no later step moved any",
        },
        match (mixed, loss) {
            (false, _) => "Use a lower learning rate, clip the gradients, or check the data's scale",
            (true, Some(loss)) if !loss.is_finite() =>
                "Numbers of 16 bits end at 65504: use a lower learning rate, standardize the data, or train with \
                 `Precision::F32`",
            (true, _) =>
                "Use a smaller loss scale if it is above 1; numbers of 16 bits end at 65504: else use a lower learning \
                 rate, standardize the data, or train with `Precision::F32`",
        },
    )]
    NotFinite {
        /// Steps completed before the bad one, over the whole training run.
        step: u64,
        /// The epoch, from 1; 0 in a loop that has none.
        epoch: usize,
        /// The loss as computed; finite if a parameter's new value was not. `None` where it is not known:
        /// the step is of an earlier submission, whose results have it, or a plan of one's own does not
        /// have its loss among its results.
        loss: Option<f32>,
        /// Whether numbers between kernels were in 16 bits ([`Precision::Mixed`](crate::plan::Precision)).
        mixed: bool,
    },
    /// A row with NaN was asked where its largest or smallest element is.
    #[error(
        "a row with NaN was to have a largest or smallest element at step {step}; look for where it comes \
         from: data that is not finite, or numbers that grew too large"
    )]
    NotANumber {
        /// Number of the step, as the caller counts.
        step: u64,
    },
    /// A lane failed in the middle of training; the others stopped with it. The parameters of the
    /// last completed step are kept.
    #[error(
        "{name} failed in step {step}: {source}. Run again, or `relay` to other devices: either goes on from the last completed step"
    )]
    Lane {
        /// The lane, counted from 0.
        lane: usize,
        /// `lane 1 (llvmpipe)`.
        name: String,
        /// Steps completed before the one in which it failed.
        step: u64,
        /// Why.
        source: Box<Error>,
    },
    /// What a lane waits for cannot come: the lane it should come from has stopped.
    #[error("waited for {waiting_for} from lane {lane}, which stopped: {reason}")]
    LaneStopped {
        /// The lane that stopped.
        lane: usize,
        /// What was waited for.
        waiting_for: String,
        /// Why it stopped.
        reason: String,
    },
    /// What a lane waits for did not come in time.
    #[error(
        "waited {seconds:.1} s for {waiting_for} of step {step} from lane {lane}; allow more time with `patience`, or see what that lane does"
    )]
    LaneTimeout {
        /// The lane it should come from.
        lane: usize,
        /// The training step it belongs to.
        step: u64,
        /// What was waited for.
        waiting_for: String,
        /// How long.
        seconds: f64,
    },
    /// The system gave no thread.
    #[error(
        "the system gave no thread for {purpose}: {source}; use fewer lanes, end other programs, or \
         raise the most threads that it allows (`ulimit -u`)"
    )]
    Thread {
        /// What it was for.
        purpose: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What came from another lane is not as long as it must be.
    #[error(
        "lane {lane} sent {bytes} bytes as {what} of step {step}, not {expected}; its model or options differ from this lane's, or the exchange broke the message"
    )]
    LaneMessage {
        /// The lane that sent it.
        lane: usize,
        /// The training step it belongs to.
        step: u64,
        /// What it holds.
        what: String,
        /// Bytes that came.
        bytes: usize,
        /// Bytes that it must have.
        expected: usize,
    },
    /// The picture of a timeline or a history could not be drawn.
    #[cfg(all(feature = "plot", not(target_arch = "wasm32")))]
    #[error("the picture cannot be drawn: {reason}; its figures can be had without")]
    Drawing {
        /// What the drawing library said.
        reason: String,
    },
    /// A data set or file is wrong.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model's file is not one, or the model cannot be saved.
    #[cfg(feature = "files")]
    #[error("model file{}: {reason}", .path.as_ref().map(|path| format!(" {path}")).unwrap_or_default())]
    ModelFile {
        /// The file, if it is one.
        path: Option<String>,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file could not be read or written.
    #[error(
        "{path}: cannot be read or written: {source}; check that its place is there, has room and \
         is yours to use"
    )]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Shape`] of an operation or a tensor; `detail` says what does not fit, and what to do.
    pub fn shape(op: &str, detail: impl Into<String>) -> Self {
        Error::Shape { op: op.into(), detail: detail.into() }
    }

    /// An [`Error::Argument`]; `rule` says what the value must be.
    pub fn argument(name: &str, value: impl ToString, rule: &str) -> Self {
        Error::Argument { name: name.into(), value: value.to_string(), rule: rule.into() }
    }

    /// What cannot be; in place of a panic, and of going on as if nothing were.
    #[track_caller]
    pub(crate) fn bug(what: impl Into<String>) -> Self {
        Error::Bug { what: what.into(), at: std::panic::Location::caller() }
    }
}

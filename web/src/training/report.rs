//! What the page hears while a model trains, and what it answers.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wgrad::train::{BatchLog, Callback, EpochLog, Signal, Wait};

use super::results::{batch_log, epoch_log};
use crate::error::{Result, argument};
use crate::options::{Options, shown};

/// Tells the page of batches and epochs.
#[derive(Default)]
pub struct Report {
    on_batch_end: Option<Function>,
    on_epoch: Option<Function>,
    /// An `AbortSignal`.
    abort: Option<JsValue>,
    /// What a function of the page returned that is to be awaited.
    pending: Option<Promise>,
    /// What such a function threw.
    thrown: Option<JsValue>,
}

impl Report {
    pub fn read(options: &mut Options) -> Result<Self> {
        let mut function = |name: &str| match options.get(name)?.map(JsCast::dyn_into::<Function>) {
            None => Ok(None),
            Some(Ok(function)) => Ok(Some(function)),
            Some(Err(value)) => Err(argument(options.path(name), shown(&value), "a function")),
        };
        let (on_epoch, on_batch_end) = (function("onEpoch")?, function("onBatchEnd")?);
        let abort = options.get("signal")?;
        if let Some(signal) = &abort
            && !field(signal, "aborted").is_some_and(|aborted| aborted.as_bool().is_some())
        {
            let rule = "an AbortSignal, the signal of an AbortController";
            return Err(argument(options.path("signal"), shown(signal), rule));
        }
        Ok(Self { on_batch_end, on_epoch, abort, ..Self::default() })
    }

    /// Whether there is anybody who would hear, or be heard.
    pub fn is_wanted(&self) -> bool {
        self.on_batch_end.is_some() || self.on_epoch.is_some() || self.abort.is_some()
    }

    /// # Errors
    /// The signal's reason if it is aborted; what a function of the page threw.
    pub fn outcome(&mut self) -> Result<()> {
        if let Some(thrown) = self.thrown.take() {
            return Err(thrown);
        }
        match &self.abort {
            Some(signal) if self.is_aborted() => {
                Err(field(signal, "reason").unwrap_or(JsValue::UNDEFINED))
            }
            _ => Ok(()),
        }
    }

    fn is_aborted(&self) -> bool {
        let aborted = self.abort.as_ref().and_then(|signal| field(signal, "aborted"));
        aborted.is_some_and(|aborted| aborted.is_truthy())
    }

    /// What the page's answer to a log means.
    fn heard(&mut self, answer: Result<JsValue>) -> Signal {
        match answer {
            Ok(answer) if answer.as_bool() == Some(false) => Signal::Stop,
            Ok(answer) if field(&answer, "then").is_some_and(|then| then.is_function()) => {
                self.pending = Some(Promise::resolve(&answer));
                Signal::Wait
            }
            Ok(_) if self.is_aborted() => Signal::Stop,
            Ok(_) => Signal::Continue,
            Err(thrown) => {
                self.thrown = Some(thrown);
                Signal::Stop
            }
        }
    }

    fn tell(&mut self, function: Option<Function>, log: impl FnOnce() -> JsValue) -> Signal {
        let none = Ok(JsValue::UNDEFINED);
        let answer = function.map_or(none, |call| call.call1(&JsValue::UNDEFINED, &log()));
        self.heard(answer)
    }
}

impl Callback for Report {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        self.tell(self.on_batch_end.clone(), || batch_log(log))
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        self.tell(self.on_epoch.clone(), || epoch_log(log))
    }

    fn wait(&mut self) -> Wait<'_> {
        Box::pin(async {
            match self.pending.take() {
                Some(pending) => {
                    let answer = JsFuture::from(pending).await;
                    self.heard(answer)
                }
                None => Signal::Continue,
            }
        })
    }
}

/// A property of an object.
fn field(value: &JsValue, name: &str) -> Option<JsValue> {
    value.is_object().then(|| Reflect::get(value, &name.into()).ok()).flatten()
}

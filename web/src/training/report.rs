//! What the page hears while a model trains, and what it answers.

use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use wgrad::train::{BatchLog, Callback, EpochLog, Signal, Wait};

use super::results::{batch_log, epoch_log};
use crate::error::Result;
use crate::options::Options;
use crate::watch::{Abort, field};

/// Tells the page of batches and epochs.
#[derive(Default)]
pub struct Report {
    on_batch_end: Option<Function>,
    on_epoch: Option<Function>,
    abort: Abort,
    /// What a function of the page returned that is to be awaited.
    pending: Option<Promise>,
    /// What such a function threw.
    thrown: Option<JsValue>,
}

impl Report {
    pub fn read(options: &mut Options) -> Result<Self> {
        let on_epoch = options.function("onEpoch")?;
        let on_batch_end = options.function("onBatchEnd")?;
        let abort = Abort::read(options)?;
        Ok(Self { on_batch_end, on_epoch, abort, ..Self::default() })
    }

    /// Whether there is anybody who would hear, or be heard.
    pub fn is_wanted(&self) -> bool {
        self.on_batch_end.is_some() || self.on_epoch.is_some() || self.abort.is_there()
    }

    /// # Errors
    /// The signal's reason if it is aborted; what a function of the page threw.
    pub fn outcome(&mut self) -> Result<()> {
        if let Some(thrown) = self.thrown.take() {
            return Err(thrown);
        }
        self.abort.check()
    }

    /// What the page's answer to a log means.
    fn heard(&mut self, answer: Result<JsValue>) -> Signal {
        match answer {
            Ok(answer) if answer.as_bool() == Some(false) => Signal::Stop,
            Ok(answer) if field(&answer, "then").is_some_and(|then| then.is_function()) => {
                self.pending = Some(Promise::resolve(&answer));
                Signal::Wait
            }
            Ok(_) if self.abort.is_aborted() => Signal::Stop,
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

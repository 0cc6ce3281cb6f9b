//! Calls that take a while: how a page ends them, and hears how far they are.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use js_sys::{Function, Reflect};
use wasm_bindgen::JsValue;

use crate::convert::Record;
use crate::error::{Result, argument, js};
use crate::options::{Options, shown};

/// An `AbortSignal`, if the page gave one.
#[derive(Default)]
pub struct Abort(Option<JsValue>);

impl Abort {
    pub fn read(options: &mut Options) -> Result<Self> {
        let abort = options.get("signal")?;
        if let Some(signal) = &abort
            && !field(signal, "aborted").is_some_and(|aborted| aborted.as_bool().is_some())
        {
            let rule = "an AbortSignal, the signal of an AbortController";
            return Err(argument(options.path("signal"), shown(signal), rule));
        }
        Ok(Self(abort))
    }

    #[cfg(feature = "training")]
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    pub fn is_aborted(&self) -> bool {
        let aborted = self.0.as_ref().and_then(|signal| field(signal, "aborted"));
        aborted.is_some_and(|aborted| aborted.is_truthy())
    }

    /// # Errors
    /// The signal's reason if it is aborted.
    pub fn check(&self) -> Result<()> {
        match &self.0 {
            Some(signal) if self.is_aborted() => {
                Err(field(signal, "reason").unwrap_or(JsValue::UNDEFINED))
            }
            _ => Ok(()),
        }
    }
}

/// What work has said that the page has not heard: work of wgrad's may be sent to other threads, functions of a page
/// may not.
pub struct Said<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Said<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Said<T> {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    pub fn say(&self, what: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn heard(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How far work is: so many of so many.
pub type Progress = (usize, usize);

/// As an object.
pub fn progress((done, total): Progress) -> JsValue {
    Record::new().set("done", done as f64).set("total", total as f64).done()
}

/// What a page asked for who starts a call: an `AbortSignal`, and a function to be told how far it is.
pub struct Watch {
    abort: Abort,
    listener: Option<Function>,
}

impl Watch {
    /// The signal, and the function under this name.
    pub fn read(options: &mut Options, listener: &str) -> Result<Self> {
        Ok(Self { abort: Abort::read(options)?, listener: options.function(listener)? })
    }

    /// Whether the page asked to be told.
    #[cfg(feature = "tasks")]
    pub fn is_heard(&self) -> bool {
        self.listener.is_some()
    }

    /// Does `work`, and tells the page what it says. What is aborted ends where it waits for the device.
    ///
    /// # Errors
    /// Those of the work; the signal's reason; what the page's function throws.
    pub async fn over<T, S>(
        &self,
        said: &Said<S>,
        shown: fn(S) -> JsValue,
        work: impl Future<Output = wgrad::Result<T>>,
    ) -> Result<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Err(reason) = self.abort.check() {
                return Poll::Ready(Err(reason));
            }
            let done = work.as_mut().poll(context);
            for what in said.heard() {
                if let Some(listener) = &self.listener
                    && let Err(thrown) = listener.call1(&JsValue::UNDEFINED, &shown(what))
                {
                    return Poll::Ready(Err(thrown));
                }
            }
            done.map_err(js)
        })
        .await
    }
}

/// A property of an object.
pub fn field(value: &JsValue, name: &str) -> Option<JsValue> {
    value.is_object().then(|| Reflect::get(value, &name.into()).ok()).flatten()
}

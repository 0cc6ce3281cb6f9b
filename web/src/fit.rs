//! `Model.fit`: options and the callback.

use js_sys::{Function, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wgrad::data::Dataset;
use wgrad::nn::{Loss, Sequential};
use wgrad::train::{Callback, EpochLog, Signal};

use crate::convert::{dataset, epoch_log};
use crate::error::{Result, argument};
use crate::options::{Options, shown};

/// The options of `fit`.
pub struct FitOptions {
    epochs: usize,
    pub order: Order,
    validation: Option<Dataset>,
    on_epoch: Option<Function>,
}

/// How rows are drawn; the options that `fit` and `trainer` share.
pub struct Order {
    pub batch: usize,
    /// The seed, if rows are shuffled.
    pub shuffle: Option<u64>,
}

impl Order {
    pub fn read(options: &mut Options) -> Result<Self> {
        let batch = options.count("batchSize")?.unwrap_or(32);
        let shuffle = options.flag("shuffle")?.unwrap_or(true);
        let seed = options.seed()?.unwrap_or(0);
        Ok(Self { batch, shuffle: shuffle.then_some(seed) })
    }
}

impl FitOptions {
    pub fn read(options: &JsValue, model: &Sequential, loss: Loss) -> Result<Self> {
        let mut options = Options::new("options", options)?;
        let epochs = options
            .count("epochs")?
            .ok_or_else(|| argument("options.epochs", "missing", "at least 1"))?;
        let order = Order::read(&mut options)?;
        let validation = match options.get("validation")? {
            None => None,
            Some(value) => {
                let mut pair = Options::new("options.validation", &value)?;
                let x = pair.need("x", "a Float32Array")?;
                let y = pair.need("y", "the targets of x")?;
                pair.finish()?;
                Some(dataset(model, loss, &x, &y)?)
            }
        };
        let on_epoch = match options.get("onEpoch")? {
            None => None,
            Some(value) => match value.dyn_into::<Function>() {
                Ok(function) => Some(function),
                Err(value) => {
                    return Err(argument("options.onEpoch", shown(&value), "a function"));
                }
            },
        };
        options.finish()?;
        Ok(Self { epochs, order, validation, on_epoch })
    }

    /// Trains.
    pub async fn run(
        self,
        model: &mut wgrad::train::Model,
        data: &Dataset,
    ) -> Result<wgrad::train::History> {
        // Before the options, which lend it and are dropped first.
        let mut report = Report { call: self.on_epoch, thrown: None };
        let mut fit = wgrad::train::FitOptions::new(self.epochs).batch_size(self.order.batch);
        fit = match self.order.shuffle {
            Some(seed) => fit.shuffle(seed),
            None => fit.in_order(),
        };
        if let Some(validation) = &self.validation {
            fit = fit.validation(validation);
        }
        if report.call.is_some() {
            fit = fit.callback(&mut report);
        }
        let history = model.fit(data, fit).await.map_err(crate::error::js)?;
        match report.thrown {
            Some(thrown) => Err(thrown),
            None => Ok(history),
        }
    }
}

/// Tells the caller of every epoch.
struct Report {
    call: Option<Function>,
    /// What the callback threw.
    thrown: Option<JsValue>,
}

impl Callback for Report {
    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        let Some(call) = &self.call else { return Signal::Continue };
        match call.call1(&JsValue::NULL, &epoch_log(log)) {
            Ok(answer) if answer.as_bool() == Some(false) => Signal::Stop,
            Ok(answer) if is_promise(&answer) => {
                let rule = "false or nothing, at once: training does not wait for an async function. \
                            Between epochs a page waits in a loop of its own, with model.trainer()";
                self.thrown = Some(argument("what onEpoch returned", "a promise", rule));
                Signal::Stop
            }
            Ok(_) => Signal::Continue,
            Err(thrown) => {
                self.thrown = Some(thrown);
                Signal::Stop
            }
        }
    }
}

/// Whether `await` would wait for it.
fn is_promise(value: &JsValue) -> bool {
    value.is_object() && Reflect::get(value, &"then".into()).is_ok_and(|then| then.is_function())
}

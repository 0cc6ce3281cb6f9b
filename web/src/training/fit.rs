//! `Model.fit`: its options.

use wasm_bindgen::JsValue;
use wgrad::data::Dataset;
use wgrad::nn::{Loss, Sequential};
use wgrad::train::{EarlyStopping, ReduceOnPlateau};

use super::report::Report;
use super::results::dataset;
use crate::error::{Result, argument};
use crate::options::{Options, number, shown};

/// The options of `fit`.
pub struct FitOptions {
    epochs: usize,
    pub order: Order,
    validation: Option<Dataset>,
    split: Option<f64>,
    stopping: Option<EarlyStopping>,
    plateau: Option<ReduceOnPlateau>,
    report: Report,
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
        let epochs = options.need_count("epochs", "at least 1")?;
        let order = Order::read(&mut options)?;
        let validation = match options.get("validation")? {
            None => None,
            Some(value) => {
                let mut pair = Options::new("options.validation", &value)?;
                let x = pair.need("x", "features, row by row")?;
                let y = pair.need("y", "the targets of x")?;
                pair.finish()?;
                Some(dataset(model, loss, &x, &y)?)
            }
        };
        let split = options.get("validationSplit")?;
        let split = split.map(|split| number(&split, "options.validationSplit")).transpose()?;
        if let (Some(_), Some(split)) = (&validation, split) {
            let rule = "left out where validation has the rows";
            return Err(argument("options.validationSplit", split.to_string(), rule));
        }
        let usual = if validation.is_some() || split.is_some() { "val_loss" } else { "loss" };
        let stopping = match options.get("earlyStopping")? {
            None => None,
            Some(value) => {
                let mut watch = Watch::read("options.earlyStopping", &value, usual)?;
                let stopping = EarlyStopping::new(&watch.figure, watch.patience);
                let margin = watch.margin()?;
                watch.options.finish()?;
                Some(stopping.min_delta(margin))
            }
        };
        let plateau = match options.get("reduceOnPlateau")? {
            None => None,
            Some(value) => {
                let mut watch = Watch::read("options.reduceOnPlateau", &value, usual)?;
                let mut plateau = ReduceOnPlateau::new(&watch.figure, watch.patience);
                if let Some(factor) = watch.options.number("factor")? {
                    plateau = plateau.factor(factor);
                }
                if let Some(floor) = watch.options.number("floor")? {
                    plateau = plateau.floor(floor);
                }
                let margin = watch.margin()?;
                watch.options.finish()?;
                Some(plateau.min_delta(margin))
            }
        };
        let report = Report::read(&mut options)?;
        options.finish()?;
        Ok(Self { epochs, order, validation, split, stopping, plateau, report })
    }

    /// Trains.
    pub async fn run(
        mut self,
        model: &mut wgrad::train::Model,
        data: &Dataset,
    ) -> Result<wgrad::train::History> {
        self.report.outcome()?;
        let mut fit = wgrad::train::FitOptions::new(self.epochs).batch_size(self.order.batch);
        fit = match self.order.shuffle {
            Some(seed) => fit.shuffle(seed),
            None => fit.in_order(),
        };
        if let Some(validation) = &self.validation {
            fit = fit.validation(validation);
        }
        if let Some(fraction) = self.split {
            fit = fit.validation_split(fraction);
        }
        if self.report.is_wanted() {
            fit = fit.callback(&mut self.report);
        }
        if let Some(plateau) = &mut self.plateau {
            fit = fit.callback(plateau);
        }
        if let Some(stopping) = &mut self.stopping {
            fit = fit.callback(stopping);
        }
        let history = model.fit(data, fit).await.map_err(crate::error::js)?;
        self.report.outcome()?;
        Ok(history)
    }
}

/// What watches a figure.
struct Watch {
    options: Options,
    figure: String,
    patience: usize,
}

impl Watch {
    fn read(what: &str, value: &JsValue, usual: &str) -> Result<Self> {
        let mut options = Options::new(what, value)?;
        let figure = match options.get("monitor")? {
            None => usual.to_string(),
            Some(value) => value.as_string().ok_or_else(|| {
                argument(
                    options.path("monitor"),
                    shown(&value),
                    "a figure's name, such as 'val_loss'",
                )
            })?,
        };
        let patience = options.need_count("patience", "the epochs to wait for a better figure")?;
        Ok(Self { options, figure, patience })
    }

    fn margin(&mut self) -> Result<f64> {
        let margin = self.options.get("minDelta")?;
        margin.map_or(Ok(0.0), |margin| number(&margin, &self.options.path("minDelta")))
    }
}

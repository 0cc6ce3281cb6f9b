//! `Explainer`.

use js_sys::{Float32Array, Float64Array, Promise};
use wasm_bindgen::prelude::*;
use wgrad::explain::Quadrature;

use super::lock::{Loan, Lock};
use super::shared::Shared;
use crate::convert::{Record, floats};
use crate::error::{Result, argument, js};
use crate::options::{Options, count};
use crate::promise::promise;
use crate::watch::{Progress, Said, Watch, progress};

/// Says which numbers of a row a model's output comes from, with the weights that the model has: also while it
/// trains.
#[wasm_bindgen]
pub struct Explainer {
    shared: Shared,
    said: Said<Progress>,
    lock: Lock<wgrad::explain::Explainer>,
}

/// What all calls ask for.
struct Question {
    rows: Vec<f32>,
    targets: Vec<usize>,
    watch: Watch,
}

type Loaned = Loan<wgrad::explain::Explainer>;

impl Explainer {
    pub(crate) async fn new(shared: Shared, model: &wgrad::train::Model) -> Result<Self> {
        let mut explainer = wgrad::explain::Explainer::of_model(model).await.map_err(js)?;
        let said = Said::new();
        let told = said.clone();
        explainer.on_progress(move |done, total| told.say((done, total)));
        Ok(Self { shared, said, lock: Lock::new(explainer) })
    }

    fn question(&self, x: &JsValue, options: &mut Options) -> Result<Question> {
        let targets = match options.get("target")? {
            None if self.shared.architecture.output_width() == 1 => vec![0],
            None => {
                let rule = "the number of an output, such as a class, or one for each row";
                return Err(argument(options.path("target"), "missing", rule));
            }
            Some(one) if one.as_f64().is_some() => vec![count(&one, &options.path("target"))?],
            Some(many) => {
                let classes = crate::convert::classes(&options.path("target"), &many)?;
                classes.into_iter().map(|class| class as usize).collect()
            }
        };
        let watch = Watch::read(options, "onProgress")?;
        Ok(Question { rows: floats("x", x)?, targets, watch })
    }

    fn take(&self, call: &'static str) -> Result<Loaned> {
        self.shared.device.check(call)?;
        self.lock.take("the explainer", call)
    }

    fn slopes(&self, call: &'static str, x: &JsValue, options: &JsValue, sizes: bool) -> Promise {
        let begin = || {
            let mut options = Options::new("options", options)?;
            let question = self.question(x, &mut options)?;
            options.finish()?;
            Ok((question, self.take(call)?))
        };
        let said = self.said.clone();
        promise(begin().map(|(question, mut explainer)| async move {
            let Question { rows, targets, watch } = question;
            let slopes = explainer.gradients(&rows, &targets);
            let mut slopes = watch.over(&said, progress, slopes).await?;
            if sizes {
                slopes.iter_mut().for_each(|slope| *slope = slope.abs());
            }
            Ok(Float32Array::from(slopes.as_slice()).into())
        }))
    }
}

#[wasm_bindgen]
impl Explainer {
    /// How an output changes with each number of each row.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn gradients(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "ExplainOptions | undefined | void")]
        options: JsValue,
    ) -> Promise {
        self.slopes("gradients", &x, &options, false)
    }

    /// The sizes of the gradients.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn saliency(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "ExplainOptions | undefined | void")]
        options: JsValue,
    ) -> Promise {
        self.slopes("saliency", &x, &options, true)
    }

    /// What each number of each row adds to an output on the straight way from a baseline.
    #[wasm_bindgen(js_name = integratedGradients, unchecked_return_type = "Promise<Integrated>")]
    pub fn integrated_gradients(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "IntegratedOptions | undefined | void")]
        options: JsValue,
    ) -> Promise {
        let begin = || {
            let mut options = Options::new("options", &options)?;
            let question = self.question(&x, &mut options)?;
            let baseline = match options.get("baseline")? {
                Some(row) => floats("options.baseline", &row)?,
                None => vec![0.0; self.shared.architecture.input_width()],
            };
            let points = options.count("points")?.unwrap_or(50);
            let quadratures: [(&str, fn(usize) -> Quadrature); 3] = [
                ("gauss_legendre", Quadrature::GaussLegendre),
                ("midpoint", Quadrature::Midpoint),
                ("trapezoid", Quadrature::Trapezoid),
            ];
            let quadrature = options.choice("quadrature", &quadratures)?;
            let quadrature = quadrature.unwrap_or(Quadrature::GaussLegendre)(points);
            options.finish()?;
            Ok((question, baseline, quadrature, self.take("integratedGradients")?))
        };
        let said = self.said.clone();
        promise(begin().map(|(question, baseline, quadrature, mut explainer)| async move {
            let Question { rows, targets, watch } = question;
            let found = explainer.integrated_gradients(&rows, &targets, &baseline, quadrature);
            let found = watch.over(&said, progress, found).await?;
            Ok(Record::new()
                .set("attributions", Float32Array::from(found.attributions.as_slice()))
                .set("gaps", Float64Array::from(found.gaps.as_slice()))
                .done())
        }))
    }
}

//! What a classifier's outputs say: classes and probabilities.

use super::model::Model;
use super::predictor::Predictor;
use crate::data::Source;
use crate::graph::Loss;
use crate::{Error, Result};

/// What a model's outputs are, by the loss that it was trained with.
enum Outputs {
    /// Numbers to be met: a regression's.
    Values,
    /// A logit per class, of which one holds.
    Classes,
    /// Logits, each of a yes or no of its own.
    Binary,
}

impl Outputs {
    fn of(loss: Loss) -> Self {
        match loss {
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => Self::Values,
            Loss::SoftmaxCrossEntropy | Loss::SoftmaxCrossEntropyProbabilities => Self::Classes,
            Loss::BinaryCrossEntropy => Self::Binary,
        }
    }
}

impl Predictor {
    /// As [`Predictor::predict`], with a softmax over each row (for binary cross-entropy: a sigmoid of
    /// each output): the probabilities that belong to the logits.
    ///
    /// # Errors
    /// As for [`Predictor::predict`]; [`Error::Shape`] if the model was trained with a regression's loss;
    /// [`Error::Argument`] naming the first row whose outputs have no probabilities, since one is NaN or
    /// infinite.
    pub async fn predict_probabilities(&self, features: &[f32]) -> Result<Vec<f32>> {
        const CALL: &str = "predict_probabilities";
        let width = self.architecture().output_width().max(1);
        let of_row = match Outputs::of(self.loss()) {
            Outputs::Values => return Err(no_classes(CALL, self.loss(), "probabilities")),
            Outputs::Classes => softmax,
            Outputs::Binary => sigmoids,
        };
        let mut outputs = self.predict(features).await?;
        for (number, row) in outputs.chunks_mut(width).enumerate() {
            let unusual = first_unusual(row);
            of_row(row);
            if row.iter().any(|p| p.is_nan()) {
                return Err(no_answer(CALL, number, unusual));
            }
        }
        Ok(outputs)
    }

    /// The class of each row: the position of its largest output, the first of equals. For binary
    /// cross-entropy with one output: 1 if that is positive, a probability above ½, else 0.
    ///
    /// # Errors
    /// As for [`Predictor::predict`]; [`Error::Shape`] if the model was trained with a regression's loss, or
    /// with binary cross-entropy and several outputs, which answer a question each; [`Error::Argument`]
    /// naming the first row that has NaN among its outputs.
    pub async fn predict_classes(&self, features: &[f32]) -> Result<Vec<u32>> {
        const CALL: &str = "predict_classes";
        let width = self.architecture().output_width().max(1);
        let of_row = match Outputs::of(self.loss()) {
            Outputs::Values => return Err(no_classes(CALL, self.loss(), "classes")),
            Outputs::Classes => largest,
            Outputs::Binary if width == 1 => |row: &[f32]| u32::from(row.iter().any(|&z| z > 0.0)),
            Outputs::Binary => {
                let detail = format!(
                    "a model with binary cross-entropy and {width} outputs has no one class per row, \
                     but {width} answers; use `predict_probabilities` and compare each with 0.5"
                );
                return Err(Error::shape(CALL, detail));
            }
        };
        let outputs = self.predict(features).await?;
        let class = |(number, row): (usize, &[f32])| match row.iter().position(|z| z.is_nan()) {
            Some(at) => Err(no_answer(CALL, number, Some((at, f32::NAN)))),
            None => Ok(of_row(row)),
        };
        outputs.chunks(width).enumerate().map(class).collect()
    }
}

impl Model {
    /// What predicts with the parameters of this model, as training moves them; for other threads, and for
    /// [encoders](Predictor::record) of the app.
    pub fn predictor(&self) -> Predictor {
        self.predictor.clone()
    }

    /// [`Predictor::predict`].
    ///
    /// # Errors
    /// Its errors.
    pub async fn predict(&self, features: &[f32]) -> Result<Vec<f32>> {
        self.predictor.predict(features).await
    }

    /// [`Predictor::predict_source`].
    ///
    /// # Errors
    /// Its errors.
    pub async fn predict_source(
        &self,
        source: &Source,
        take: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        self.predictor.predict_source(source, take).await
    }

    /// [`Predictor::predict_probabilities`].
    ///
    /// # Errors
    /// Its errors.
    pub async fn predict_probabilities(&self, features: &[f32]) -> Result<Vec<f32>> {
        self.predictor.predict_probabilities(features).await
    }

    /// [`Predictor::predict_classes`].
    ///
    /// # Errors
    /// Its errors.
    pub async fn predict_classes(&self, features: &[f32]) -> Result<Vec<u32>> {
        self.predictor.predict_classes(features).await
    }
}

/// Makes probabilities of a row of logits. Subtracting the largest first keeps the powers finite.
fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|z| *z = (*z - largest).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|p| *p /= sum);
}

/// Makes a probability of each logit.
fn sigmoids(row: &mut [f32]) {
    row.iter_mut().for_each(|z| *z = 1.0 / (1.0 + (-*z).exp()));
}

/// The position of the largest number, the first of equals.
fn largest(row: &[f32]) -> u32 {
    let best =
        row.iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    crate::kernel::word(best.map_or(0, |(class, _)| class))
}

/// The place and value of what leaves a row without probabilities: NaN or ∞, or -∞ if all are.
fn first_unusual(row: &[f32]) -> Option<(usize, f32)> {
    let places = || row.iter().copied().enumerate();
    places().find(|(_, z)| z.is_nan() || *z == f32::INFINITY).or(places().next())
}

fn no_classes(call: &str, loss: Loss, what: &str) -> Error {
    let detail = format!(
        "a model trained with {} has no {what}; use `predict`, or train it with a cross-entropy",
        loss.name()
    );
    Error::shape(call, detail)
}

fn no_answer(call: &str, row: usize, unusual: Option<(usize, f32)>) -> Error {
    let (at, value) = unusual.unwrap_or((0, f32::NAN));
    let rule = format!(
        "finite for {call}; look at the features of that row, and whether they are scaled as those \
         that the model was trained with"
    );
    Error::argument(&format!("output {at} of row {row}"), value, &rule)
}

//! Loss and metrics of rows that are not trained on.

use crate::Result;
use crate::data::Data;
use crate::train::evaluate::evaluate_with;
use crate::train::feed::Residency;
use crate::train::model::Model;
use crate::train::sums::{Evaluation, Sums};
use crate::train::trainer::Trainer;

/// Looks at a model after every epoch.
#[derive(Debug)]
pub(crate) struct Validator<'d> {
    trainer: Trainer<Data<'d>>,
    sums: Sums,
}

/// Rows that a validation takes at a time, where the device allows and the training takes fewer.
const LEAST_VALIDATED: usize = 256;

impl<'d> Validator<'d> {
    /// On the rows of `data`, for a training in batches of `batch` rows.
    pub(crate) async fn new(
        model: &Model,
        data: Data<'d>,
        batch: usize,
        residency: Residency,
    ) -> Result<Self> {
        let most = batch.max(LEAST_VALIDATED);
        let trainer = Trainer::evaluating("validation", model, data, most, residency).await?;
        Ok(Self { trainer, sums: model.sums_over(data)? })
    }

    /// Loss and metrics of the model's present weights.
    pub(crate) async fn evaluate(&mut self) -> Result<Evaluation> {
        evaluate_with(&mut self.trainer, &mut self.sums).await
    }
}

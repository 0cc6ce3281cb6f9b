//! Evaluation.

use super::feed::Residency;
use super::model::Model;
use super::predictor::MOST_ROWS;
use super::sums::{Evaluation, Sums};
use super::trainer::Trainer;
use crate::Result;
use crate::data::{AsData, Data};

impl Model {
    /// Loss and metrics on `data`, a data set or a source; no parameter moves.
    ///
    /// # Errors
    /// If the data does not fit the model; the errors of the device.
    pub async fn evaluate<D: AsData>(&self, data: &D) -> Result<Evaluation> {
        let (data, residency) = (data.as_data(), Residency::Auto);
        let mut trainer = Trainer::evaluating("evaluate", self, data, MOST_ROWS, residency).await?;
        evaluate_with(&mut trainer, &mut self.sums_over(data)?).await
    }
}

/// What `sums` makes of all batches of the trainer's data.
pub(super) async fn evaluate_with(
    trainer: &mut Trainer<Data<'_>>,
    sums: &mut Sums,
) -> Result<Evaluation> {
    sums.clear();
    for result in trainer.run_all().await? {
        sums.add(&result)?;
    }
    Ok(sums.evaluation())
}

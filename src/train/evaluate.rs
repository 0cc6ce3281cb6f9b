//! Evaluation and prediction.

use super::feed::Residency;
use super::model::Model;
use super::sums::{Evaluation, Sums};
use super::trainer::Trainer;
use crate::data::Dataset;
use crate::{Error, Result};

/// Rows of a block that is evaluated or predicted, at most; bounds the memory, not the result.
const MOST_ROWS: usize = 1024;

impl Model {
    /// Loss and metrics on `data`; no parameter moves.
    ///
    /// # Errors
    /// If the data does not fit the model; the errors of the device.
    pub async fn evaluate(&self, data: &Dataset) -> Result<Evaluation> {
        let residency = Residency::Auto;
        let mut trainer = Trainer::evaluating("evaluate", self, data, MOST_ROWS, residency).await?;
        evaluate_with(&mut trainer, &mut self.sums(data)).await
    }

    /// The model's output for each row of `features` (rows × input width): rows × output width.
    ///
    /// # Errors
    /// If the number of features is no multiple of the input width, or zero, or one is not finite;
    /// the errors of the device.
    pub async fn predict(&mut self, features: &[f32]) -> Result<Vec<f32>> {
        let width = self.architecture().input_width();
        if features.is_empty() || !features.len().is_multiple_of(width) {
            let rule = format!("a positive multiple of the {width} features per row");
            return Err(Error::argument("number of features", features.len(), &rule));
        }
        if let Some((at, value)) = crate::finite::first_not_finite(features) {
            let name = format!("feature {} of row {}", at % width, at / width);
            let rule = "finite; replace it by a finite number or leave its row out";
            return Err(Error::argument(&name, value, rule));
        }
        let rows = features.len() / width;
        let mut outputs = room_for(rows, self.architecture().output_width())?;
        let (mut rest, mut most) = (features, 1 << self.block_rows(MOST_ROWS).ilog2());
        while !rest.is_empty() {
            let rows = (rest.len() / width).min(most);
            let (block, later) = rest.split_at(rows * width);
            match self.predict_block(block, rows).await {
                Ok(some) => {
                    outputs.extend(some);
                    rest = later;
                }
                // What a plan adds to the tensors of its graph may take more.
                Err(Error::Limit { .. }) if rows > 1 => most = rows.next_power_of_two() / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(outputs)
    }
}

/// An empty vector with room for `rows` × `width` numbers.
///
/// # Errors
/// If no memory holds so many: a browser's holds 4 GB, whatever the machine has.
fn room_for(rows: usize, width: usize) -> Result<Vec<f32>> {
    let mut outputs = Vec::new();
    match rows.checked_mul(width).map(|numbers| outputs.try_reserve_exact(numbers)) {
        Some(Ok(())) => Ok(outputs),
        _ => {
            let value = format!("{rows} rows of {width}");
            let rule = "what the memory holds at once; predict fewer rows at a time";
            Err(Error::argument("number of outputs", value, rule))
        }
    }
}

/// What `sums` makes of all batches of the trainer's data.
pub(super) async fn evaluate_with(
    trainer: &mut Trainer<&Dataset>,
    sums: &mut Sums,
) -> Result<Evaluation> {
    sums.clear();
    for result in trainer.run_all().await? {
        sums.add(&result)?;
    }
    Ok(sums.evaluation())
}

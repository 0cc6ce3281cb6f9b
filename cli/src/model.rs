//! Devices, models out of files, and what they predict in the unit of the table.

use std::path::Path;

use wgrad::data::{Encoder, TargetEncoding};
use wgrad::train::{ModelFile, Predictor};
use wgrad::{AdapterChoice, Gpu};

use crate::failure::{Failure, Outcome};

/// A device on the adapter of this name, or on the best one.
pub fn gpu(adapter: Option<&str>) -> Outcome<Gpu> {
    let choice = adapter.map_or_else(AdapterChoice::default, AdapterChoice::named);
    Ok(Gpu::with_adapter_blocking(&choice)?)
}

/// A model's file, and the encoder that it must have.
pub fn read(path: &Path) -> Outcome<(ModelFile, Encoder)> {
    let file = ModelFile::read(path)?;
    let encoder = file.encoder().cloned().ok_or_else(|| {
        Failure::new(format!(
            "{}: the model knows no table: it was not saved with an encoder; train one with `wgrad train`",
            path.display()
        ))
    })?;
    Ok((file, encoder))
}

/// What a model says of rows of features: probabilities `[rows, classes]`, or numbers `[rows, targets]` in
/// the unit of the table.
pub fn predictions(
    predictor: &Predictor,
    encoder: &Encoder,
    features: &[f32],
) -> Outcome<Vec<f32>> {
    Ok(match encoder.targets() {
        TargetEncoding::Classes { .. } => predictor.predict_probabilities_blocking(features)?,
        _ => {
            let mut values = predictor.predict_blocking(features)?;
            encoder.decode_values(&mut values)?;
            values
        }
    })
}

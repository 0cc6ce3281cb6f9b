//! A model's file holds the encoder of its table.

use crate::common::gpu;
use wgrad::data::{Encoder, EncoderOptions, Table};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, Model, ModelFile, TrainingConfig};

fn table() -> Table {
    let rows = (0..40).map(|n: u32| {
        let sex = ["f", "m", ""][n as usize % 3];
        [(n * n % 17).to_string(), sex.into(), ["Adelie", "Gentoo"][n as usize % 2].into()]
    });
    Table::new(["mass", "sex", "species"], rows).unwrap()
}

fn config(loss: Loss) -> TrainingConfig {
    TrainingConfig::new(loss, Optimizer::adam(0.01)).metric(Metric::Accuracy)
}

#[test]
fn a_table_is_predicted_from_a_file_alone() {
    let (gpu, table) = (gpu(), table());
    let encoder = Encoder::fit(&table, &EncoderOptions::default()).unwrap();
    let (data, _) = encoder.dataset(&table).unwrap();
    let net = Sequential::new(encoder.width()).dense(4).relu().dense(2);
    let model = net.compile_blocking(&gpu, config(Loss::SoftmaxCrossEntropy)).unwrap();
    let mut model = model.with_encoder(encoder.clone()).unwrap();
    model.fit_blocking(&data, FitOptions::new(2).batch_size(8)).unwrap();
    let bytes = model.to_bytes_blocking().unwrap();

    let loaded = Model::from_bytes_blocking(&gpu, &bytes).unwrap();
    let known = loaded.encoder().unwrap().clone();
    assert_eq!(known, encoder);
    let rows = Table::new(["sex", "mass"], [["m", "3"], ["x", ""]]).unwrap();
    let features = known.encode(&rows).unwrap().features;
    let predicted = loaded.predict_blocking(&features).unwrap();
    assert_eq!(predicted, model.predict_blocking(&features).unwrap());
    // A file without a table's encoder has none.
    let net = Sequential::new(2).dense(2);
    let file = ModelFile::new(net, config(Loss::SoftmaxCrossEntropy)).unwrap();
    assert!(ModelFile::from_bytes(&file.to_bytes().unwrap()).unwrap().encoder().is_none());
}

#[test]
fn an_encoder_of_another_width_is_refused() {
    let encoder = Encoder::fit(&table(), &EncoderOptions::default()).unwrap();
    assert_eq!(encoder.width(), 4);
    for (inputs, outputs, loss, fits) in [
        (4, 2, Loss::SoftmaxCrossEntropy, true),
        (3, 2, Loss::SoftmaxCrossEntropy, false),
        (4, 3, Loss::SoftmaxCrossEntropy, false),
        (4, 1, Loss::BinaryCrossEntropy, true),
    ] {
        let net = Sequential::new(inputs).dense(outputs);
        let file = ModelFile::new(net, config(loss)).unwrap();
        match file.with_encoder(encoder.clone()) {
            Ok(file) => assert!(fits && file.encoder().is_some()),
            Err(error) => {
                let said = error.to_string();
                assert!(!fits && said.contains("4 features and needs 2 outputs"), "{said}");
            }
        }
    }
}

//! Nets from ONNX and to it. Those that others wrote lie in `goldens/onnx_models`, with what onnxruntime makes of
//! them; what wgrad writes is judged by `scripts/check-onnx`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::gpu;
use crate::support::bits;
use serde_json::Value as Json;
use wgrad::graph::{Tensor, Unary};
use wgrad::nn::{Builder, Layer, Loss, Optimizer, Sequential};
use wgrad::train::{ModelFile, TrainingConfig};
use wgrad::{Error, Result};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/onnx_models")
}

pub fn config(loss: Loss) -> TrainingConfig {
    TrainingConfig::new(loss, Optimizer::sgd(0.1))
}

pub fn numbers(json: &Json) -> Vec<f32> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

/// As far as two ways to compute in f32 agree, of values near one.
pub fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let apart = (found - expected).abs() / expected.abs().max(1.0);
        assert!(apart <= 1e-5, "{what}: {found}, onnxruntime has {expected}");
    }
}

#[test]
fn nets_that_others_wrote_compute_the_same() {
    let outputs = fs::read_to_string(folder().join("outputs.json")).unwrap();
    let outputs: Json = serde_json::from_str(&outputs).unwrap();
    let cases = outputs.as_object().unwrap();
    assert!(cases.len() >= 12);
    for (name, case) in cases.iter().filter(|(name, _)| *name != PYTORCH) {
        let path = folder().join(format!("{name}.onnx"));
        let file = ModelFile::read_onnx(&path, config(Loss::MeanSquaredError)).unwrap();
        let predictor = file.predictor_blocking(&gpu()).unwrap();
        let found = predictor.predict_blocking(&numbers(&case["input"])).unwrap();
        let mut expected = numbers(&case["output"]);
        if name == "sklearn_binary" {
            // Of both classes, where the net has the probability of the second.
            expected = expected.chunks(2).map(|both| both[1]).collect();
        }
        assert_near(&found, &expected, name);
        // As a model of wgrad it stays what it is.
        let again = ModelFile::from_bytes(&file.to_bytes().unwrap()).unwrap();
        assert_eq!(again.architecture(), file.architecture());
        let again = again.predictor_blocking(&gpu()).unwrap();
        assert_eq!(bits(&again.predict_blocking(&numbers(&case["input"])).unwrap()), bits(&found));
    }
}

/// Weights alone, of eleven dense layers and a layer normalization: `2` comes before `10`.
const PYTORCH: &str = "pytorch.safetensors";

#[test]
fn weights_of_pytorch_are_turned() {
    let bytes = fs::read(folder().join(PYTORCH)).unwrap();
    let net = (0..11).fold(Sequential::new(6), |net, _| net.dense(3)).layer_norm();
    let mse = || config(Loss::MeanSquaredError);
    let file = ModelFile::from_pytorch(&bytes, net.clone(), mse(), None).unwrap();
    let outputs = fs::read_to_string(folder().join("outputs.json")).unwrap();
    let case = &serde_json::from_str::<Json>(&outputs).unwrap()[PYTORCH];
    let predictor = file.predictor_blocking(&gpu()).unwrap();
    let found = predictor.predict_blocking(&numbers(&case["input"])).unwrap();
    assert_near(&found, &numbers(&case["output"]), PYTORCH);
    let names: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    let mut order: Vec<&str> = names.iter().map(String::as_str).collect();
    let named = ModelFile::from_pytorch(&bytes, net.clone(), mse(), Some(&order)).unwrap();
    assert_eq!(named.state(), file.state());
    order.swap(0, 1);
    let fails = |net: Sequential, order: Option<&[&str]>, said: &str| {
        let error = ModelFile::from_pytorch(&bytes, net, mse(), order).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    fails(
        net.clone(),
        Some(&order),
        "weight of module '1' is [3, 3], and 'dense_0.weight' is [6, 3]",
    );
    fails(
        net.clone().dense(3),
        None,
        "12 modules have tensors (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)",
    );
    order[0] = "fc";
    fails(net, Some(&order), "there is no module 'fc'; there are 0, 1, 10");
    let cut = ModelFile::from_pytorch(&bytes[..99], Sequential::new(6).dense(1), mse(), None);
    assert!(cut.unwrap_err().to_string().contains("cut off or changed"));
}

/// With the loss of a classifier the net has logits, and the probabilities are those of the file.
#[test]
fn classifiers_are_trained_on_their_logits() {
    let outputs = fs::read_to_string(folder().join("outputs.json")).unwrap();
    let outputs: Json = serde_json::from_str(&outputs).unwrap();
    for (name, loss) in [
        ("sklearn_classifier_tanh", Loss::SoftmaxCrossEntropy),
        ("pytorch_flatten_gelu", Loss::SoftmaxCrossEntropy),
        ("sklearn_binary", Loss::BinaryCrossEntropy),
    ] {
        let path = folder().join(format!("{name}.onnx"));
        let file = ModelFile::read_onnx(&path, config(loss)).unwrap();
        assert_eq!(file.architecture().layers().last().unwrap().name(), "dense");
        let predictor = file.predictor_blocking(&gpu()).unwrap();
        let found =
            predictor.predict_probabilities_blocking(&numbers(&outputs[name]["input"])).unwrap();
        let mut expected = numbers(&outputs[name]["output"]);
        if loss == Loss::BinaryCrossEntropy {
            expected = expected.chunks(2).map(|both| both[1]).collect();
        }
        assert_near(&found, &expected, name);
    }
}

/// Nets with every layer and every function of one number, and what they are trained with.
fn nets() -> Vec<(String, Sequential, Loss)> {
    let mut nets = Vec::new();
    for &function in Unary::ALL {
        let net = Sequential::new(6).dense(5);
        // Where a function needs numbers above zero it is given such.
        let net = match function {
            Unary::Log | Unary::Sqrt | Unary::Reciprocal => net.activation(Unary::Exp),
            _ => net,
        };
        let net = net.activation(function.with_parameter(0.3)).dense(2);
        nets.push((function.name().to_string(), net, Loss::MeanSquaredError));
    }
    let deep = Sequential::new(6)
        .dense(8)
        .layer_norm()
        .relu()
        .dropout(0.5)
        .residual(|block| block.dense(8).tanh().residual(|inner| inner.layer_norm().dense(8)))
        .dense(3);
    nets.push(("softmax_cross_entropy".into(), deep.clone(), Loss::SoftmaxCrossEntropy));
    nets.push(("binary_cross_entropy".into(), deep.clone(), Loss::BinaryCrossEntropy));
    nets.push(("softmax".into(), deep.softmax(), Loss::MeanSquaredError));
    let image =
        Sequential::new([3, 4, 2]).softmax().layer_norm().flatten().dense(4).gelu().dense(1);
    nets.push(("image".into(), image, Loss::Huber { delta: 1.0 }));
    nets
}

fn rows(net: &Sequential) -> Vec<f32> {
    (0..5 * net.input_width()).map(|i| ((i * 29) % 83) as f32 / 41.0 - 1.0).collect()
}

#[test]
#[ignore = "writes files for scripts/check-onnx"]
fn writes_nets_for_onnxruntime() {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("onnx");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (name, net, loss) in nets() {
        let file = ModelFile::new(net.clone(), config(loss)).unwrap();
        file.write_onnx(folder.join(format!("{name}.onnx"))).unwrap();
        let predictor = file.predictor_blocking(&gpu()).unwrap();
        let mut outputs = vec![predictor.predict_blocking(&rows(&net)).unwrap()];
        if loss.name().contains("entropy") {
            outputs.push(predictor.predict_probabilities_blocking(&rows(&net)).unwrap());
        }
        let case = serde_json::json!({
            "row": net.input_shape().dims(), "input": rows(&net), "outputs": outputs,
        });
        fs::write(folder.join(format!("{name}.json")), case.to_string()).unwrap();
    }
    crate::onnx_tables::write_all(&folder);
}

/// What wgrad writes it reads, where it reads such layers; the numbers are the same to the bit.
#[test]
fn what_is_written_is_read() {
    for (name, net, loss) in nets() {
        let file = ModelFile::new(net.clone(), config(loss)).unwrap();
        let bytes = file.to_onnx().unwrap();
        assert_eq!(bytes, file.to_onnx().unwrap());
        let read = ModelFile::from_onnx(&bytes, config(loss));
        let has = |layer: &str| net.layers().any(|own| own.name() == layer);
        if has("residual") || has("layer_norm") || has("gelu_tanh") {
            let error = read.unwrap_err().to_string();
            assert!(error.contains("wgrad takes nets of dense layers over from ONNX"), "{error}");
            continue;
        }
        let read = read.unwrap();
        let written: Vec<&str> = net.layers().map(Layer::name).collect();
        let back: Vec<&str> = read.architecture().layers().map(Layer::name).collect();
        assert_eq!(back, written, "{name}");
        let values =
            |file: &ModelFile| file.state().values.iter().map(|v| bits(v)).collect::<Vec<_>>();
        assert_eq!(values(&read), values(&file), "{name}");
    }
}

#[derive(Debug)]
struct Own;

impl Layer for Own {
    fn name(&self) -> &str {
        "own"
    }

    fn build(&self, _: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
        Ok(x)
    }
}

#[test]
fn what_onnx_or_wgrad_lacks_is_named() {
    let net = Sequential::new(3).residual(|block| block.relu().layer(Own)).dense(1);
    let file = ModelFile::new(net, config(Loss::MeanSquaredError)).unwrap();
    let error = file.to_onnx().unwrap_err().to_string();
    assert!(error.contains("layer residual_0.own_1 is of the program's own"), "{error}");
    let small =
        ModelFile::new(Sequential::new(3).dense(1), config(Loss::MeanSquaredError)).unwrap();
    let bytes = small.to_onnx().unwrap();
    let read = |bytes: &[u8]| ModelFile::from_onnx(bytes, config(Loss::MeanSquaredError));
    // Cut off anywhere, or changed anywhere: an error or a net, never a panic.
    for at in 0..bytes.len() {
        assert!(at > 20 || read(&bytes[..at]).is_err(), "{at}");
        let _ = read(&bytes[..at]);
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            let _ = read(&changed);
        }
    }
    for (bytes, said) in [(&b""[..], "without a graph"), (b"PK\x03\x04 no model", "no ONNX file")] {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, Error::ModelFile { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let error = ModelFile::read_onnx("nowhere.onnx", config(Loss::MeanSquaredError)).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
}

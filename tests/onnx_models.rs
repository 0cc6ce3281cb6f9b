//! Nets from ONNX and to it. Those that others wrote lie in `goldens/onnx_models`, with what onnxruntime makes of
//! them; what wgrad writes is judged by `scripts/check-onnx`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::gpu;
use crate::support::bits;
use serde_json::Value as Json;
use wgrad::data::{ColumnType, Encoder, EncoderOptions, Table};
use wgrad::graph::{Tensor, Unary};
use wgrad::nn::{Builder, Layer, Loss, Optimizer, Sequential};
use wgrad::train::{ModelFile, TrainingConfig};
use wgrad::{Error, Result};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/onnx_models")
}

fn config(loss: Loss) -> TrainingConfig {
    TrainingConfig::new(loss, Optimizer::sgd(0.1))
}

fn numbers(json: &Json) -> Vec<f32> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

/// As far as two ways to compute in f32 agree, of values near one.
fn assert_near(found: &[f32], expected: &[f32], what: &str) {
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
    for classes in [3, 2, 0] {
        let (file, table) = of_table(classes);
        let name = ["table_of_numbers", "", "table_of_two_classes", "table_of_classes"][classes];
        file.write_onnx_of_table(folder.join(format!("{name}.onnx"))).unwrap();
        let encoder = file.encoder().unwrap();
        let features = encoder.encode(&table).unwrap().features;
        let predictor = file.predictor_blocking(&gpu()).unwrap();
        let mut case = serde_json::json!({ "columns": inputs(encoder, &table) });
        if classes > 0 {
            let probabilities = predictor.predict_probabilities_blocking(&features).unwrap();
            let found = predictor.predict_classes_blocking(&features).unwrap();
            case["labels"] = found.iter().map(|&class| encoder.class_name(class)).collect();
            case["outputs"] = serde_json::json!([probabilities]);
        } else {
            let mut values = predictor.predict_blocking(&features).unwrap();
            encoder.decode_values(&mut values).unwrap();
            case["outputs"] = serde_json::json!([values]);
        }
        fs::write(folder.join(format!("{name}.json")), case.to_string()).unwrap();
    }
}

/// A table with every kind of column and gap, and its model, with so many classes or with numbers; one row has a category
/// and a number that are new. Two classes have one logit.
fn of_table(classes: usize) -> (ModelFile, Table) {
    let words = ["red", "blue", "NA", "green", "red", "blue", "", "white"];
    let rows = (0..24).map(|n| {
        let number = if n % 5 == 3 { "?".into() } else { format!("{}", 1e6 + f64::from(n * n)) };
        let date = match n % 7 {
            2 => String::new(),
            _ => format!("{}-0{}-1{} 0{}:30", 1960 + n, 1 + n % 9, n % 9, n % 8),
        };
        let target = match classes {
            0 => format!("{}", n * 3),
            _ => ["a", "b b", "c,"][n as usize % classes].into(),
        };
        [
            number,
            format!("{}", n % 11),
            words[n as usize % 8].into(),
            words[n as usize % 5].into(),
            date,
            target,
        ]
    });
    let table = Table::new(["mass", "size of it", "colour", "many", "day", "y"], rows).unwrap();
    let options = EncoderOptions {
        types: [("many".into(), ColumnType::Category)].into(),
        most_categories: 3,
        clamp: true,
        ..EncoderOptions::default()
    };
    let encoder = Encoder::fit(&table, &options).unwrap();
    let (outputs, loss) = match classes {
        0 => (encoder.targets().outputs(), Loss::MeanSquaredError),
        2 => (1, Loss::BinaryCrossEntropy),
        _ => (classes, Loss::SoftmaxCrossEntropy),
    };
    let net = Sequential::new(encoder.width()).dense(9).tanh().dense(outputs);
    let file = ModelFile::new(net.seed(3), config(loss)).unwrap().with_encoder(encoder).unwrap();
    let new = [["7e8", "3", "violet", "NaN", "2031-02-03", "a"], ["-5", "", "RED", "nan", "", "a"]];
    let new = new.map(|row| row.map(str::to_owned));
    let all: Vec<[String; 6]> = (0..table.rows())
        .map(|row| std::array::from_fn(|column| table.field(row, column).unwrap().to_owned()))
        .chain(new)
        .collect();
    let names = table.names().to_vec();
    (file, Table::new(names, all).unwrap())
}

/// What onnxruntime is given of a column.
fn inputs(encoder: &Encoder, table: &Table) -> Json {
    let columns = encoder.columns().iter().map(|column| {
        let number = table.column(&column.name).unwrap();
        let fields = (0..table.rows()).map(|row| table.field(row, number).unwrap());
        let days = |field: &str| {
            let (date, time) = field.split_once(' ').unwrap_or((field, "00:00"));
            let mut parts = date.split('-').map(|part| part.parse::<i64>().unwrap());
            let [y, m, d] = [parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap()];
            // Howard Hinnant's days_from_civil, of years from 1600 to 2399.
            let (y, m) = if m <= 2 { (y - 1, m + 9) } else { (y, m - 3) };
            let (era, of) = (y.div_euclid(400), y.rem_euclid(400));
            let day = of * 365 + of / 4 - of / 100 + (153 * m + 2) / 5 + d - 1;
            let (h, min) = time.split_once(':').unwrap();
            let minutes = h.parse::<f64>().unwrap() * 60.0 + min.parse::<f64>().unwrap();
            (era * 146_097 + day - 719_468) as f64 + minutes / 1440.0
        };
        let values = fields.map(|field| match column.encoding.column_type() {
            ColumnType::Category => Json::from(field),
            ColumnType::Number => field.parse::<f64>().map_or(Json::Null, Json::from),
            ColumnType::Date if field.is_empty() => Json::Null,
            _ => Json::from(days(field)),
        });
        (column.name.clone(), values.collect::<Json>())
    });
    Json::Object(columns.collect())
}

/// Columns of a table go in by their names, and classes and units come out.
#[test]
fn encoders_are_part_of_the_file() {
    for classes in [3, 0] {
        let (file, _) = of_table(classes);
        let classes = classes > 0;
        let bytes = file.to_onnx_of_table().unwrap();
        assert_eq!(bytes, file.to_onnx_of_table().unwrap());
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        for text in ["mass", "size of it", "colour", "many", "day", "OneHotEncoder", "blue"] {
            assert!(has(text), "{text}");
        }
        for text in ["LabelEncoder", "b b", "probabilities"] {
            assert_eq!(has(text), classes, "{text}");
        }
        assert!(
            has("wgrad.classes") && has("[\"mass\",\"size of it\",\"colour\",\"many\",\"day\"]")
        );
        // The net alone says what its features and outputs are, too.
        let net = file.to_onnx().unwrap();
        let has = |text: &str| net.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("wgrad.features") && has("mass (missing)") && has("colour (other)"));
        assert_eq!(has("[\"a\",\"b b\",\"c,\"]"), classes);
    }
    let net = ModelFile::new(Sequential::new(1).dense(1), config(Loss::MeanSquaredError)).unwrap();
    let error = net.to_onnx_of_table().unwrap_err().to_string();
    assert!(error.contains("it has no encoder"), "{error}");
    let table = Table::new(["value_1", "y"], [["1", "3"], ["2", "4"], ["5", "7"]]).unwrap();
    let encoder = Encoder::fit(&table, &EncoderOptions::default()).unwrap();
    let net = Sequential::new(encoder.width()).dense(encoder.targets().outputs());
    let loss = match encoder.class_names() {
        [] => Loss::MeanSquaredError,
        _ => Loss::SoftmaxCrossEntropy,
    };
    let file = ModelFile::new(net, config(loss)).unwrap().with_encoder(encoder).unwrap();
    let error = file.to_onnx_of_table().unwrap_err().to_string();
    assert!(error.contains("a column is named 'value_1', and so is something else"), "{error}");
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

//! Models of tables as ONNX, their encoding included: what onnxruntime makes of them lies in `goldens/onnx_tables`.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;
use wgrad::data::{ColumnType, Encoder, EncoderOptions, MissingValues, Table, UnknownCategories};
use wgrad::nn::{Loss, Sequential};
use wgrad::train::ModelFile;

use crate::common::gpu;
use crate::onnx_models::{assert_near, config};

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

/// A model whose encoder refuses a row that lacks a value and an unknown category, with rows of which it refuses all but
/// the first two.
fn refusing(numbers: bool) -> (ModelFile, Table) {
    let row = |n: usize| {
        let target = if numbers { format!("{}.5", n * n) } else { ["a", "b"][n % 2].into() };
        let day = format!("2024-03-{:02}", 1 + n);
        [format!("{}.25", n * 7 % 5), ["red", "blue"][n / 2 % 2].into(), day, target]
    };
    let names = ["mass", "colour", "day", "y"];
    let table = Table::new(names, (0..12).map(row)).unwrap();
    let options = EncoderOptions {
        missing: MissingValues::Refuse,
        unknown: UnknownCategories::Refuse,
        clamp: numbers,
        ..EncoderOptions::default()
    };
    let encoder = Encoder::fit(&table, &options).unwrap();
    let (outputs, loss) = match numbers {
        true => (1, Loss::MeanSquaredError),
        false => (2, Loss::SoftmaxCrossEntropy),
    };
    let net = Sequential::new(encoder.width()).dense(4).relu().dense(outputs).seed(8);
    let file = ModelFile::new(net, config(loss)).unwrap().with_encoder(encoder).unwrap();
    let rows = [
        ["1.25", "blue", "2024-03-05", "a"],
        ["-9", "red", "2024-04-05", "b"],
        ["", "red", "2024-03-05", "a"],
        ["inf", "red", "2024-03-05", "a"],
        ["2", "", "2024-03-05", "a"],
        ["2", "violet", "2024-03-05", "a"],
        ["2", "red", "", "b"],
    ];
    (file, Table::new(names, rows).unwrap())
}

/// Models of tables by the names of their files.
fn all() -> [(&'static str, ModelFile, Table); 5] {
    let named = |name, (file, table)| (name, file, table);
    [
        named("table_of_classes", of_table(3)),
        named("table_of_two_classes", of_table(2)),
        named("table_of_numbers", of_table(0)),
        named("table_that_refuses", refusing(false)),
        named("table_of_numbers_that_refuses", refusing(true)),
    ]
}

/// What wgrad predicts of a table: labels if it has classes, and numbers; of a row that is refused an empty label and NaN.
fn predicted(file: &ModelFile, table: &Table) -> (Vec<String>, Vec<f32>) {
    let (encoder, predictor) = (file.encoder().unwrap(), file.predictor_blocking(&gpu()).unwrap());
    let (mut labels, mut numbers) = (Vec::new(), Vec::new());
    for row in 0..table.rows() {
        let (label, own) = match encoder.encode(&table.select(&[row]).unwrap()) {
            Err(_) => (String::new(), vec![f32::NAN; file.architecture().output_width()]),
            Ok(encoded) if encoder.class_names().is_empty() => {
                let mut own = predictor.predict_blocking(&encoded.features).unwrap();
                encoder.decode_values(&mut own).unwrap();
                (String::new(), own)
            }
            Ok(encoded) => {
                let class = predictor.predict_classes_blocking(&encoded.features).unwrap()[0];
                let own = predictor.predict_probabilities_blocking(&encoded.features).unwrap();
                (encoder.class_name(class).unwrap().to_owned(), own)
            }
        };
        labels.push(label);
        numbers.extend(own);
    }
    if encoder.class_names().is_empty() {
        labels.clear();
    }
    (labels, numbers)
}

/// Writes them for onnxruntime, with what wgrad makes of them.
pub fn write_all(folder: &Path) {
    for (name, file, table) in all() {
        file.write_onnx_of_table(folder.join(format!("{name}.onnx"))).unwrap();
        let (labels, numbers) = predicted(&file, &table);
        let columns = inputs(file.encoder().unwrap(), &table);
        let mut case = serde_json::json!({ "columns": columns, "outputs": [numbers] });
        if !labels.is_empty() {
            case["labels"] = labels.into();
        }
        fs::write(folder.join(format!("{name}.json")), case.to_string()).unwrap();
    }
}

/// wgrad predicts what onnxruntime makes of the files that it writes. Where they are to be others,
/// `scripts/check-onnx --accept` asks onnxruntime anew.
#[test]
fn what_onnxruntime_makes_of_a_table_is_what_wgrad_predicts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/onnx_tables");
    let outputs = fs::read_to_string(folder.join("outputs.json")).unwrap();
    let outputs: Json = serde_json::from_str(&outputs).unwrap();
    for (name, file, table) in all() {
        let golden = fs::read(folder.join(format!("{name}.onnx"))).unwrap();
        assert!(file.to_onnx_of_table().unwrap() == golden, "{name} is written otherwise");
        let (labels, found) = predicted(&file, &table);
        let theirs = |key: &str| outputs[name][key].as_array().unwrap().iter();
        assert_eq!(theirs("labels").map(|x| x.as_str().unwrap()).collect::<Vec<_>>(), labels);
        let expected: Vec<Option<f64>> = theirs("output").map(Json::as_f64).collect();
        assert_eq!(
            found.iter().map(|x| x.is_nan()).collect::<Vec<_>>(),
            expected.iter().map(Option::is_none).collect::<Vec<_>>(),
            "{name}"
        );
        let number = |x: &Json| x.as_f64().unwrap_or(0.0) as f32;
        let expected: Vec<f32> = theirs("output").map(number).collect();
        let found: Vec<f32> = found.iter().map(|&x| if x.is_nan() { 0.0 } else { x }).collect();
        assert_near(&found, &expected, name);
    }
    let refused = &outputs["table_that_refuses"]["labels"];
    assert_eq!(refused.as_array().unwrap().iter().filter(|label| **label == "").count(), 5);
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
            // JSON has no infinity.
            ColumnType::Number if field == "inf" => Json::from(field),
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

//! Writing a model as ONNX.

use std::collections::BTreeSet;

use rten_onnx::onnx::{
    DataType, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, ValueInfoProto,
};
use rten_onnx::protobuf::{EncodeMessage, ValueWriter};

use super::super::model_file::{ModelFile, refused};
use super::proto::{LEARNING, int, rows};
use super::table::Features;
use super::writer::Writer;
use crate::Result;
use crate::data::TargetEncoding;
use crate::graph::Loss;

/// The versions of the form, of the standard operators, and of those of machine learning.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
const LEARNING_OPSET: i64 = 3;

/// The name of what goes in, and of what comes out.
const INPUT: &str = "input";
const OUTPUT: &str = "output";
const PROBABILITIES: &str = "probabilities";
const LABEL: &str = "label";

impl ModelFile {
    /// The model as an ONNX file (operators of version 17), which predicts in other programs: `input` has rows of
    /// the model's shape, `output` is what [`Model::predict`](crate::train::Model::predict) gives, and where the
    /// loss is a cross-entropy `probabilities` is what `predict_probabilities` gives. Of a model with an
    /// encoder the rows are encoded ones; [`ModelFile::to_onnx_of_table`] takes the table's own.
    ///
    /// The metadata has the loss under `wgrad.loss`, and of a model with an encoder, as lists in JSON,
    /// `wgrad.columns`, `wgrad.features`, `wgrad.targets` and `wgrad.classes`.
    ///
    /// # Errors
    /// [`Error::ModelFile`](crate::Error::ModelFile) naming a layer that ONNX has no operators for: one of a
    /// program's own.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        let architecture = self.architecture();
        let mut writer = Writer::new(self);
        let last = writer.stack(architecture, INPUT, "")?;
        writer.named("Identity", &[&last], OUTPUT, vec![]);
        let row = architecture.output_shape().map_or(&[][..], |shape| shape.dims());
        let mut outputs = vec![rows(OUTPUT, row, DataType::FLOAT)];
        outputs.extend(self.probabilities(&mut writer, OUTPUT));
        let inputs = vec![rows(INPUT, architecture.input_shape().dims(), DataType::FLOAT)];
        self.written(writer, inputs, outputs)
    }

    /// The model with its encoder as an ONNX file (operators of version 17, and of version 3 of `ai.onnx.ml`), which
    /// predicts rows of a table in other programs. Each column of features is an input `[rows, 1]` of its own,
    /// by its name: numbers as `double`, NaN where one is missing; categories as `string`; dates as `double`, days
    /// since the first of January 1970, NaN where one is missing. Of classes, `label` has the names `[rows]` and
    /// `probabilities` what `predict_probabilities` gives; of numbers `output` has them in the unit of the table.
    ///
    /// Values are shifted, scaled, limited and replaced as [`Encoder::encode`](crate::data::Encoder::encode) does.
    /// A row that it refuses or leaves out has an empty label, and NaN for probabilities and numbers.
    ///
    /// # Errors
    /// [`Error::ModelFile`](crate::Error::ModelFile) if the model has no encoder, or a column is named like
    /// something in the file; otherwise as for [`ModelFile::to_onnx`].
    pub fn to_onnx_of_table(&self) -> Result<Vec<u8>> {
        let encoder = self.encoder().ok_or_else(|| {
            refused(
                "the model knows no table: it has no encoder; give it one by `Model::with_encoder`, or export it by \
                 `ModelFile::to_onnx`",
            )
        })?;
        let architecture = self.architecture();
        let mut writer = Writer::new(self);
        let Features { inputs, features, refused } =
            writer.features(encoder, architecture.input_shape().dims());
        let mut last = writer.stack(architecture, &features, "")?;
        if let Some(refused) = &refused {
            let axes = architecture.output_shape().map_or(1, |shape| shape.dims().len());
            last = writer.unless_refused(refused, &last, axes);
        }
        let outputs = match encoder.targets() {
            TargetEncoding::Classes { classes, .. } => {
                let logits = architecture.output_shape().map_or(1, |shape| shape.elements());
                writer.label((&last, logits), refused.as_deref(), classes, LABEL);
                let mut outputs = vec![rows(LABEL, &[], DataType::STRING)];
                outputs.extend(self.probabilities(&mut writer, &last));
                outputs
            }
            TargetEncoding::Values { scalings, .. } => {
                writer.values(&last, scalings, OUTPUT);
                vec![rows(OUTPUT, &[scalings.len()], DataType::FLOAT)]
            }
        };
        self.written(writer, inputs, outputs)
    }

    /// Adds the probabilities of these logits, if the loss takes such.
    fn probabilities(&self, writer: &mut Writer, logits: &str) -> Option<ValueInfoProto> {
        match self.config().loss {
            Loss::SoftmaxCrossEntropy | Loss::SoftmaxCrossEntropyProbabilities => {
                writer.named("Softmax", &[logits], PROBABILITIES, vec![int("axis", -1)]);
            }
            Loss::BinaryCrossEntropy => {
                writer.named("Sigmoid", &[logits], PROBABILITIES, vec![]);
            }
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => return None,
        }
        let row = self.architecture().output_shape().map_or(&[][..], |shape| shape.dims());
        Some(rows(PROBABILITIES, row, DataType::FLOAT))
    }

    /// The bytes of a file.
    fn written(
        &self,
        writer: Writer,
        input: Vec<ValueInfoProto>,
        output: Vec<ValueInfoProto>,
    ) -> Result<Vec<u8>> {
        let Writer { nodes, tensors, .. } = writer;
        let outputs = nodes.iter().flat_map(|node| &node.output);
        let initializers = tensors.iter().filter_map(|tensor| tensor.name.as_ref());
        let inputs = input.iter().filter_map(|value| value.name.as_ref());
        let mut names = BTreeSet::new();
        for name in outputs.chain(initializers).chain(inputs) {
            if name.is_empty() || !names.insert(name) {
                return Err(refused(format!(
                    "a column is named '{name}', and so is something else in the file; rename the column, or \
                     export the net alone by `ModelFile::to_onnx`"
                )));
            }
        }
        let opset = |domain: &str, version| OperatorSetIdProto {
            domain: Some(domain.into()),
            version: Some(version),
        };
        let learns = nodes.iter().any(|node| node.domain.as_deref() == Some(LEARNING));
        let mut opset_import = vec![opset("", OPSET)];
        opset_import.extend(learns.then(|| opset(LEARNING, LEARNING_OPSET)));
        let graph =
            GraphProto { node: nodes, initializer: tensors, input, output, value_info: Vec::new() };
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import,
            producer_name: Some("wgrad".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(graph),
            metadata_props: self.properties(),
        };
        // A message in parts is the sum of them, and the crate has no name of a graph: field 7 of the
        // model is the graph, whose field 2 is the name.
        let mut bytes = b"\x3a\x07\x12\x05wgrad".to_vec();
        let unwritten = |error| refused(format!("it cannot be written as ONNX: {error}"));
        model.encode(ValueWriter::new(&mut bytes)).map_err(unwritten)?;
        Ok(bytes)
    }

    /// The metadata.
    fn properties(&self) -> Vec<StringStringEntryProto> {
        let mut properties = vec![("wgrad.loss", self.config().loss.name().to_owned())];
        if let Some(encoder) = self.encoder() {
            let list = |names: &[String]| serde_json::Value::from(names).to_string();
            let columns: Vec<String> =
                encoder.columns().iter().map(|column| column.name.clone()).collect();
            properties.push(("wgrad.columns", list(&columns)));
            properties.push(("wgrad.features", list(&encoder.feature_names())));
            properties.push(("wgrad.targets", list(encoder.targets().columns())));
            properties.push(("wgrad.classes", list(encoder.class_names())));
        }
        let property = |(key, value): (&str, String)| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value),
        };
        properties.into_iter().map(property).collect()
    }

    /// Writes the model as an ONNX file; see [`ModelFile::to_onnx`].
    ///
    /// # Errors
    /// Those of [`ModelFile::to_onnx`]; [`Error::File`](crate::Error::File) if it cannot be written.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn write_onnx(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        super::super::disk::write(path.as_ref(), self.to_onnx())
    }

    /// Writes the model with its encoder as an ONNX file; see [`ModelFile::to_onnx_of_table`].
    ///
    /// # Errors
    /// Those of [`ModelFile::to_onnx_of_table`]; [`Error::File`](crate::Error::File) if it cannot be written.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn write_onnx_of_table(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        super::super::disk::write(path.as_ref(), self.to_onnx_of_table())
    }
}

//! Writing a model as ONNX.

use rten_onnx::onnx::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
};
use rten_onnx::protobuf::{EncodeMessage, ValueWriter};

use super::super::model_file::{ModelFile, refused};
use super::proto::{float, int, node, rows, tensor};
use crate::Result;
use crate::graph::{Loss, Unary};
use crate::nn::layers::{Activation, Dense, Dropout, Flatten, LayerNorm, Residual, Softmax};
use crate::nn::{Layer, Sequential};

/// The versions of the form and of the standard operators.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// The name of what goes in, and of what comes out.
const INPUT: &str = "input";
const OUTPUT: &str = "output";
const PROBABILITIES: &str = "probabilities";

impl ModelFile {
    /// The model as an ONNX file (operators of version 17), which predicts in other programs: `input` has rows of
    /// the model's shape, `output` is what [`Model::predict`](crate::train::Model::predict) gives, and where the
    /// loss is a cross-entropy `probabilities` is what `predict_probabilities` gives.
    ///
    /// # Errors
    /// [`Error::ModelFile`](crate::Error::ModelFile) naming a layer that ONNX has no operators for: one of a
    /// program's own.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        let architecture = self.architecture();
        let mut writer = Writer::new(self);
        let last = writer.stack(architecture, INPUT, "")?;
        writer.nodes.push(node("Identity", &[&last], OUTPUT, vec![]));
        let row = architecture.output_shape().map_or(&[][..], |shape| shape.dims());
        let mut outputs = vec![rows(OUTPUT, row)];
        let of_logits = match self.config().loss {
            Loss::SoftmaxCrossEntropy | Loss::SoftmaxCrossEntropyProbabilities => {
                Some(node("Softmax", &[OUTPUT], PROBABILITIES, vec![int("axis", -1)]))
            }
            Loss::BinaryCrossEntropy => Some(node("Sigmoid", &[OUTPUT], PROBABILITIES, vec![])),
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => None,
        };
        if let Some(probabilities) = of_logits {
            writer.nodes.push(probabilities);
            outputs.push(rows(PROBABILITIES, row));
        }
        let graph = GraphProto {
            node: writer.nodes,
            initializer: writer.tensors,
            input: vec![rows(INPUT, architecture.input_shape().dims())],
            output: outputs,
            value_info: Vec::new(),
        };
        let loss = StringStringEntryProto {
            key: Some("wgrad.loss".into()),
            value: Some(self.config().loss.name().into()),
        };
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(OPSET),
            }],
            producer_name: Some("wgrad".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(graph),
            metadata_props: vec![loss],
        };
        // A message in parts is the sum of them, and the crate has no name of a graph: field 7 of the
        // model is the graph, whose field 2 is the name.
        let mut bytes = b"\x3a\x07\x12\x05wgrad".to_vec();
        let unwritten = |error| refused(format!("it cannot be written as ONNX: {error}"));
        model.encode(ValueWriter::new(&mut bytes)).map_err(unwritten)?;
        Ok(bytes)
    }

    /// Writes the model as an ONNX file; see [`ModelFile::to_onnx`].
    ///
    /// # Errors
    /// Those of [`ModelFile::to_onnx`]; [`Error::File`](crate::Error::File) if it cannot be written.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn write_onnx(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        let path = path.as_ref();
        super::super::disk::write(path, self.to_onnx())
    }
}

/// Nodes and tensors so far.
struct Writer {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
    /// Names of values begin with it and a number.
    values: usize,
    /// Names, shapes and values of the parameters that are yet to come.
    parameters: std::vec::IntoIter<(String, Vec<usize>, Vec<f32>)>,
}

impl Writer {
    fn new(file: &ModelFile) -> Self {
        let shapes = file.architecture().parameter_shapes();
        let parameters = shapes.zip(&file.state().values);
        let parameters = parameters
            .map(|((name, shape), values)| (name.clone(), shape.dims().to_vec(), values.clone()))
            .collect::<Vec<_>>();
        Self {
            nodes: Vec::new(),
            tensors: Vec::new(),
            values: 0,
            parameters: parameters.into_iter(),
        }
    }

    /// Adds a node; its output.
    fn op(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<rten_onnx::onnx::AttributeProto>,
    ) -> String {
        let output = format!("value_{}", self.values);
        self.values = self.values.saturating_add(1);
        self.nodes.push(node(op, inputs, &output, attributes));
        output
    }

    /// Adds a scalar; its name.
    fn scalar(&mut self, value: f32) -> String {
        let name = format!("scalar_{}", self.tensors.len());
        self.tensors.push(tensor(&name, &[], &[value]));
        name
    }

    /// Adds the next parameter; its name.
    fn parameter(&mut self) -> Result<String> {
        let next = self.parameters.next();
        let (name, shape, values) =
            next.ok_or_else(|| crate::Error::bug("a layer has a parameter too many"))?;
        self.tensors.push(tensor(&name, &shape, &values));
        Ok(name)
    }

    /// Adds layers, applied to `x`; their output. `within` names the layer that they are in.
    fn stack(&mut self, stack: &Sequential, x: &str, within: &str) -> Result<String> {
        let mut y = x.to_string();
        for (place, layer) in stack.layers().enumerate() {
            let which = format!("{within}{}_{place}", layer.name());
            y = self.layer(layer, &y, &which)?;
        }
        Ok(y)
    }

    fn layer(&mut self, layer: &dyn Layer, x: &str, which: &str) -> Result<String> {
        if layer.downcast_ref::<Dense>().is_some() {
            let (weight, bias) = (self.parameter()?, self.parameter()?);
            Ok(self.op("Gemm", &[x, &weight, &bias], vec![]))
        } else if let Some(&Activation(function)) = layer.downcast_ref() {
            Ok(self.function(function, x))
        } else if layer.downcast_ref::<Dropout>().is_some() {
            // Nothing is dropped in a prediction.
            Ok(x.to_string())
        } else if layer.downcast_ref::<Flatten>().is_some() {
            Ok(self.op("Flatten", &[x], vec![int("axis", 1)]))
        } else if layer.downcast_ref::<Softmax>().is_some() {
            Ok(self.op("Softmax", &[x], vec![int("axis", -1)]))
        } else if let Some(&LayerNorm { epsilon }) = layer.downcast_ref() {
            let (gain, bias) = (self.parameter()?, self.parameter()?);
            let attributes = vec![int("axis", -1), float("epsilon", epsilon)];
            Ok(self.op("LayerNormalization", &[x, &gain, &bias], attributes))
        } else if let Some(residual) = layer.downcast_ref::<Residual>() {
            let y = self.stack(residual.layers(), x, &format!("{which}."))?;
            Ok(self.op("Add", &[x, &y], vec![]))
        } else {
            Err(refused(format!(
                "layer {which} is of the program's own, and ONNX has no operators for it; save the model \
                 as it is by `ModelFile::write`, or export one without the layer"
            )))
        }
    }

    fn function(&mut self, function: Unary, x: &str) -> String {
        match function {
            Unary::Relu => self.op("Relu", &[x], vec![]),
            Unary::LeakyRelu { slope } => self.op("LeakyRelu", &[x], vec![float("alpha", slope)]),
            Unary::Sigmoid => self.op("Sigmoid", &[x], vec![]),
            Unary::Tanh => self.op("Tanh", &[x], vec![]),
            Unary::Elu { alpha } => self.op("Elu", &[x], vec![float("alpha", alpha)]),
            Unary::Softplus => self.op("Softplus", &[x], vec![]),
            Unary::HardSwish => self.op("HardSwish", &[x], vec![]),
            Unary::Exp => self.op("Exp", &[x], vec![]),
            Unary::Log => self.op("Log", &[x], vec![]),
            Unary::Sqrt => self.op("Sqrt", &[x], vec![]),
            Unary::Reciprocal => self.op("Reciprocal", &[x], vec![]),
            Unary::Square => self.op("Mul", &[x, x], vec![]),
            Unary::Abs => self.op("Abs", &[x], vec![]),
            Unary::Silu => {
                let gate = self.op("Sigmoid", &[x], vec![]);
                self.op("Mul", &[x, &gate], vec![])
            }
            // x/2·(1 + erf(x/√2)): version 17 has no operator of its own.
            Unary::Gelu => {
                let inner = self.scaled(x, std::f32::consts::FRAC_1_SQRT_2);
                let inner = self.op("Erf", &[&inner], vec![]);
                self.gated_half(x, &inner)
            }
            // x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
            Unary::GeluTanh => {
                let square = self.op("Mul", &[x, x], vec![]);
                let cube = self.op("Mul", &[&square, x], vec![]);
                let cube = self.scaled(&cube, 0.044_715);
                let inner = self.op("Add", &[x, &cube], vec![]);
                let inner = self.scaled(&inner, (2.0 / std::f32::consts::PI).sqrt());
                let inner = self.op("Tanh", &[&inner], vec![]);
                self.gated_half(x, &inner)
            }
        }
    }

    fn scaled(&mut self, x: &str, factor: f32) -> String {
        let factor = self.scalar(factor);
        self.op("Mul", &[x, &factor], vec![])
    }

    /// `x/2·(1 + gate)`.
    fn gated_half(&mut self, x: &str, gate: &str) -> String {
        let one = self.scalar(1.0);
        let gate = self.op("Add", &[gate, &one], vec![]);
        let product = self.op("Mul", &[x, &gate], vec![]);
        self.scaled(&product, 0.5)
    }
}

//! The nodes and tensors of an ONNX file, as layers become them.

use rten_onnx::onnx::{AttributeProto, NodeProto, TensorProto};

use super::super::model_file::{ModelFile, refused};
use super::proto::{Element, float, int, node, tensor};
use crate::Result;
use crate::graph::Unary;
use crate::nn::layers::{Activation, Dense, Dropout, Flatten, LayerNorm, Residual, Softmax};
use crate::nn::{Layer, Sequential};

/// Nodes and tensors so far.
pub(super) struct Writer {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) tensors: Vec<TensorProto>,
    /// Names of values begin with it and a number.
    values: usize,
    /// Names, shapes and values of the parameters that are yet to come.
    parameters: std::vec::IntoIter<(String, Vec<usize>, Vec<f32>)>,
}

impl Writer {
    pub(super) fn new(file: &ModelFile) -> Self {
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
    pub(super) fn op(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = format!("value_{}", self.values);
        self.values = self.values.saturating_add(1);
        self.named(op, inputs, &output, attributes);
        output
    }

    /// Adds a node whose output has this name.
    pub(super) fn named(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        self.nodes.push(node(op, inputs, output, attributes));
    }

    /// Adds a scalar; its name.
    pub(super) fn scalar(&mut self, value: f32) -> String {
        self.constant(&[], &[value])
    }

    /// Adds a tensor of numbers; its name.
    pub(super) fn constant<T: Element>(&mut self, shape: &[usize], values: &[T]) -> String {
        let name = format!("constant_{}", self.tensors.len());
        self.tensors.push(tensor(&name, shape, values));
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
    pub(super) fn stack(&mut self, stack: &Sequential, x: &str, within: &str) -> Result<String> {
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

    pub(super) fn scaled(&mut self, x: &str, factor: f32) -> String {
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

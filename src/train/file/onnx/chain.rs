//! An ONNX graph as a chain of steps, each of which takes what the one before gives.

use std::collections::HashMap;

use rten_onnx::onnx::{AttributeProto, DataType, GraphProto, NodeProto, TensorProto};

use super::super::model_file::refused;
use crate::graph::Unary;
use crate::{Error, Result};

/// Numbers of the file.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// What happens to each row.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Times a matrix, fan-in × units row by row, plus a bias.
    Product {
        inputs: usize,
        units: usize,
        weight: Vec<f64>,
        bias: Vec<f64>,
    },
    /// Times a scale, plus a shift: one number each, or one for each column.
    Affine {
        scale: Vec<f64>,
        shift: Vec<f64>,
    },
    Function(Unary),
    Softmax,
    Flatten,
}

/// A graph whose values are looked up by name.
pub(super) struct Chain<'g> {
    constants: HashMap<&'g str, Constant>,
    producers: HashMap<&'g str, &'g NodeProto>,
    opset: i64,
}

impl<'g> Chain<'g> {
    pub(super) fn new(graph: &'g GraphProto, opset: i64) -> Result<Self> {
        let mut constants = HashMap::new();
        let mut producers = HashMap::new();
        for tensor in &graph.initializer {
            if let Some(constant) = constant(tensor)? {
                constants.insert(tensor.name.as_deref().unwrap_or_default(), constant);
            }
        }
        for node in &graph.node {
            for output in &node.output {
                producers.insert(output.as_str(), node);
            }
            if op(node) == "Constant"
                && let (Some(output), Some(constant)) = (node.output.first(), constant_node(node)?)
            {
                constants.insert(output.as_str(), constant);
            }
            // Keras casts what the file holds to what it is already.
            if let ("Cast" | "Identity", [of], [output]) = (op(node), &*node.input, &*node.output)
                && let Some(constant) = constants.get(of.as_str()).cloned()
            {
                constants.insert(output.as_str(), constant);
            }
        }
        Ok(Self { constants, producers, opset })
    }

    /// The steps from `input` to `output`.
    pub(super) fn steps(&self, input: &str, output: &'g str) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut value = output;
        // A graph without circles has no more steps than nodes.
        for _ in 0..=self.producers.len() {
            if value == input {
                steps.reverse();
                return Ok(steps);
            }
            let node = self.producers.get(value).ok_or_else(|| {
                refused(format!(
                    "'{value}' is made by no node of the graph, and is not its input '{input}'"
                ))
            })?;
            let (step, before) = self.step(node)?;
            steps.extend(step);
            value = before;
        }
        Err(refused("its nodes take from each other in a circle"))
    }

    /// What a node does, and to which value.
    fn step(&self, node: &'g NodeProto) -> Result<(Option<Step>, &'g str)> {
        let only = || self.input(node, 0);
        let function = |function: Unary| Ok((Some(Step::Function(function)), only()?));
        match op(node) {
            "Identity" | "Dropout" => Ok((None, only()?)),
            "Cast" => match DataType(integer(node, "to", 1) as i32) {
                DataType::FLOAT | DataType::DOUBLE => Ok((None, only()?)),
                other => {
                    Err(unfit(node, &format!("casts to {other}, and wgrad computes with f32")))
                }
            },
            "Gemm" => Ok((Some(self.gemm(node)?), only()?)),
            "MatMul" => {
                let weight = self.matrix(node, 1)?;
                Ok((Some(product(node, weight, 1.0, false, None)?), only()?))
            }
            "Add" | "Sub" | "Mul" | "Div" => self.binary(node),
            "BatchNormalization" => Ok((Some(self.batch_normalization(node)?), only()?)),
            "Scaler" => {
                let scale: Vec<f64> = floats(node, "scale").collect();
                let offsets = floats(node, "offset");
                let one = scale.first().copied().unwrap_or(1.0);
                let of = |column: usize| scale.get(column).copied().unwrap_or(one);
                let shift =
                    offsets.enumerate().map(|(column, offset)| -offset * of(column)).collect();
                Ok((Some(Step::Affine { scale, shift }), only()?))
            }
            "Flatten" => match integer(node, "axis", 1) {
                1 => Ok((Some(Step::Flatten), only()?)),
                axis => {
                    Err(unfit(node, &format!("flattens from axis {axis}, and rows are axis 0")))
                }
            },
            "Reshape" => match self.constant_of(node, 1).map(|shape| &*shape.values) {
                Some([_, _]) => Ok((Some(Step::Flatten), only()?)),
                _ => Err(unfit(node, "makes another shape than rows of numbers")),
            },
            "Softmax" => {
                let usual = if self.opset < 13 { 1 } else { -1 };
                match integer(node, "axis", usual) {
                    -1 | 1 => Ok((Some(Step::Softmax), only()?)),
                    axis => Err(unfit(node, &format!("is along axis {axis}, not along each row"))),
                }
            }
            "Relu" => function(Unary::Relu),
            "Sigmoid" => function(Unary::Sigmoid),
            "Tanh" => function(Unary::Tanh),
            "Softplus" => function(Unary::Softplus),
            "HardSwish" => function(Unary::HardSwish),
            "Exp" => function(Unary::Exp),
            "Log" => function(Unary::Log),
            "Sqrt" => function(Unary::Sqrt),
            "Reciprocal" => function(Unary::Reciprocal),
            "Abs" => function(Unary::Abs),
            "LeakyRelu" => function(Unary::LeakyRelu { slope: real(node, "alpha", 0.01) }),
            "Elu" => function(Unary::Elu { alpha: real(node, "alpha", 1.0) }),
            "Gelu" => match attribute(node, "approximate").and_then(|a| a.s.as_deref()) {
                Some("tanh") => function(Unary::GeluTanh),
                _ => function(Unary::Gelu),
            },
            "PRelu" => match self.constant_of(node, 1).map(|slope| &*slope.values) {
                Some(&[slope]) => function(Unary::LeakyRelu { slope: slope as f32 }),
                _ => Err(unfit(node, "has a slope for each column")),
            },
            // Probabilities of both classes, where the net gives that of the second.
            "Concat" => match node.input.as_slice() {
                [other, value] if self.is_complement(other, value) => Ok((None, value)),
                _ => Err(unfit(node, "joins several values")),
            },
            _ => Err(unfit(node, "has no counterpart")),
        }
    }

    /// The value that a node takes at `place`.
    fn input(&self, node: &'g NodeProto, place: usize) -> Result<&'g str> {
        let input = node.input.get(place).map(String::as_str);
        input.ok_or_else(|| unfit(node, &format!("has no input {place}")))
    }

    /// The numbers of the file that a node takes at `place`, if it does.
    fn constant_of(&self, node: &NodeProto, place: usize) -> Option<&Constant> {
        self.constants.get(node.input.get(place)?.as_str())
    }

    fn numbers(&self, node: &NodeProto, place: usize) -> Result<&Constant> {
        self.constant_of(node, place)
            .ok_or_else(|| unfit(node, &format!("has no numbers of the file as input {place}")))
    }

    fn matrix(&self, node: &NodeProto, place: usize) -> Result<&Constant> {
        let matrix = self.numbers(node, place)?;
        match matrix.shape.len() {
            2 => Ok(matrix),
            _ => Err(unfit(node, &format!("multiplies by {:?}, which is no matrix", matrix.shape))),
        }
    }

    fn gemm(&self, node: &NodeProto) -> Result<Step> {
        if integer(node, "transA", 0) != 0 {
            return Err(unfit(node, "transposes the rows"));
        }
        let bias = match node.input.len() {
            0..=2 => None,
            _ => {
                let beta = f64::from(real(node, "beta", 1.0));
                Some(self.numbers(node, 2)?.values.iter().map(|value| value * beta).collect())
            }
        };
        let (alpha, turned) = (real(node, "alpha", 1.0), integer(node, "transB", 0) != 0);
        product(node, self.matrix(node, 1)?, f64::from(alpha), turned, bias)
    }

    fn batch_normalization(&self, node: &NodeProto) -> Result<Step> {
        let part = |place| self.numbers(node, place).map(|part| part.values.iter().copied());
        let epsilon = f64::from(real(node, "epsilon", 1e-5));
        let parts = part(1)?.zip(part(2)?).zip(part(3)?).zip(part(4)?);
        let (scale, shift) = parts
            .map(|(((gain, bias), mean), variance)| {
                let scale = gain / (variance + epsilon).sqrt();
                (scale, bias - mean * scale)
            })
            .unzip();
        Ok(Step::Affine { scale, shift })
    }

    /// A sum, difference, product or quotient with numbers of the file, or a pattern that stands for a function.
    fn binary(&self, node: &'g NodeProto) -> Result<(Option<Step>, &'g str)> {
        let (one, other) = (self.input(node, 0)?, self.input(node, 1)?);
        let numbers = |place| self.constant_of(node, place).map(|constant| constant.values.clone());
        let ones = |like: &[f64]| vec![1.0; like.len()];
        let step = match (op(node), numbers(0), numbers(1)) {
            ("Add", None, Some(shift)) => (ones(&shift), shift, one),
            ("Add", Some(shift), None) => (ones(&shift), shift, other),
            ("Sub", None, Some(less)) => (ones(&less), less.iter().map(|v| -v).collect(), one),
            ("Sub", Some(shift), None) => (vec![-1.0; shift.len()], shift, other),
            ("Mul", factor, number) if factor.is_some() != number.is_some() => {
                if let Some(x) = self.gelu(node) {
                    return Ok((Some(Step::Function(Unary::Gelu)), x));
                }
                let value = if factor.is_some() { other } else { one };
                let scale = factor.or(number).unwrap_or_default();
                let none = vec![0.0; scale.len()];
                (scale, none, value)
            }
            ("Div", None, Some(divisor)) => {
                let scale: Vec<f64> = divisor.iter().map(|v| 1.0 / v).collect();
                let none = vec![0.0; scale.len()];
                (scale, none, one)
            }
            ("Mul", None, None) if one == other => {
                return Ok((Some(Step::Function(Unary::Square)), one));
            }
            ("Mul", None, None) if self.made_by(other, "Sigmoid") == Some(one) => {
                return Ok((Some(Step::Function(Unary::Silu)), one));
            }
            ("Mul", None, None) if self.made_by(one, "Sigmoid") == Some(other) => {
                return Ok((Some(Step::Function(Unary::Silu)), other));
            }
            _ => return Err(unfit(node, "joins several values")),
        };
        let (scale, shift, value) = step;
        Ok((Some(Step::Affine { scale, shift }), value))
    }

    /// What the node called `name` takes, if it is an `op`.
    fn made_by(&self, name: &str, wanted: &str) -> Option<&'g str> {
        let node = self.producers.get(name).filter(|node| op(node) == wanted)?;
        node.input.first().map(String::as_str)
    }

    /// The operands of the node that makes `name`, if it is an `op` of a value and a number.
    fn with_number(&self, name: &str, wanted: &str) -> Option<(&'g str, f64)> {
        let node = self.producers.get(name).filter(|node| op(node) == wanted)?;
        let number = |place| match self.constant_of(node, place).map(|c| &*c.values) {
            Some(&[number]) => Some(number),
            _ => None,
        };
        let value = |place: usize| node.input.get(place).map(String::as_str);
        number(1).and_then(|n| Some((value(0)?, n))).or_else(|| Some((value(1)?, number(0)?)))
    }

    /// `x` of `0.5·(x·(1 + erf(x/√2)))`, as PyTorch writes GELU before the operator of that name.
    fn gelu(&self, node: &NodeProto) -> Option<&'g str> {
        let near = |value: f64, wanted: f64| (value - wanted).abs() < 1e-6;
        let (inner, half) = self.with_number(node.output.first()?, "Mul")?;
        let product =
            self.producers.get(inner).filter(|node| op(node) == "Mul" && near(half, 0.5))?;
        let [x, gate] = product.input.as_slice() else { return None };
        let (erf, one) = self.with_number(gate, "Add")?;
        let scaled = self.made_by(erf, "Erf").filter(|_| near(one, 1.0))?;
        let root = std::f64::consts::SQRT_2;
        let by_division = self.with_number(scaled, "Div").filter(|&(_, by)| near(by, root));
        let by_product = self.with_number(scaled, "Mul").filter(|&(_, by)| near(by, 1.0 / root));
        let (of, _) = by_division.or(by_product)?;
        (of == x).then_some(of)
    }

    /// Whether `other` is one minus `value`.
    fn is_complement(&self, other: &str, value: &str) -> bool {
        let Some(node) = self.producers.get(other).filter(|node| op(node) == "Sub") else {
            return false;
        };
        let one = self.constant_of(node, 0).is_some_and(|one| one.values == [1.0]);
        one && node.input.get(1).map(String::as_str) == Some(value)
    }
}

pub(super) fn op(node: &NodeProto) -> &str {
    node.op_type.as_deref().unwrap_or_default()
}

fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name))
}

fn integer(node: &NodeProto, name: &str, usual: i64) -> i64 {
    attribute(node, name).and_then(|attribute| attribute.i).unwrap_or(usual)
}

fn real(node: &NodeProto, name: &str, usual: f32) -> f32 {
    attribute(node, name).and_then(|attribute| attribute.f).unwrap_or(usual)
}

fn floats(node: &NodeProto, name: &str) -> impl Iterator<Item = f64> {
    attribute(node, name)
        .into_iter()
        .flat_map(|attribute| attribute.floats.iter().map(|&f| f.into()))
}

/// A node that cannot be taken over, and why.
fn unfit(node: &NodeProto, why: &str) -> Error {
    let name = node.name.as_deref().filter(|name| !name.is_empty());
    let which = name.map(|name| format!(" '{name}'")).unwrap_or_default();
    refused(format!(
        "its node{which} of operator {} {why}; wgrad takes nets of dense layers over from ONNX, with functions \
         of one number, normalization of batches, scaling, flatten and softmax",
        op(node)
    ))
}

/// `alpha`·B, turned if its rows are units.
fn product(
    node: &NodeProto,
    matrix: &Constant,
    alpha: f64,
    turned: bool,
    bias: Option<Vec<f64>>,
) -> Result<Step> {
    let &[rows, columns] = matrix.shape.as_slice() else {
        return Err(unfit(node, "has no matrix"));
    };
    let (inputs, units) = if turned { (columns, rows) } else { (rows, columns) };
    let weight: Vec<f64> = match turned {
        false => matrix.values.iter().map(|value| alpha * value).collect(),
        true => (0..inputs)
            .flat_map(|input| matrix.values.iter().skip(input).step_by(inputs.max(1)))
            .map(|value| alpha * value)
            .collect(),
    };
    let bias = match bias {
        None => vec![0.0; units],
        Some(bias) if bias.len() == units => bias,
        Some(bias) => match bias.as_slice() {
            &[one] => vec![one; units],
            _ => return Err(unfit(node, &format!("has {} biases for {units} units", bias.len()))),
        },
    };
    Ok(Step::Product { inputs, units, weight, bias })
}

fn constant_node(node: &NodeProto) -> Result<Option<Constant>> {
    let scalar = |values: Vec<f64>| Constant { shape: Vec::new(), values };
    if let Some(tensor) = attribute(node, "value").and_then(|attribute| attribute.t.as_ref()) {
        return constant(tensor);
    }
    let single = attribute(node, "value_float").and_then(|attribute| attribute.f);
    let list: Vec<f64> = floats(node, "value_floats").collect();
    Ok(match single {
        Some(value) => Some(scalar(vec![value.into()])),
        None if !list.is_empty() => Some(Constant { shape: vec![list.len()], values: list }),
        None => None,
    })
}

/// The numbers of a tensor; nothing of a type that no step needs.
fn constant(tensor: &TensorProto) -> Result<Option<Constant>> {
    let name = tensor.name.as_deref().unwrap_or_default();
    if !tensor.external_data.is_empty() {
        return Err(refused(format!(
            "tensor '{name}' lies in another file; save the model with all of it in one"
        )));
    }
    let raw = tensor.raw_data.as_ref().map(|raw| raw.borrow().clone());
    fn words<const N: usize>(raw: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let words = raw.chunks_exact(N).filter_map(|word| word.try_into().ok());
        words.map(number).collect()
    }
    let values = match (tensor.data_type, raw) {
        (Some(DataType::FLOAT), Some(raw)) => words(&raw, |word| f32::from_le_bytes(word).into()),
        (Some(DataType::FLOAT), None) => tensor.float_data.iter().map(|&v| v.into()).collect(),
        (Some(DataType::DOUBLE), Some(raw)) => words(&raw, f64::from_le_bytes),
        (Some(DataType::DOUBLE), None) => tensor.double_data.clone(),
        (Some(DataType::INT64), Some(raw)) => words(&raw, |word| i64::from_le_bytes(word) as f64),
        (Some(DataType::INT64), None) => tensor.int64_data.iter().map(|&v| v as f64).collect(),
        _ => return Ok(None),
    };
    let extents = tensor.dims.iter().map(|&extent| usize::try_from(extent).ok());
    let shape = extents.collect::<Option<Vec<usize>>>();
    let elements = |shape: &Vec<usize>| {
        shape.iter().try_fold(1, |product: usize, &extent| product.checked_mul(extent))
    };
    match shape {
        Some(shape) if elements(&shape) == Some(values.len()) => {
            Ok(Some(Constant { shape, values }))
        }
        _ => Err(refused(format!(
            "tensor '{name}' of {:?} has {} numbers; take another copy",
            tensor.dims,
            values.len()
        ))),
    }
}

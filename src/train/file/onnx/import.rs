//! Reading a model from ONNX.

use rten_onnx::onnx::{GraphProto, ModelProto, ValueInfoProto};

use super::super::model_file::{ModelFile, refused};
use super::chain::{Chain, Step};
use crate::graph::{Loss, Unary};
use crate::nn::Sequential;
use crate::train::TrainingConfig;
use crate::train::state::TrainingState;
use crate::{Error, Result};

impl ModelFile {
    /// A net of dense layers from an ONNX file, such as PyTorch, Keras (by tf2onnx) and scikit-learn (by skl2onnx) write, to be
    /// trained on as `config` says, or just to predict. Scaling and normalization of batches become part of the
    /// dense layer beside them. A softmax at the end is left out where the loss is a softmax cross-entropy,
    /// and a sigmoid where it is a binary one: those take logits.
    ///
    /// # Errors
    /// [`Error::ModelFile`] naming the node that wgrad has nothing for, or what is wrong with the bytes;
    /// [`Error::Argument`] or [`Error::Shape`] if the net and `config` do not fit each other.
    pub fn from_onnx(bytes: &[u8], config: TrainingConfig) -> Result<Self> {
        let unread =
            |error| refused(format!("it is no ONNX file, or was cut off or changed: {error}"));
        let model = ModelProto::parse_buf(bytes).map_err(unread)?;
        let standard = |domain: &Option<String>| domain.as_deref().unwrap_or_default().is_empty();
        let opset = model.opset_import.iter().find(|set| standard(&set.domain));
        let opset = opset.and_then(|set| set.version).unwrap_or(1);
        let graph = model.graph.ok_or_else(|| refused("it is an ONNX file without a graph"))?;
        let (input, mut steps) = steps(&graph, opset)?;
        match (config.loss, steps.last()) {
            (
                Loss::SoftmaxCrossEntropy | Loss::SoftmaxCrossEntropyProbabilities,
                Some(Step::Softmax),
            )
            | (Loss::BinaryCrossEntropy, Some(Step::Function(Unary::Sigmoid))) => {
                steps.pop();
            }
            _ => {}
        }
        let (net, values) = layers(input, steps)?;
        let file = Self::new(net, config)?;
        let states = file.state().states.clone();
        file.with_state(TrainingState { values, states, ..TrainingState::default() })
    }

    /// Reads an ONNX file; see [`ModelFile::from_onnx`].
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, and those of [`ModelFile::from_onnx`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_onnx(path: impl AsRef<std::path::Path>, config: TrainingConfig) -> Result<Self> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| super::super::disk::unusable(path, source))?;
        Self::from_onnx(&bytes, config).map_err(|error| super::super::disk::at(path, error))
    }
}

/// The input, and the steps to the first output that a net computes.
fn steps(graph: &GraphProto, opset: i64) -> Result<(&ValueInfoProto, Vec<Step>)> {
    let chain = Chain::new(graph, opset)?;
    let name = |value: &'_ ValueInfoProto| value.name.clone().unwrap_or_default();
    // Older files list the tensors of the file among the inputs.
    let given =
        |value: &&ValueInfoProto| graph.initializer.iter().all(|tensor| tensor.name != value.name);
    let mut inputs = graph.input.iter().filter(given);
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        return Err(refused("it has no input, or several; wgrad takes nets with one"));
    };
    // scikit-learn's first output is the label; its second one has the probabilities.
    let mut first = None;
    for output in &graph.output {
        let output = output.name.as_deref().unwrap_or_default();
        match chain.steps(&name(input), output) {
            Ok(steps) => return Ok((input, steps)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| refused("it has no output")))
}

/// The shape of a row, as far as the file says; the rows themselves may be any number.
fn row_shape(input: &ValueInfoProto) -> Option<Vec<usize>> {
    let shape = input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let extents = shape.dim.iter().skip(1);
    let extent = |value: i64| usize::try_from(value).ok().filter(|&extent| extent > 0);
    extents.map(|dim| dim.dim_value.and_then(extent)).collect()
}

/// A dense layer that numbers before and behind it are still multiplied into.
struct Product {
    units: usize,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

/// The layers of these steps, and the values of their parameters.
fn layers(input: &ValueInfoProto, steps: Vec<Step>) -> Result<(Sequential, Vec<Vec<f32>>)> {
    let fan_in = steps.iter().find_map(|step| match step {
        Step::Product { inputs, .. } => Some(*inputs),
        _ => None,
    });
    let row = row_shape(input).filter(|row| !row.is_empty()).or(fan_in.map(|inputs| vec![inputs]));
    let row = row.ok_or_else(|| refused("nothing in it says how many numbers a row has"))?;
    let (mut net, mut values) = (Sequential::new(row), Vec::new());
    let mut last: Option<Product> = None;
    // What the next product's input is scaled by.
    let mut before: Option<(Vec<f64>, Vec<f64>)> = None;
    for step in steps {
        match step {
            Step::Affine { scale, shift } => match (&mut last, &mut before) {
                (Some(product), _) => product.then(&scale, &shift)?,
                (None, Some(before)) => *before = compose(before, &scale, &shift)?,
                (None, none) => *none = Some((scale, shift)),
            },
            Step::Product { inputs, units, weight, bias } => {
                net = close(net, &mut last, &mut values);
                let mut product = Product { units, weight, bias };
                if let Some((scale, shift)) = before.take() {
                    product.after(inputs, &scale, &shift)?;
                }
                last = Some(product);
            }
            other => {
                net = close(net, &mut last, &mut values);
                let is_flatten = matches!(other, Step::Flatten);
                let fits = |(scale, shift): &(Vec<f64>, Vec<f64>)| {
                    is_flatten && scale.len() <= 1 && shift.len() <= 1
                };
                if before.as_ref().is_some_and(|before| !fits(before)) {
                    return Err(unfolded());
                }
                net = match other {
                    Step::Function(function) => net.activation(function),
                    Step::Softmax => net.softmax(),
                    // Rows that are lists already stay what they are.
                    _ if net.output_shape().is_some_and(|shape| shape.rank() == 1) => net,
                    _ => net.flatten(),
                };
            }
        }
    }
    net = close(net, &mut last, &mut values);
    if before.is_some() {
        return Err(unfolded());
    }
    Ok((net, values))
}

fn unfolded() -> Error {
    refused(
        "it scales or shifts numbers with no dense layer beside that could do so; put the scaling in front of \
         the first layer, or right behind a layer",
    )
}

/// Adds the dense layer that nothing more is multiplied into.
fn close(net: Sequential, last: &mut Option<Product>, values: &mut Vec<Vec<f32>>) -> Sequential {
    let Some(Product { units, weight, bias, .. }) = last.take() else { return net };
    let rounded = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as f32).collect();
    values.extend([rounded(weight), rounded(bias)]);
    net.dense(units)
}

/// One number for each of `count` columns: they are as many, or one for all.
fn columns<'n>(numbers: &'n [f64], count: usize) -> Result<Box<dyn Iterator<Item = f64> + 'n>> {
    match numbers {
        &[one] => Ok(Box::new(std::iter::repeat_n(one, count))),
        many if many.len() == count => Ok(Box::new(many.iter().copied())),
        many => Err(refused(format!(
            "it scales {count} columns by {} numbers; take another copy",
            many.len()
        ))),
    }
}

impl Product {
    /// With its output times `scale` plus `shift`.
    fn then(&mut self, scale: &[f64], shift: &[f64]) -> Result<()> {
        let scale: Vec<f64> = columns(scale, self.units)?.collect();
        for row in self.weight.chunks_mut(self.units.max(1)) {
            row.iter_mut().zip(&scale).for_each(|(weight, scale)| *weight *= scale);
        }
        for ((bias, scale), shift) in
            self.bias.iter_mut().zip(&scale).zip(columns(shift, self.units)?)
        {
            *bias = *bias * scale + shift;
        }
        Ok(())
    }

    /// With its input times `scale` plus `shift`.
    fn after(&mut self, inputs: usize, scale: &[f64], shift: &[f64]) -> Result<()> {
        let rows = self.weight.chunks_mut(self.units.max(1));
        for ((row, scale), shift) in rows.zip(columns(scale, inputs)?).zip(columns(shift, inputs)?)
        {
            for (weight, bias) in row.iter_mut().zip(&mut self.bias) {
                *bias += shift * *weight;
                *weight *= scale;
            }
        }
        Ok(())
    }
}

/// First `before`, then times `scale` plus `shift`.
fn compose(
    before: &(Vec<f64>, Vec<f64>),
    scale: &[f64],
    shift: &[f64],
) -> Result<(Vec<f64>, Vec<f64>)> {
    let count = [before.0.len(), before.1.len(), scale.len(), shift.len()].into_iter().max();
    let count = count.unwrap_or(1);
    let product = columns(&before.0, count)?.zip(columns(scale, count)?).map(|(a, b)| a * b);
    let sum = columns(&before.1, count)?.zip(columns(scale, count)?).map(|(a, b)| a * b);
    let sum = sum.zip(columns(shift, count)?).map(|(a, b)| a + b);
    Ok((product.collect(), sum.collect()))
}

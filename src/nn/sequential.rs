//! A stack of layers.

use std::fmt;

use super::{Init, Layer};
use crate::Error;
use crate::graph::{Graph, Tensor, Unary};

/// A model whose layers follow each other; the architecture, still without a device.
///
/// ```
/// use wgrad::nn::Sequential;
/// let model = Sequential::new(10).dense(64).relu().dense(1);
/// assert_eq!(model.parameter_count(), 10 * 64 + 64 + 64 + 1);
/// println!("{}", model.summary());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sequential {
    input_width: usize,
    layers: Vec<Layer>,
    seed: u64,
}

/// Name, shape and first values of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// `dense_1.weight`, `dense_1.bias`.
    pub name: String,
    /// Weights are fan-in × units, biases are units.
    pub shape: Vec<usize>,
    /// Values before training.
    pub initial: Vec<f32>,
}

impl Sequential {
    /// A model for rows of `input_width` features.
    pub fn new(input_width: usize) -> Self {
        Self { input_width, layers: Vec::new(), seed: 0 }
    }

    /// Adds a layer.
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Adds a dense layer with Glorot's uniform initialiser.
    pub fn dense(self, units: usize) -> Self {
        self.dense_with(units, Init::default())
    }

    /// Adds a dense layer.
    pub fn dense_with(self, units: usize, init: Init) -> Self {
        self.layer(Layer::Dense { units, init })
    }

    /// Adds an activation.
    pub fn activation(self, function: Unary) -> Self {
        self.layer(Layer::Activation(function))
    }

    /// Adds a ReLU.
    pub fn relu(self) -> Self {
        self.activation(Unary::Relu)
    }

    /// Adds a leaky ReLU.
    pub fn leaky_relu(self, slope: f32) -> Self {
        self.activation(Unary::LeakyRelu { slope })
    }

    /// Adds a sigmoid.
    pub fn sigmoid(self) -> Self {
        self.activation(Unary::Sigmoid)
    }

    /// Adds a hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.activation(Unary::Tanh)
    }

    /// Adds a GELU.
    pub fn gelu(self) -> Self {
        self.activation(Unary::Gelu)
    }

    /// Adds a softmax. The cross-entropy losses take logits: train without it.
    pub fn softmax(self) -> Self {
        self.layer(Layer::Softmax)
    }

    /// The seed of the initial weights; 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Features per row.
    pub fn input_width(&self) -> usize {
        self.input_width
    }

    /// Numbers per row of the output.
    pub fn output_width(&self) -> usize {
        self.layers.iter().fold(self.input_width, |width, layer| layer.output_width(width))
    }

    /// The layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Number of trained numbers, `usize::MAX` if there are more than that.
    pub fn parameter_count(&self) -> usize {
        let counts = self.widths().map(|(layer, width)| layer.parameters(width));
        counts.fold(0, usize::saturating_add)
    }

    /// Each layer with the width of its input.
    pub(crate) fn widths(&self) -> impl Iterator<Item = (Layer, usize)> {
        self.layers.iter().scan(self.input_width, |width, &layer| {
            let input = *width;
            *width = layer.output_width(input);
            Some((layer, input))
        })
    }

    /// # Errors
    /// [`Error::Argument`] if a width is zero or more than 32 bits count, or there is no layer with
    /// parameters.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let counted = |elements: usize| u32::try_from(elements).is_ok();
        if self.input_width == 0 || !counted(self.input_width) {
            let rule = format!("from 1 to {}", u32::MAX);
            return Err(Error::argument("input width", self.input_width, &rule));
        }
        for (index, (layer, width)) in self.widths().enumerate() {
            let Layer::Dense { units, .. } = layer else { continue };
            let name = format!("units of layer {index} ({})", layer.name());
            if units == 0 {
                return Err(Error::argument(&name, 0, "at least 1"));
            }
            if !counted(layer.parameters(width)) {
                let rule = format!(
                    "at most {} with {width} inputs, since 32 bits must count a layer's parameters; \
                     use fewer units or inputs",
                    u32::MAX as usize / width.saturating_add(1)
                );
                return Err(Error::argument(&name, units, &rule));
            }
        }
        if self.parameter_count() == 0 {
            let rule = "at least 1; add one with `Sequential::dense`";
            return Err(Error::argument("number of dense layers", 0, rule));
        }
        Ok(())
    }

    /// Name and shape of every parameter, in the order in which [`Sequential::build`] adds them.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn parameter_shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.widths().enumerate().flat_map(|(index, (layer, width))| {
            let shapes = layer.parameter_shapes(width).into_iter();
            shapes.map(move |(part, shape)| (parameter_name("", layer, index, part), shape))
        })
    }

    /// The parameters in the order in which [`Sequential::build`] adds them, with their initial
    /// values.
    ///
    /// # Errors
    /// [`Error::Argument`] if a width is zero or more than 32 bits count, or there is no layer with
    /// parameters: no graph and no device takes such a model.
    pub fn parameters(&self) -> Result<Vec<ParameterSpec>, Error> {
        self.check()?;
        let mut specs = Vec::new();
        for (index, (layer, fan_in)) in self.widths().enumerate() {
            // Every layer draws from a generator of its own, so that a layer added elsewhere does
            // not change its weights. The constant spreads neighbouring seeds (Steele et al., 2014).
            let seed =
                self.seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let shapes = layer.parameter_shapes(fan_in).into_iter();
            for ((part, shape), initial) in shapes.zip(layer.initial(fan_in, seed)?) {
                specs.push(ParameterSpec {
                    name: parameter_name("", layer, index, part),
                    shape,
                    initial,
                });
            }
        }
        Ok(specs)
    }

    /// Adds the model to `graph`, applied to `x` (rows × input width); returns the output
    /// (rows × output width) and the parameters. Of several models in one graph, the names of the
    /// second one's parameters begin with `model_2.`, of the third one's with `model_3.`, and so on.
    ///
    /// # Errors
    /// If `x` is of another graph or its width is not the model's.
    pub fn build(&self, graph: &mut Graph, x: Tensor) -> Result<(Tensor, Vec<Tensor>), Error> {
        self.check()?;
        self.build_layers(graph, x, 0..self.layers.len())
    }

    /// What the names of the parameters begin with in `graph`: nothing, or the number of the model where
    /// the graph has others.
    fn scope(graph: &Graph) -> String {
        let mut scopes = (2..).map(|number: usize| format!("model_{number}."));
        let mut scope = String::new();
        while graph.has_parameter(|name| name.starts_with(&format!("{scope}{DENSE}"))) {
            scope = scopes.next().unwrap_or_default();
        }
        scope
    }

    /// Adds some of the layers to `graph`; a stage of a pipeline.
    pub(crate) fn build_layers(
        &self,
        graph: &mut Graph,
        x: Tensor,
        layers: std::ops::Range<usize>,
    ) -> Result<(Tensor, Vec<Tensor>), Error> {
        let scope = Self::scope(graph);
        let mut parameters = Vec::new();
        let mut y = x;
        for (index, (layer, fan_in)) in self.widths().enumerate() {
            if !layers.contains(&index) {
                continue;
            }
            let shapes = layer.parameter_shapes(fan_in).into_iter();
            let own: Vec<Tensor> = shapes
                .map(|(part, shape)| {
                    graph.parameter(&parameter_name(&scope, layer, index, part), shape)
                })
                .collect::<Result<_, _>>()?;
            y = match (layer, own.as_slice()) {
                (Layer::Dense { .. }, &[weight, bias]) => {
                    let product = graph.matmul(y, weight)?;
                    graph.bias_add(product, bias)?
                }
                (Layer::Dense { .. }, _) => {
                    return Err(Error::bug("a dense layer has other parameters than two"));
                }
                (Layer::Activation(function), _) => graph.unary(function, y)?,
                (Layer::Softmax, _) => graph.softmax(y, 1)?,
            };
            parameters.extend(own);
        }
        Ok((y, parameters))
    }

    /// A table of the layers with output shapes and parameter counts.
    pub fn summary(&self) -> Summary<'_> {
        Summary(self)
    }
}

/// What the name of a dense layer begins with; its place in the model follows.
const DENSE: &str = "dense_";

/// `dense_1.weight`: part `part` of layer `index`, behind what the names of its model begin with.
fn parameter_name(scope: &str, layer: Layer, index: usize, part: &str) -> String {
    format!("{scope}{}_{index}.{part}", layer.name())
}

/// Prints a model as a table; see [`Sequential::summary`].
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a>(&'a Sequential);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:<16}{:>12}", "layer", "output", "parameters")?;
        writeln!(f, "{:<24}{:<16}{:>12}", "input", format!("(?, {})", self.0.input_width), 0)?;
        for (index, (layer, width)) in self.0.widths().enumerate() {
            let name = format!("{}_{index}", layer.name());
            let output = format!("(?, {})", layer.output_width(width));
            writeln!(f, "{name:<24}{output:<16}{:>12}", layer.parameters(width))?;
        }
        let count = self.0.parameter_count();
        write!(f, "parameters: {count} ({:.1} KiB)", count as f64 * 4.0 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_a_table() {
        let model = Sequential::new(784)
            .dense_with(128, Init::HeUniform)
            .relu()
            .dense(10)
            .leaky_relu(0.1)
            .softmax();
        let expected = "\
layer                   output            parameters
input                   (?, 784)                   0
dense_0                 (?, 128)              100480
relu_1                  (?, 128)                   0
dense_2                 (?, 10)                 1290
leaky_relu_3            (?, 10)                    0
softmax_4               (?, 10)                    0
parameters: 101770 (397.5 KiB)";
        assert_eq!(model.summary().to_string(), expected);
        let empty = "\
layer                   output            parameters
input                   (?, 3)                     0
parameters: 0 (0.0 KiB)";
        assert_eq!(Sequential::new(3).summary().to_string(), empty);
    }
}

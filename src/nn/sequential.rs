//! A stack of layers.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::builder::{Outline, Trial, rows_of};
use super::{Builder, Layer};
use crate::Error;
use crate::graph::{Graph, Shape, Tensor};

/// A model whose layers follow each other; the architecture, still without a device.
///
/// ```
/// use wgrad::nn::Sequential;
/// let model = Sequential::new(10).dense(64).relu().dense(1);
/// assert_eq!(model.parameter_count(), 10 * 64 + 64 + 64 + 1);
/// println!("{}", model.summary());
/// ```
#[derive(Clone)]
pub struct Sequential {
    /// The shape of a row.
    input: Shape,
    layers: Vec<Placed>,
    seed: u64,
}

/// A layer at its place.
#[derive(Clone)]
struct Placed {
    layer: Arc<dyn Layer>,
    outline: Arc<Outline>,
    frozen: bool,
}

impl Placed {
    /// The name in summaries, and what the names of its parameters begin with.
    fn name(&self, place: usize) -> String {
        format!("{}_{place}", self.layer.name())
    }

    /// Whether each of its parameters is trained.
    fn trained(&self) -> impl Iterator<Item = bool> {
        self.outline.frozen.iter().map(|frozen| !(self.frozen || *frozen))
    }
}

/// Name, shape and first values of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// `dense_1.weight`, `dense_1.bias`.
    pub name: String,
    /// That which the layer gave it; weights of a dense layer are fan-in × units, biases are units.
    pub shape: Vec<usize>,
    /// Values before training.
    pub initial: Vec<f32>,
}

impl Sequential {
    /// A model for rows of a shape: `10` features, or an image of `[28, 28, 1]` numbers. Data gives rows
    /// as lists of as many numbers.
    pub fn new(input: impl Into<Shape>) -> Self {
        Self { input: input.into(), layers: Vec::new(), seed: 0 }
    }

    /// Adds a layer: one of [`layers`](super::layers), for which there are methods too, or one of the
    /// program's own. It is built once for a single row, to see what it is like.
    pub fn layer(self, layer: impl Layer) -> Self {
        self.shared_layer(Arc::new(layer))
    }

    /// Adds a layer whose type is known only when the program runs.
    pub fn shared_layer(mut self, layer: Arc<dyn Layer>) -> Self {
        let outline = match self.output_shape().cloned() {
            Some(input) => {
                let trial = Trial::new(&*layer, self.layers.len(), &input, self.seed);
                trial.outline(input)
            }
            None => Outline::default(),
        };
        self.layers.push(Placed { layer, outline: Arc::new(outline), frozen: false });
        self
    }

    /// Freezes the layer of this name, `dense_0` for example, as [`Sequential::summary`] has it: in training its
    /// parameters and what the optimizer keeps for them stay as they are, and no gradient of them is computed.
    /// What it does in training alone, such as dropout, it still does.
    ///
    /// ```
    /// use wgrad::nn::Sequential;
    /// let model = Sequential::new(10).dense(64).relu().dense(1).freeze("dense_0")?;
    /// assert_eq!(model.trained().collect::<Vec<_>>(), [false, false, true, true]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if no layer of this name has parameters.
    pub fn freeze(mut self, name: &str) -> Result<Self, Error> {
        self.set_frozen(name, true)?;
        Ok(self)
    }

    /// Trains the layer of this name again.
    ///
    /// # Errors
    /// As for [`Sequential::freeze`].
    pub fn unfreeze(mut self, name: &str) -> Result<Self, Error> {
        self.set_frozen(name, false)?;
        Ok(self)
    }

    /// # Errors
    /// [`Error::Argument`] if no layer of this name has parameters.
    pub(crate) fn set_frozen(&mut self, name: &str, frozen: bool) -> Result<(), Error> {
        let has_parameters = |placed: &Placed| !placed.outline.parameters.is_empty();
        let names = || self.layers.iter().enumerate().map(|(place, placed)| placed.name(place));
        let found = names().position(|own| own == name);
        match found.and_then(|place| self.layers.get(place)).filter(|of| has_parameters(of)) {
            Some(of) if !frozen && !of.frozen && of.outline.frozen.contains(&true) => {
                let rule =
                    "one that was frozen itself: here a layer within it was, before it was added";
                Err(Error::argument("layer to unfreeze", format!("'{name}'"), rule))
            }
            Some(_) => {
                let placed = found.and_then(|place| self.layers.get_mut(place));
                placed.into_iter().for_each(|placed| placed.frozen = frozen);
                Ok(())
            }
            None => {
                let with = self.layers.iter().zip(names()).filter(|(of, _)| has_parameters(of));
                let with: Vec<String> = with.map(|(_, name)| name).collect();
                let rule = format!("a layer with parameters: {}", with.join(", "));
                Err(Error::argument("layer", format!("'{name}'"), &rule))
            }
        }
    }

    /// Places of the layers that were frozen.
    pub(crate) fn frozen(&self) -> impl Iterator<Item = usize> {
        let layers = self.layers.iter().enumerate();
        layers.filter(|(_, placed)| placed.frozen).map(|(place, _)| place)
    }

    /// Freezes the layers at these places.
    pub(crate) fn freeze_at(mut self, places: &[usize]) -> Result<Self, Error> {
        for &place in places {
            let count = self.layers.len();
            match self.layers.get_mut(place) {
                Some(placed) => placed.frozen = true,
                None => {
                    let rule = format!("below {count}, the number of layers");
                    return Err(Error::argument("place of a frozen layer", place, &rule));
                }
            }
        }
        Ok(self)
    }

    /// For each parameter, in the order of [`Sequential::parameters`], whether it is trained: it is not if it
    /// is of a frozen layer.
    pub fn trained(&self) -> impl Iterator<Item = bool> {
        self.layers.iter().flat_map(Placed::trained)
    }

    /// The seed of the initial weights and of what dropout draws; 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The seed that was set.
    pub fn own_seed(&self) -> u64 {
        self.seed
    }

    /// The shape of a row.
    pub fn input_shape(&self) -> &Shape {
        &self.input
    }

    /// Numbers per row, its features.
    pub fn input_width(&self) -> usize {
        self.input.elements()
    }

    /// The shape of the output for a row; `None` if a layer cannot be built, for which
    /// [`Sequential::parameters`] gives the reason.
    pub fn output_shape(&self) -> Option<&Shape> {
        match self.layers.last() {
            Some(placed) => placed.outline.output.as_ref(),
            None => Some(&self.input),
        }
    }

    /// Numbers per row of the output; 0 if a layer cannot be built.
    pub fn output_width(&self) -> usize {
        self.output_shape().map_or(0, Shape::elements)
    }

    /// The layers.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = &dyn Layer> + ExactSizeIterator {
        self.layers.iter().map(|placed| &*placed.layer)
    }

    /// What building each layer says of it.
    pub(crate) fn outlines(&self) -> impl ExactSizeIterator<Item = &Outline> {
        self.layers.iter().map(|placed| &*placed.outline)
    }

    /// Numbers of all parameters, those of frozen layers included; `usize::MAX` if there are more than that. If a layer cannot be built,
    /// those behind it are not counted.
    pub fn parameter_count(&self) -> usize {
        self.outlines().map(Outline::parameter_count).fold(0, usize::saturating_add)
    }

    /// # Errors
    /// [`Error::Argument`] if a shape is empty or more than 32 bits count, or there is no layer with
    /// parameters; else what the first layer says that cannot be built.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let counted = |elements: usize| u32::try_from(elements).is_ok();
        let most = u32::MAX;
        let width = self.input_width();
        if width == 0 || !counted(width) {
            let rule = format!("from 1 to {most}");
            return Err(Error::argument("input width", width, &rule));
        }
        for (place, Placed { layer, outline, .. }) in self.layers.iter().enumerate() {
            let which = format!("of layer {place} ({})", layer.name());
            let Some(output) = &outline.output else {
                return Err(match self.trial(place)?.built {
                    Err(error) => error,
                    Ok(_) => Error::shape(
                        &which,
                        "it was refused when it was added and is accepted now; a layer must be built \
                         the same each time",
                    ),
                });
            };
            for (what, count) in
                [("parameters", outline.parameter_count()), ("outputs", output.elements())]
            {
                if !counted(count) {
                    let rule = format!("at most {most}, since 32 bits must count them");
                    return Err(Error::argument(
                        &format!("number of {what} {which}"),
                        count,
                        &rule,
                    ));
                }
            }
        }
        if self.parameter_count() == 0 {
            let rule = "at least 1; add one with `Sequential::dense`";
            return Err(Error::argument("number of layers with parameters", 0, rule));
        }
        Ok(())
    }

    /// The layer at `place`, built by itself.
    fn trial(&self, place: usize) -> Result<Trial, Error> {
        match self.layers.get(place) {
            Some(Placed { layer, outline, .. }) => match &outline.input {
                Some(input) => Ok(Trial::new(&**layer, place, input, self.seed)),
                None => Err(Error::bug("a layer behind one that cannot be built is tried")),
            },
            None => Err(Error::bug("a layer is tried that the model does not have")),
        }
    }

    /// Name and shape of every parameter, in the order in which [`Sequential::build`] adds them.
    pub(crate) fn parameter_shapes(&self) -> impl Iterator<Item = &(String, Shape)> {
        self.outlines().flat_map(|outline| &outline.parameters)
    }

    /// The parameters in the order in which [`Sequential::build`] adds them, with their initial
    /// values.
    ///
    /// # Errors
    /// [`Error::Argument`] if a width is zero or more than 32 bits count, or there is no layer with
    /// parameters: no graph and no device takes such a model. The error of a layer that cannot be built.
    pub fn parameters(&self) -> Result<Vec<ParameterSpec>, Error> {
        self.check()?;
        let mut specs = Vec::new();
        for place in 0..self.layers.len() {
            let trial = self.trial(place)?;
            for parameter in &trial.parameters {
                let info = trial.graph.info(parameter.tensor)?;
                specs.push(ParameterSpec {
                    name: info.name.clone(),
                    shape: info.shape.dims().to_vec(),
                    initial: parameter.initial.values(&info.name, &info.shape, parameter.seed)?,
                });
            }
        }
        Ok(specs)
    }

    /// Adds the model to `graph` as it evaluates and predicts, without dropout, applied to `x` (rows × the
    /// shape of a row, or rows × input width); returns the output (rows × the output's shape) and the
    /// parameters. [`Sequential::build_training`] adds it as it trains. If the graph has such names
    /// already, those of the second model's parameters begin with `model_2.`, of the third one's with
    /// `model_3.`, and so on.
    ///
    /// # Errors
    /// If `x` is of another graph or its shape is not the model's; the error of a layer that cannot be
    /// built.
    pub fn build(&self, graph: &mut Graph, x: Tensor) -> Result<(Tensor, Vec<Tensor>), Error> {
        self.check()?;
        self.build_layers(graph, x, 0..self.layers.len(), false)
    }

    /// Adds the model to `graph` as it trains: as [`Sequential::build`], but with what layers do in training
    /// only, such as dropout. Models of one seed drop the same.
    ///
    /// # Errors
    /// Those of [`Sequential::build`].
    pub fn build_training(
        &self,
        graph: &mut Graph,
        x: Tensor,
    ) -> Result<(Tensor, Vec<Tensor>), Error> {
        self.check()?;
        self.build_layers(graph, x, 0..self.layers.len(), true)
    }

    /// What the names of the parameters begin with in `graph`: nothing, or the number of the model where
    /// the graph has others with such layers.
    fn scope(&self, graph: &Graph) -> String {
        let trained = self.layers.iter().filter(|placed| !placed.outline.parameters.is_empty());
        let names: Vec<&str> = trained.map(|placed| placed.layer.name()).collect();
        let mut scopes = (2..).map(|number: usize| format!("model_{number}."));
        let mut scope = String::new();
        while graph.has_parameter(|parameter| {
            let own = parameter.strip_prefix(&*scope);
            let after = |name: &&str| own?.strip_prefix(*name)?.strip_prefix('_');
            names.iter().any(|name| after(name).is_some())
        }) {
            scope = scopes.next().unwrap_or_default();
        }
        scope
    }

    /// Adds some of the layers to `graph`, as they train or as they do otherwise; a stage of a pipeline.
    pub(crate) fn build_layers(
        &self,
        graph: &mut Graph,
        x: Tensor,
        layers: Range<usize>,
        training: bool,
    ) -> Result<(Tensor, Vec<Tensor>), Error> {
        let x = self.enter(graph, x, layers.start)?;
        let scope = self.scope(graph);
        let mut builder = Builder::new(graph, scope, self.seed, training);
        let y = self.build_in(&mut builder, x, layers)?;
        let parameters = builder.into_parameters().into_iter();
        Ok((y, parameters.map(|parameter| parameter.tensor).collect()))
    }

    /// Adds some of the layers as layers of what the builder is for.
    pub(super) fn build_in(
        &self,
        builder: &mut Builder<'_>,
        x: Tensor,
        layers: Range<usize>,
    ) -> Result<Tensor, Error> {
        let placed = self.layers.iter().enumerate().filter(|(place, _)| layers.contains(place));
        placed.into_iter().try_fold(x, |x, (place, placed)| {
            builder.layer_of(place, &*placed.layer, placed.frozen, x)
        })
    }

    /// `x` in the shape that the layer at `place` takes.
    fn enter(&self, graph: &mut Graph, x: Tensor, place: usize) -> Result<Tensor, Error> {
        graph.check_handles("Sequential::build", &[x])?;
        let info = graph.known(x);
        let row = self.row_before(place)?;
        match info.shape.dims() {
            [_, rest @ ..] if rest == row.dims() => Ok(x),
            &[rows, width] if place == 0 && width == row.elements() => {
                graph.reshape(x, rows_of(rows, row))
            }
            _ => {
                let detail = format!(
                    "'{}' is {}, the model takes rows of {row}; give those, or make the model with \
                     `Sequential::new` and the shape of a row",
                    info.name, info.shape
                );
                Err(Error::shape("Sequential::build", detail))
            }
        }
    }

    /// The shape of a row that the layer at `place` is given.
    pub(crate) fn row_before(&self, place: usize) -> Result<&Shape, Error> {
        match self.outlines().nth(place) {
            Some(outline) => outline
                .input
                .as_ref()
                .ok_or_else(|| Error::bug("a model is used that cannot be built")),
            None => Ok(&self.input),
        }
    }

    /// A table of the layers with output shapes and parameter counts.
    pub fn summary(&self) -> Summary<'_> {
        Summary(self)
    }
}

/// The layers as they were added, whatever building them says.
impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<_> = self.layers().collect();
        let mut text = f.debug_struct("Sequential");
        text.field("input", &self.input).field("layers", &layers).field("seed", &self.seed);
        let frozen: Vec<usize> = self.frozen().collect();
        if !frozen.is_empty() {
            text.field("frozen", &frozen);
        }
        text.finish()
    }
}

/// Layers are equal if their `Debug` texts are: types of their own can be compared no other way.
impl PartialEq for Sequential {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// Prints a model as a table; see [`Sequential::summary`].
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a>(&'a Sequential);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |row: &Shape| {
            let extents = row.dims().iter().map(|extent| format!(", {extent}"));
            format!("(?{})", extents.collect::<String>())
        };
        writeln!(f, "{:<24}{:<16}{:>12}", "layer", "output", "parameters")?;
        writeln!(f, "{:<24}{:<16}{:>12}", "input", shown(&self.0.input), 0)?;
        let mut frozen = 0_usize;
        for (place, placed) in self.0.layers.iter().enumerate() {
            let (name, outline) = (placed.name(place), &placed.outline);
            let output = match (&outline.input, &outline.output) {
                (_, Some(output)) => shown(output),
                (Some(_), None) => "cannot be built".into(),
                (None, None) => "unknown".into(),
            };
            let count = outline.parameter_count();
            let of_each = outline.parameters.iter().map(|(_, shape)| shape.elements());
            let stay = of_each.zip(placed.trained()).filter(|(_, trained)| !trained);
            let stay = stay.fold(0_usize, |sum, (elements, _)| sum.saturating_add(elements));
            frozen = frozen.saturating_add(stay);
            let said = match stay {
                0 => String::new(),
                _ if stay == count => "  frozen".into(),
                some => format!("  {some} frozen"),
            };
            writeln!(f, "{name:<24}{output:<16}{count:>12}{said}")?;
        }
        let count = self.0.parameter_count();
        write!(f, "parameters: {count} ({:.1} KiB)", count as f64 * 4.0 / 1024.0)?;
        if frozen > 0 { write!(f, ", {frozen} of them frozen") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Init;

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
        let frozen = model.freeze("dense_0").unwrap().summary().to_string();
        assert!(frozen.contains("100480  frozen\n") && frozen.contains("1290\n"), "{frozen}");
        assert!(frozen.ends_with("(397.5 KiB), 100480 of them frozen"), "{frozen}");
    }
}

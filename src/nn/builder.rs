//! Building layers into a graph.

use super::{InitialValues, Layer};
use crate::Error;
use crate::graph::{Graph, Layout, Op, Role, Shape, Tensor};

/// What a [`Layer`] is built with: the graph, and what remembers the layer's parameters.
#[derive(Debug)]
pub struct Builder<'a> {
    graph: &'a mut Graph,
    training: bool,
    scope: Scope,
    parameters: Vec<Registered>,
}

/// Whose names and seeds are given at the time: those of a model, a layer, or a layer within it.
#[derive(Debug)]
struct Scope {
    /// What names of parameters begin with.
    prefix: String,
    /// Of its first parameter that is drawn.
    seed: u64,
    /// Parameters that were drawn so far.
    drawn: u64,
    /// Seeds that were given to operations so far.
    given: u64,
    /// What the seeds of its layers are counted from.
    of_layers: u64,
    /// Places of its layers so far.
    places: Vec<usize>,
    /// Whether its parameters stay as they are in training.
    frozen: bool,
}

impl Scope {
    fn new(prefix: String, seed: u64, of_layers: u64) -> Self {
        Self { prefix, seed, drawn: 0, given: 0, of_layers, places: Vec::new(), frozen: false }
    }
}

/// A parameter, with what it begins with.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) tensor: Tensor,
    pub(super) initial: InitialValues,
    pub(super) seed: u64,
    pub(super) frozen: bool,
}

impl<'a> Builder<'a> {
    /// For a model whose names begin with `prefix` and whose weights are drawn from `seed`, in a graph for
    /// training or for what it is used for afterwards.
    pub(super) fn new(graph: &'a mut Graph, prefix: String, seed: u64, training: bool) -> Self {
        let scope = Scope::new(prefix, seed, seed);
        Self { graph, training, scope, parameters: Vec::new() }
    }

    /// The graph, to add operations to.
    pub fn graph(&mut self) -> &mut Graph {
        self.graph
    }

    /// Whether the graph is one for training. What a layer does then only, as
    /// [`Dropout`](super::layers::Dropout) does, it leaves out of graphs for evaluation and prediction; its
    /// parameters and the shape of its output are the same in both.
    pub fn training(&self) -> bool {
        self.training
    }

    /// A seed for an operation of the layer that draws random numbers, such as
    /// [`Graph::dropout`]: another one at each call and in each layer of the model, and the same ones
    /// whenever a model of this seed is built.
    pub fn seed(&mut self) -> u64 {
        // Counted by themselves: the weights of a layer do not depend on what it does in training only.
        self.scope.given = self.scope.given.saturating_add(1);
        mixed(nth_seed(mixed(self.scope.seed), self.scope.given))
    }

    /// The shape of `x`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the handle is of another graph.
    pub fn shape(&self, x: Tensor) -> Result<&Shape, Error> {
        self.graph.shape(x)
    }

    /// Adds a parameter of any shape to the layer: `weight` of the dense layer at place 1 is called
    /// `dense_1.weight`. Gradients, updates, weights in files and counts go by this call alone.
    ///
    /// # Errors
    /// [`Error::Shape`] if an extent is zero, or there are more elements than 32 bits count.
    pub fn parameter(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        initial: InitialValues,
    ) -> Result<Tensor, Error> {
        let tensor = self.graph.parameter(&format!("{}{name}", self.scope.prefix), shape)?;
        let seed = match self.scope.drawn {
            0 => self.scope.seed,
            before => mixed(nth_seed(self.scope.seed, before)),
        };
        if matches!(initial, InitialValues::Drawn { .. }) {
            self.scope.drawn = self.scope.drawn.saturating_add(1);
        }
        let frozen = self.scope.frozen;
        self.parameters.push(Registered { tensor, initial, seed, frozen });
        Ok(tensor)
    }

    /// Adds a layer that this one is made of, applied to `x`. `place` numbers the layers of one layer:
    /// parameters are called `residual_2.dense_0.weight`, and drawn from a seed of their own.
    ///
    /// # Errors
    /// Those of the layer, with its place and name.
    pub fn layer(&mut self, place: usize, layer: &dyn Layer, x: Tensor) -> Result<Tensor, Error> {
        self.layer_of(place, layer, false, x)
    }

    /// [`Builder::layer`], whose parameters may be frozen.
    pub(super) fn layer_of(
        &mut self,
        place: usize,
        layer: &dyn Layer,
        frozen: bool,
        x: Tensor,
    ) -> Result<Tensor, Error> {
        let name = layer.name();
        if self.scope.places.contains(&place) {
            let rule =
                "another number than the layers before it have, since seeds are counted by it";
            return Err(Error::argument(&format!("place of {name}"), place, rule));
        }
        self.scope.places.push(place);
        let before = self.unknown();
        // Every layer draws from a generator of its own, so that a layer added elsewhere does not
        // change its weights.
        let seed = nth_seed(self.scope.of_layers, (place as u64).wrapping_add(1));
        let prefix = format!("{}{name}_{place}.", self.scope.prefix);
        let frozen = frozen || self.scope.frozen;
        let scope = Scope { frozen, ..Scope::new(prefix, seed, mixed(!seed)) };
        let outer = std::mem::replace(&mut self.scope, scope);
        let built = layer.build(self, x).and_then(|y| self.check_rows(x, y));
        let built = built.and_then(|y| self.check_unknown(before).map(|()| y));
        self.scope = outer;
        built.map_err(|error| of_layer(error, place, name))
    }

    /// Parameters that were not added through the builder, and inputs: nobody would give them values.
    fn unknown(&self) -> [usize; 2] {
        let inputs = self.graph.tensors().iter().filter(|tensor| tensor.role == Role::Input);
        [self.graph.parameters().len().abs_diff(self.parameters.len()), inputs.count()]
    }

    fn check_unknown(&self, before: [usize; 2]) -> Result<(), Error> {
        let [parameters, inputs] = self.unknown();
        let detail = match before {
            [known, _] if known != parameters => {
                "it added a parameter that nobody gives a value; add it by `Builder::parameter`"
            }
            [_, known] if known != inputs => {
                "it added an input that nobody writes; make it a parameter, a constant or a part of `x`"
            }
            _ => return Ok(()),
        };
        Err(Error::shape("graph", detail))
    }

    /// `y`, if it has the rows of `x`.
    fn check_rows(&self, x: Tensor, y: Tensor) -> Result<Tensor, Error> {
        let (of_x, of_y) = (self.graph.shape(x)?, self.graph.shape(y)?);
        if of_x.dims().first() == of_y.dims().first() {
            return Ok(y);
        }
        let detail =
            format!("{of_y} for an input of {of_x}; the first axis must stay, it is the rows");
        Err(Error::shape("output", detail))
    }

    /// The parameters, in the order in which they were added.
    pub(super) fn into_parameters(self) -> Vec<Registered> {
        self.parameters
    }
}

/// Seed `n` of those counted from `seed`. The constant spreads neighbouring seeds (Steele et al., 2014).
fn nth_seed(seed: u64, n: u64) -> u64 {
    seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A number that has nothing to do with those that [`nth_seed`] counts on from `seed`: the last part of
/// the generator of the same paper.
fn mixed(seed: u64) -> u64 {
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// `error`, saying which layer it is of.
fn of_layer(error: Error, place: usize, name: &str) -> Error {
    let layer = format!("layer {place} ({name})");
    match error {
        Error::Argument { name, value, rule } => {
            Error::Argument { name: format!("{name} of {layer}"), value, rule }
        }
        Error::Shape { op, detail } => Error::Shape { op: format!("{layer}: {op}"), detail },
        other => other,
    }
}

/// What building a layer of a model says of it. Shapes are those of one row.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// `None` behind a layer that cannot be built.
    pub(crate) input: Option<Shape>,
    /// Name and shape of each parameter; of a layer that cannot be built, those it added before that
    /// was clear.
    pub(crate) parameters: Vec<(String, Shape)>,
    /// Whether each of them is of a frozen layer within this one.
    pub(crate) frozen: Vec<bool>,
    /// `None` of a layer that cannot be built.
    pub(crate) output: Option<Shape>,
    /// Multiply-adds of its matrix products, by which pipelines are cut.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    pub(crate) multiply_adds: u64,
}

impl Outline {
    /// How many numbers are trained, `usize::MAX` if there are more than that.
    pub(crate) fn parameter_count(&self) -> usize {
        let counts = self.parameters.iter().map(|(_, shape)| shape.elements());
        counts.fold(0, usize::saturating_add)
    }
}

/// A layer at its place in a model, built by itself for one row.
pub(super) struct Trial {
    pub(super) graph: Graph,
    pub(super) parameters: Vec<Registered>,
    /// What building it came to.
    pub(super) built: Result<Tensor, Error>,
}

impl Trial {
    /// Builds the layer for a row of the shape `input`, in a model of this seed, as it is in training:
    /// what it does then only may be refused too.
    pub(super) fn new(layer: &dyn Layer, place: usize, input: &Shape, seed: u64) -> Self {
        let mut graph = Graph::outline();
        let x = graph.input("x", rows_of(1, input));
        let mut builder = Builder::new(&mut graph, String::new(), seed, true);
        let built = x.and_then(|x| builder.layer(place, layer, x));
        let parameters = builder.into_parameters();
        Self { graph, parameters, built }
    }

    pub(super) fn outline(&self, input: Shape) -> Outline {
        let parameters = self.parameters.iter().map(|parameter| {
            let info = self.graph.info(parameter.tensor).ok();
            info.map(|info| ((info.name.clone(), info.shape.clone()), parameter.frozen))
        });
        let (parameters, frozen) = parameters.flatten().unzip();
        let output = self.built.as_ref().ok();
        let output = output.map(|&y| self.graph.known_shape(y).without(0, 1));
        let products =
            self.graph.nodes().iter().filter_map(|node| match (node.op, &*node.inputs) {
                (Op::MatMul(layout), &[a, _]) => {
                    let a = self.graph.known_shape(a);
                    let terms = if layout == Layout::TN { a.rows() } else { a.columns() };
                    let sums = self.graph.known_shape(node.output).elements();
                    Some((sums as u64).saturating_mul(terms as u64))
                }
                _ => None,
            });
        let multiply_adds = products.fold(0, u64::saturating_add);
        Outline { input: Some(input), parameters, frozen, output, multiply_adds }
    }
}

/// `rows` rows of the shape `row`.
pub(crate) fn rows_of(rows: usize, row: &Shape) -> Shape {
    let mut dims = vec![rows];
    dims.extend_from_slice(row.dims());
    dims.into()
}

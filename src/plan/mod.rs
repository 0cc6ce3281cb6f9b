//! A compiled graph, still device-free: fused dispatches in order of level, and where every tensor
//! lies. A plan can be printed, tested and compared without a GPU.
//!
//! ```
//! use wgrad::graph::{Graph, Loss, Unary};
//! use wgrad::plan::{Plan, PlanOptions, Target};
//! # fn main() -> Result<(), wgrad::Error> {
//! let mut graph = Graph::new();
//! let x = graph.input("x", [32, 10])?;
//! let w = graph.parameter("w", [10, 64])?;
//! let b = graph.parameter("b", [64])?;
//! let z = graph.matmul(x, w)?;
//! let z = graph.bias_add(z, b)?;
//! let y = graph.unary(Unary::Relu, z)?;
//! let plan = Plan::new(&graph, &[y], &Target::default())?;
//! assert_eq!(plan.dispatches().len(), 1); // product, bias and activation in one
//! println!("{plan}");
//! # Ok(())
//! # }
//! ```

mod arena;
mod barriers;
mod choose;
mod fingerprint;
mod labels;
mod launch_limits;
mod level;
mod limits;
mod lower;
mod lower_update;
mod memory;
mod place;
mod precision;
mod scope;
mod table;
mod target;
mod within;

pub use arena::{ArenaEntry, ArenaLayout};
pub use barriers::Barriers;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use barriers::{Count, Order, SharedBuffer};
pub use choose::TilingChoice;
pub use launch_limits::LaunchLimits;
pub use limits::MOST_TURNS;
pub use memory::{Life, MemoryPlan, assign};
pub use precision::Precision;
pub use scope::PlanScope;
pub use target::{AdapterClass, Target};
pub(crate) use target::{FILLED_BY_DISCRETE, FILLED_BY_INTEGRATED, FILLED_BY_OTHER};
use within::Within;

#[doc(inline)]
pub use crate::kernel::{Arena, Launch, Operand, Part, Turns, matmul::Tiling, update::Run};

use crate::Error;
use crate::graph::{Graph, Pass, Role, Tensor, TensorInfo, UpdateRule};

/// What a plan is to compute, and how.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Tensors that the host reads after a step.
    pub outputs: Vec<Tensor>,
    /// Scalars (losses, counts) that every step adds to the results table, one column each.
    pub results: Vec<Tensor>,
    /// Fuse operations where that saves a dispatch. Off, each operation is a dispatch of its own.
    pub fuse: bool,
    /// Let intermediate tensors whose lives do not meet share memory.
    pub reuse_memory: bool,
    /// The part of a training step to hold.
    pub portion: PlanScope,
    /// In how many bits numbers lie between kernels. A graph with assignments is refused with [`Precision::Mixed`];
    /// inputs of 65,520 or more become infinite where products read drawn rows of them in 16 bits.
    pub precision: Precision,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            outputs: Vec::new(),
            results: Vec::new(),
            fuse: true,
            reuse_memory: true,
            portion: PlanScope::Step,
            precision: Precision::F32,
        }
    }
}

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A buffer of the executor, shared with tensors whose lives do not meet this one's.
    Slot(usize),
    /// A buffer of its own that the host writes, or that the caller brings; the number counts inputs.
    Input(usize),
    /// A buffer filled once; the number counts constants.
    Constant(usize),
    /// The parameter of this number, in the arena of values.
    Parameter(usize),
    /// The gradient of the parameter of this number, in the arena of gradients.
    Gradient(usize),
    /// The copy in 16 bits of the parameter of this number, in the arena of such copies.
    Copy(usize),
    /// A column of the results table.
    Result(usize),
    /// Nowhere: the plan does not need it.
    Nowhere,
}

/// One dispatch of a plan. Two are equal if they do the same to tensors at the same positions, whatever
/// graph these are of.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Kernel, operands and geometry.
    pub launch: Launch,
    /// The region of the graph it comes from.
    pub pass: Pass,
    /// Longest chain of dispatches before it. Dispatches of one level do not depend on each other.
    pub level: usize,
    /// Its place in the order of the graph, before dispatches were sorted by level.
    pub position: usize,
    /// Tensors it reads.
    pub reads: Vec<Tensor>,
    /// Tensors it writes.
    pub writes: Vec<Tensor>,
    /// Of the update: steps that its parameters [missed](Graph::missed_steps).
    pub missed: u64,
}

impl Dispatch {
    /// Whether it is the update, which moves all parameters at once: arenas, not tensors.
    pub(crate) fn moves_arenas(&self) -> bool {
        self.pass == Pass::Update && self.writes.is_empty()
    }
}

impl PartialEq for Dispatch {
    fn eq(&self, other: &Self) -> bool {
        let positions = |tensors: &[Tensor]| tensors.iter().map(|t| t.index()).collect::<Vec<_>>();
        let Self { launch, pass, level, position, reads, writes, missed } = self;
        *launch == other.launch
            && (*pass, *level, *position) == (other.pass, other.level, other.position)
            && *missed == other.missed
            && positions(reads) == positions(&other.reads)
            && positions(writes) == positions(&other.writes)
    }
}

/// A compiled graph; see the [module](self).
#[derive(Clone, Debug)]
pub struct Plan {
    target: Target,
    tensors: Vec<TensorInfo>,
    /// The handle of each.
    handles: Vec<Tensor>,
    places: Vec<Place>,
    within: Within,
    inputs: Vec<Tensor>,
    constants: Vec<(Tensor, f32)>,
    outputs: Vec<Tensor>,
    dispatches: Vec<Dispatch>,
    memory: MemoryPlan,
    arena: ArenaLayout,
    rule: Option<UpdateRule>,
    precision: Precision,
    columns: usize,
    /// The column of the loss that must be finite for an update to happen.
    loss_column: Option<usize>,
    /// For each input of class labels, the number of classes.
    classes: Vec<(Tensor, usize)>,
    /// For each input of row indices, the number of rows they choose from.
    rows: Vec<(Tensor, usize)>,
    /// The last entry of the order from which a whole batch is left.
    last_batch_start: Option<usize>,
    choices: Vec<TilingChoice>,
    /// Whether these dispatches train or a whole-step kernel does in their place, and why.
    trains_with: Option<String>,
}

impl Plan {
    /// A plan that computes `outputs`, with fusion and memory reuse.
    ///
    /// # Errors
    /// [`Error::Limit`] if a tensor is larger than the device's bindings, if a dispatch needs more of
    /// anything than the device has, or if an operation runs along so many elements that a software driver
    /// would not come to their end ([`MOST_TURNS`]).
    pub fn new(graph: &Graph, outputs: &[Tensor], target: &Target) -> Result<Self, Error> {
        let options = PlanOptions { outputs: outputs.to_vec(), ..PlanOptions::default() };
        Self::with_options(graph, &options, target)
    }

    /// A plan with options.
    ///
    /// # Errors
    /// As for [`Plan::new`]; and if a tensor of `results` is not a scalar, the graph has not what the
    /// `portion` holds, that computes none of the outputs and results, or the target asks for a tiling that
    /// it cannot run.
    pub fn with_options(
        graph: &Graph,
        options: &PlanOptions,
        target: &Target,
    ) -> Result<Self, Error> {
        graph.check_handles("plan", &options.outputs)?;
        graph.check_handles("plan", &options.results)?;
        for &tensor in &options.results {
            if graph.known_shape(tensor).elements() != 1
                || !matches!(graph.known(tensor).role, Role::Computed)
            {
                let info = graph.known(tensor);
                let detail = format!(
                    "'{}' ({}) is no computed scalar; list it among the `outputs`",
                    info.name, info.shape
                );
                return Err(Error::shape("plan", detail));
            }
        }
        scope::check(graph, options)?;
        options.precision.check_here()?;
        let runs = |tiling: &Tiling| tiling.runs_with(target.subgroup, target.words, target.texels);
        if let Some(tiling) = target.tiling.filter(|tiling| !runs(tiling)) {
            let words = if target.words { "" } else { ", without integers of 64 bits" };
            let texels = if target.texels { "" } else { ", without large textures" };
            let subgroups = match target.subgroup {
                Some(width) => format!("subgroups of {width} invocations"),
                None => "no subgroups of a known size".into(),
            };
            return Err(Error::argument(
                "tiling",
                format!("{tiling:?}"),
                &format!("one that a device with {subgroups}{words}{texels} can run, or none"),
            ));
        }
        let arena = ArenaLayout::new(graph, target)?;
        let mut lowering = lower::lower(graph, options, arena, target)?;
        if let Some(update) = graph.update_pass() {
            lower_update::lower(&mut lowering, update)?;
        }
        lower_update::assign(&mut lowering)?;
        let mut lowered = lowering.finish()?;
        let work = std::mem::take(&mut lowered.work);
        let mut dispatches =
            level::order(work, &lowered.roots, &lowered.within, &lowered.gradients)?;
        if options.portion == PlanScope::Gradients {
            level::split_passes(&mut dispatches);
        }
        for dispatch in &dispatches {
            launch_limits::check(&dispatch.launch, target)?;
            limits::check(&dispatch.launch, &lowered.tensors, target.most_turns)?;
        }
        let placed = place::place(&dispatches, options, &lowered, target)?;
        Ok(Self {
            target: target.clone(),
            tensors: lowered.tensors,
            handles: lowered.handles,
            places: placed.places,
            within: lowered.within,
            inputs: placed.inputs,
            constants: placed.constants,
            outputs: options.outputs.iter().flat_map(|&t| [t, lowered.roots[t.index()]]).collect(),
            dispatches,
            memory: placed.memory,
            arena: lowered.arena,
            rule: graph
                .update_pass()
                .filter(|_| options.portion != PlanScope::Gradients)
                .map(|update| update.rule),
            precision: options.precision,
            columns: options.results.len(),
            loss_column: graph
                .update_pass()
                .and_then(|update| options.results.iter().position(|&t| t == update.loss)),
            classes: labels::classes(graph),
            rows: labels::rows(graph),
            last_batch_start: labels::last_batch_start(graph),
            choices: lowered.choices,
            trains_with: None,
        })
    }

    /// All tensors: the graph's, then the scratch tensors the plan added.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// What is known of `tensor`, if it is the graph's or one that the plan added.
    pub fn info(&self, tensor: Tensor) -> Option<&TensorInfo> {
        self.tensors.get(self.position(tensor)?)
    }

    /// Where `tensor` lies; nowhere if it is of another graph.
    pub fn place(&self, tensor: Tensor) -> Place {
        let place = self.position(tensor).and_then(|position| self.places.get(position));
        place.copied().unwrap_or(Place::Nowhere)
    }

    /// Where in its [`Place`] `tensor` begins, in bytes.
    pub(crate) fn offset(&self, tensor: Tensor) -> u64 {
        self.within.whole(tensor).1
    }

    /// The position of `tensor` among [`Plan::tensors`], if it is one of them.
    fn position(&self, tensor: Tensor) -> Option<usize> {
        (self.handles.get(tensor.index()) == Some(&tensor)).then(|| tensor.index())
    }

    /// What is known of `tensor`. Where a plan's tensors are written, read or bound by handle, here
    /// the handles are looked at first.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is of another graph.
    pub(crate) fn known(&self, op: &str, tensor: Tensor) -> Result<&TensorInfo, Error> {
        self.info(tensor).ok_or_else(|| {
            let index = tensor.index();
            let detail = format!(
                "tensor #{index} is not of this plan's graph but of another graph; use handles of this one"
            );
            Error::shape(op, detail)
        })
    }

    /// The tensors that the host writes or the caller brings.
    pub fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// Whether `tensor` still holds its value after a step: an input, a parameter, a gradient, an
    /// output. The memory of any other may hold another tensor by then.
    pub fn keeps(&self, tensor: Tensor) -> bool {
        match self.place(tensor) {
            Place::Slot(_) => self.outputs.contains(&tensor),
            Place::Nowhere | Place::Result(_) | Place::Copy(_) => false,
            Place::Input(_) | Place::Constant(_) | Place::Parameter(_) | Place::Gradient(_) => true,
        }
    }

    /// Constant tensors with their values.
    pub fn constants(&self) -> &[(Tensor, f32)] {
        &self.constants
    }

    /// Dispatches, by level.
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.dispatches
    }

    /// Multiply-adds of all matrix products of a step: a measure of its cost.
    pub fn multiply_adds(&self) -> u64 {
        self.dispatches.iter().map(|dispatch| dispatch.launch.multiply_adds).sum()
    }

    /// Bytes of the tensors that `dispatch` reads and writes; of the update, of all that it moves: values,
    /// gradients and one state, and copies of the values in 16 bits if there are such.
    pub fn bytes(&self, dispatch: &Dispatch) -> u64 {
        let of = |tensors: &[Tensor]| -> u64 {
            tensors.iter().filter_map(|&t| self.info(t)).map(TensorInfo::bytes).sum()
        };
        let run = if dispatch.moves_arenas() { Run::bytes_of(&dispatch.launch) } else { 0 };
        let copies = if self.precision.is_mixed() { run / 2 } else { 0 };
        of(&dispatch.reads) + of(&dispatch.writes) + 3 * run + copies
    }

    /// Bytes of the values that all updates together move.
    pub(crate) fn bytes_moved(&self) -> u64 {
        let updates = self.dispatches.iter().filter(|d| d.moves_arenas());
        updates.map(|d| Run::bytes_of(&d.launch)).sum()
    }

    /// Buffers for intermediate tensors.
    pub fn memory(&self) -> &MemoryPlan {
        &self.memory
    }

    /// Where the parameters lie.
    pub fn arena(&self) -> &ArenaLayout {
        &self.arena
    }

    /// The update rule, if the plan trains.
    pub fn rule(&self) -> Option<UpdateRule> {
        self.rule
    }

    /// In how many bits numbers lie between its kernels.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The different numbers of steps that parameters missed; 0 is the first.
    pub(crate) fn missed_steps(&self) -> Vec<u64> {
        let mut all = vec![0];
        for dispatch in &self.dispatches {
            if !all.contains(&dispatch.missed) {
                all.push(dispatch.missed);
            }
        }
        all
    }

    /// Whether it moves parameters, by an update or by assignments.
    pub(crate) fn moves_parameters(&self) -> bool {
        self.has_operand(|operand| matches!(operand, Operand::Arena(Arena::Values, _)))
    }

    /// Whether it may tell of a step that it went wrong.
    pub(crate) fn reports(&self) -> bool {
        self.has_operand(|operand| operand == Operand::Status)
    }

    fn has_operand(&self, is_it: impl Fn(Operand) -> bool) -> bool {
        let launches = self.dispatches.iter().map(|dispatch| &dispatch.launch);
        launches.flat_map(|launch| &launch.operands).any(|&(_, operand)| is_it(operand))
    }

    /// The different choices for its matrix products, in the order in which they first occur.
    pub fn choices(&self) -> &[TilingChoice] {
        &self.choices
    }

    /// The same plan, which prints that `kernels` train.
    pub(crate) fn trains_with(self, kernels: &str) -> Self {
        Self { trains_with: Some(kernels.into()), ..self }
    }

    /// Columns of the results table.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The column of the results table with the loss that must be finite for an update to happen, if
    /// it is among the results.
    pub fn loss_column(&self) -> Option<usize> {
        self.loss_column
    }

    /// The number of classes, if `tensor` is an input of class labels that a loss or a count takes.
    pub fn classes(&self, tensor: Tensor) -> Option<usize> {
        self.classes.iter().find(|(labels, _)| *labels == tensor).map(|&(_, classes)| classes)
    }

    /// The number of rows, if `tensor` is an input of indices that choose rows: for a gather, or as the
    /// order of batches.
    pub fn rows(&self, tensor: Tensor) -> Option<usize> {
        self.rows.iter().find(|(indices, _)| *indices == tensor).map(|&(_, rows)| rows)
    }

    /// The largest [`batch_start`](crate::exec::Step::batch_start) that leaves a whole batch, if the plan
    /// draws batches.
    pub fn last_batch_start(&self) -> Option<usize> {
        self.last_batch_start
    }

    /// The device the plan was made for.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

pub(crate) fn check_size(what: &str, bytes: u64, target: &Target) -> Result<(), Error> {
    let (limit, allowed) = target.tensor_limit();
    if bytes <= allowed {
        return Ok(());
    }
    Err(Error::Limit {
        what: format!("'{what}'"),
        needed: bytes,
        unit: "bytes",
        limit,
        allowed,
        remedy: "use smaller batches, or layers with fewer units".into(),
    })
}

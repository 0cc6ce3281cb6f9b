//! The Rust side of each shader: what it binds, with which constants, over how many workgroups. Public for what
//! launches kernels by hand, as their tests do, and not part of the promise: any release may change it. What plans
//! show of it, [`plan`](crate::plan) exports.
//!
//! A shader is a list of [`Part`]s, WGSL files that are read one after another: the prelude, what
//! the kernel needs of shared functions, and last the file with its `main`. A [`Launch`] is one
//! dispatch of it, still without a device: operands are tensors, named as in the WGSL. The binding
//! layout is read from the WGSL by [`reflect`] rather than written twice.

mod activation;
pub mod arrays;
pub mod elementwise;
mod formula;
pub mod half;
pub mod loss;
pub mod matmul;
pub mod needs;
pub(crate) mod own;
pub mod reduce;
pub mod reflect;
pub mod rows;
mod rule;
pub mod softmax;
pub(crate) mod source;
mod turns;
pub mod update;
pub mod whole_step;

pub(crate) use source::{PRELUDE, part};
pub use source::{Part, WORKGROUP};
pub use turns::Turns;
pub(crate) use turns::longest_share;

use crate::graph::{Shape, Tensor, TensorInfo};

/// The sum of the gradients of two groups of micro-batches; launched by
/// [`lanes::Parallel`](crate::lanes) outside any plan.
pub const GRADIENT_SUM: [&Part; 2] = [PRELUDE, part!("update/gradient_sum")];

/// A chain of multiply-adds, to measure a device by; launched by [`Gpu::measure`](crate::Gpu::measure) outside any
/// plan.
pub const CHAIN: [&Part; 2] = [PRELUDE, part!("measure/chain")];

/// Terms of a product that are added up one after another, at most; longer sums are made of parts. Each
/// addition may lose half a unit in the last place, so that in the worst case 2^15 of them leave 10 of 24
/// bits.
pub const LONGEST_SUM: usize = 1 << 15;

/// Texels of four numbers in a row of a texture that holds a tensor.
pub const TEXELS_ACROSS: u32 = 4096;

/// Texels of such a texture, at most: as many rows as every device's textures may have.
pub const MOST_TEXELS: usize = TEXELS_ACROSS as usize * 8192;

/// What a binding is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A tensor of the graph, or a scratch tensor that the plan added.
    Tensor(Tensor),
    /// The table of scalars that the host reads back, one row per step.
    Results,
    /// Two words that outlive a step: the first step that was not finite (plus one), and which
    /// kind of value it was.
    Status,
    /// A chunk of the parameters, their gradients or the optimizer's states.
    Arena(Arena, usize),
}

/// The flat buffers in which all parameters lie, each parameter at the same place in every arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arena {
    /// Parameter values.
    Values,
    /// Gradients.
    Gradients,
    /// Copies of the values in 16 bits, which lie as they do: at half the offsets.
    Copies,
    /// The optimizer's state of this number, counted from 0, in the order of
    /// [`UpdateRule::state_names`](crate::graph::UpdateRule::state_names).
    State(usize),
}

impl Arena {
    /// The state that a shader's binding of this name holds: `state1` the first, `state2` the second ….
    pub(crate) fn of_state(name: &str) -> Option<Self> {
        let number: usize = name.strip_prefix("state")?.parse().ok()?;
        number.checked_sub(1).map(Self::State)
    }
}

/// One dispatch. Two are equal if they do the same to tensors at the same positions, whatever graph
/// these are of.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What it does, for tables: `matmul_nn + bias + relu`.
    pub name: String,
    /// The WGSL files, in order; the last holds `main`, or the first if it is a program's own.
    pub parts: Vec<&'static Part>,
    /// Values of `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// The words of the uniform `dims`; floats by their bits. Empty if the shader has none.
    pub dims: Vec<u32>,
    /// What each storage binding is bound to, by its name in the WGSL.
    pub operands: Vec<(&'static str, Operand)>,
    /// Number of workgroups, spread over two dimensions by [`grid`].
    pub workgroups: usize,
    /// Turns that the loops of one of its invocations take.
    pub turns: Turns,
    /// Multiply-adds of a matrix product, `m·n·k`; 0 of anything else.
    pub multiply_adds: u64,
}

impl PartialEq for Launch {
    fn eq(&self, other: &Self) -> bool {
        let bound = |launch: &Self| -> Vec<(&str, Result<usize, Operand>)> {
            let operands = launch.operands.iter();
            operands
                .map(|&(name, operand)| match operand {
                    Operand::Tensor(tensor) => (name, Ok(tensor.index())),
                    Operand::Results | Operand::Status | Operand::Arena(..) => (name, Err(operand)),
                })
                .collect()
        };
        let Self { name, parts, constants, dims, operands: _, workgroups, turns, multiply_adds } =
            self;
        *name == other.name
            && *parts == other.parts
            && *constants == other.constants
            && *dims == other.dims
            && (*workgroups, *turns) == (other.workgroups, other.turns)
            && *multiply_adds == other.multiply_adds
            && bound(self) == bound(other)
    }
}

impl Launch {
    /// What its binding of this name is bound to.
    pub(crate) fn operand(&self, binding: &str) -> crate::Result<Operand> {
        let found = self.operands.iter().find(|(name, _)| *name == binding);
        found.map(|(_, operand)| *operand).ok_or_else(|| {
            crate::Error::bug(format!("{}: binding '{binding}' has no operand", self.name))
        })
    }

    /// Invocations of all its workgroups together.
    ///
    /// # Errors
    /// [`Error::Bug`](crate::Error::Bug) if the shader does not say how many a workgroup has.
    pub fn invocations(&self) -> crate::Result<u64> {
        let of_workgroup = needs::Needs::of(&self.parts, &self.constants)?.invocations;
        Ok((self.workgroups as u64).saturating_mul(of_workgroup.into()))
    }
}

/// The shapes of the tensors that launches are made for.
#[derive(Clone, Copy, Debug)]
pub struct Shapes<'a>(pub &'a [TensorInfo]);

impl<'a> Shapes<'a> {
    /// The shape of `tensor`, which is one of these. Plans check that; whoever launches by hand must know it.
    pub fn of(self, tensor: Tensor) -> &'a Shape {
        &self.0[tensor.index()].shape
    }

    /// Number of rows of `tensor`, which lie along its first axis, and words per row.
    pub(crate) fn rows_and_width(self, tensor: Tensor) -> (u32, u32) {
        let shape = self.of(tensor);
        let rows = shape.dims().first().copied().unwrap_or(1);
        (word(rows), word(shape.elements() / rows.max(1)))
    }

    /// Number of elements of `tensor`, as kernels count them.
    pub fn elements(self, tensor: Tensor) -> u32 {
        word(self.of(tensor).elements())
    }
}

/// An extent as the kernels' 32-bit word. The graph refuses tensors of 2³² elements or more, so
/// nothing is cut off.
pub fn word(extent: usize) -> u32 {
    u32::try_from(extent).unwrap_or(u32::MAX)
}

/// `workgroups` as the x and y of a dispatch, each at most `limit` (65,535 by default). Kernels
/// number workgroups by `flat_workgroup` of the prelude and ignore the surplus of the last row.
pub fn grid(workgroups: usize, limit: u32) -> [u32; 2] {
    let limit = limit.max(1) as usize;
    let y = workgroups.div_ceil(limit).max(1);
    let x = workgroups.div_ceil(y).max(1);
    [word(x), word(y)]
}

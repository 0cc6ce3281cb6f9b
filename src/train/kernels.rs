//! Which kernels may be asked for.

/// Which kernels train a model. The results differ by rounding.
#[cfg_attr(
    feature = "files",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kernels {
    /// A whole-step kernel where the net fits it and it is likely to be faster, else the general
    /// ones. In the browser the general ones.
    #[default]
    Auto,
    /// A few dispatches per step, for any net and batch.
    General,
    /// One dispatch for many steps, in which parameters, gradients and the optimizer's state stay in
    /// registers: for small stacks of dense layers.
    WholeStep,
    /// The same with all numbers in memory: for any stack of dense layers. Small steps have one core of a
    /// processor, or of a GPU, for themselves; larger ones take a dispatch each, in which several cores
    /// share the rows of the batch.
    WholeStepInMemory,
}

impl Kernels {
    /// All choices.
    pub const ALL: [Self; 4] =
        [Kernels::Auto, Kernels::General, Kernels::WholeStep, Kernels::WholeStepInMemory];

    /// The name in tables: `whole_step`.
    pub fn name(self) -> &'static str {
        match self {
            Kernels::Auto => "auto",
            Kernels::General => "general",
            Kernels::WholeStep => "whole_step",
            Kernels::WholeStepInMemory => "whole_step_in_memory",
        }
    }
}

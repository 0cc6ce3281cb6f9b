//! The operations a graph is made of.

use std::fmt;

use super::activation::Unary;
use super::binary::Binary;
use crate::Error;

/// Which operand of a matrix product is read transposed. Nothing is ever transposed in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `A·B`: the forward pass. `A` is `m×k`, `B` is `k×n`.
    NN,
    /// `A·Bᵀ`: the gradient of the input. `A` is `m×k`, `B` is `n×k`.
    NT,
    /// `Aᵀ·B`: the gradient of the weights. `A` is `k×m`, `B` is `k×n`.
    TN,
}

impl Layout {
    /// `[m, n]` of the product of matrices with these extents, if they fit.
    pub(super) fn product(self, a: &[usize], b: &[usize]) -> Option<[usize; 2]> {
        let (&[a0, a1], &[b0, b1]) = (a, b) else { return None };
        let ([m, k], [k2, n]) = match self {
            Layout::NN => ([a0, a1], [b0, b1]),
            Layout::NT => ([a0, a1], [b1, b0]),
            Layout::TN => ([a1, a0], [b0, b1]),
        };
        (k == k2).then_some([m, n])
    }
}

/// What a reduction computes over its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reduction {
    /// Sum.
    Sum,
    /// Arithmetic mean.
    Mean,
    /// Largest element. The gradient is shared evenly among equal largest elements.
    Max,
}

/// Losses. Each is a mean and yields a scalar; `predictions` come first, targets second.
#[cfg_attr(
    feature = "files",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// Mean of `(p - t)²` over all elements.
    MeanSquaredError,
    /// Mean of `|p - t|` over all elements.
    MeanAbsoluteError,
    /// Mean over all elements of `e²/2` where `|e| ≤ δ`, else `δ·(|e| - δ/2)` (Huber, 1964).
    Huber {
        /// Where the parabola turns into a line. Positive.
        delta: f32,
    },
    /// Mean over rows of `-log softmax(logits)[label]`; targets are class indices (`u32`).
    SoftmaxCrossEntropy,
    /// Mean over rows of `-Σ p·log softmax(logits)`; targets are probabilities.
    SoftmaxCrossEntropyProbabilities,
    /// Mean over all elements of `-(t·log σ(z) + (1-t)·log(1-σ(z)))`, from logits.
    BinaryCrossEntropy,
}

impl Loss {
    /// All losses, with the usual figures.
    pub const ALL: [Self; 6] = [
        Loss::MeanSquaredError,
        Loss::MeanAbsoluteError,
        Loss::Huber { delta: 1.0 },
        Loss::SoftmaxCrossEntropy,
        Loss::SoftmaxCrossEntropyProbabilities,
        Loss::BinaryCrossEntropy,
    ];

    /// The loss of this name, with the usual figures.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|loss| loss.name() == name)
    }

    /// # Errors
    /// [`Error::Argument`] if a figure of the loss is out of its range.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self {
            Loss::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => {
                Err(Error::argument("huber delta", delta, "a positive, finite number"))
            }
            _ => Ok(()),
        }
    }

    /// Whether targets are class indices, one per row, rather than one value per element.
    pub fn takes_classes(self) -> bool {
        use Loss::*;
        match self {
            SoftmaxCrossEntropy => true,
            MeanSquaredError | MeanAbsoluteError | Huber { .. } => false,
            SoftmaxCrossEntropyProbabilities | BinaryCrossEntropy => false,
        }
    }

    /// Whether its items are those of single elements, not of whole rows.
    pub(crate) fn is_elementwise(self) -> bool {
        use Loss::*;
        match self {
            MeanSquaredError | MeanAbsoluteError | Huber { .. } | BinaryCrossEntropy => true,
            SoftmaxCrossEntropy | SoftmaxCrossEntropyProbabilities => false,
        }
    }

    /// The name in tables and errors.
    pub fn name(self) -> &'static str {
        match self {
            Loss::MeanSquaredError => "mean_squared_error",
            Loss::MeanAbsoluteError => "mean_absolute_error",
            Loss::Huber { .. } => "huber",
            Loss::SoftmaxCrossEntropy => "softmax_cross_entropy",
            Loss::SoftmaxCrossEntropyProbabilities => "softmax_cross_entropy_probabilities",
            Loss::BinaryCrossEntropy => "binary_cross_entropy",
        }
    }
}

/// Sums over a batch that metrics are computed from. Not differentiable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Count {
    /// Number of rows whose largest logit is at the label (`u32`, one per row); the first wins a tie.
    Correct,
    /// Number of elements whose logit is on the label's side: `(z > 0) == (t > ½)`.
    CorrectBinary,
    /// Number of rows whose largest logit is where the largest target probability is.
    CorrectProbabilities,
    /// `Σ |p - t|`.
    AbsoluteError,
    /// `Σ (p - t)²`.
    SquaredError,
}

/// One operation. Operands are listed in the order in which nodes hold them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// `(a, b)`: matrix product, or, of three axes, one for each place along the first.
    MatMul(Layout),
    /// `(x, bias)`: adds a row to every row.
    BiasAdd,
    /// `(a, b)`, see [`Binary`] for broadcasting.
    Binary(Binary),
    /// `(mask, a, b)`: `a` where the mask is not 0, else `b`; each may be a row, a column or a scalar, as the
    /// second operand of [`Binary`].
    Select,
    /// `(x)`: times a constant.
    Scale(f32),
    /// `(x)`: sets elements to 0 at random and multiplies the others by `1 / (1 - rate)`; see
    /// [`Graph::dropout`](super::Graph::dropout).
    Dropout {
        /// The probability of 0.
        rate: f32,
        /// Of the random numbers.
        seed: u64,
    },
    /// `(x)`.
    Unary(Unary),
    /// `(saved, dy)`: `dy` times the derivative. `saved` is the function's output or its input,
    /// as [`Unary::grad_from_output`] says.
    UnaryGrad(Unary),
    /// `(x)`: softmax along one axis.
    Softmax {
        /// The axis that sums to one.
        axis: usize,
    },
    /// `(x)`: logarithm of the softmax along one axis.
    LogSoftmax {
        /// The axis.
        axis: usize,
    },
    /// `(y, dy)`: `y·(dy - Σ y·dy)`, `y` the softmax.
    SoftmaxGrad {
        /// The axis.
        axis: usize,
    },
    /// `(y, dy)`: `dy - eʸ·Σ dy`, `y` the log-softmax.
    LogSoftmaxGrad {
        /// The axis.
        axis: usize,
    },
    /// `(x)`: reduces the axes `start..end`, which disappear.
    Reduce {
        /// What is computed.
        reduction: Reduction,
        /// First axis.
        start: usize,
        /// One past the last axis.
        end: usize,
    },
    /// `(x)`: repeats `x` along new axes `start..end` of the output, times `scale`. The adjoint of
    /// a sum (`scale` 1) and of a mean (`scale` 1/n).
    Expand {
        /// First axis, in the output.
        start: usize,
        /// One past the last axis, in the output.
        end: usize,
        /// Factor.
        scale: f32,
    },
    /// `(x, y, dy)`: the gradient of [`Reduction::Max`].
    MaxGrad {
        /// First axis, in `x`.
        start: usize,
        /// One past the last axis, in `x`.
        end: usize,
    },
    /// `(x, indices)`: the rows of `x` (slices along its first axis) that `indices` name.
    Gather,
    /// `(indices, dy)`: adds the rows of `dy` up where they were gathered from, in index order.
    GatherGrad,
    /// `(x, order)`: the rows `order[start], order[start + 1], …` of `x`, where `start` is the
    /// batch start of the step that runs: how batches are drawn from a resident data set.
    Batch,
    /// `(x)`: where in each row (along the last axis) the largest element is; the first wins a tie.
    ArgMax,
    /// `(x)`: where in each row (along the last axis) the smallest element is; the first wins a tie.
    ArgMin,
    /// `(x, labels)`: the rows of `x` added up by their labels, below `segments`, for each `run` rows on their own.
    SegmentSum {
        /// Number of labels.
        segments: usize,
        /// Rows of a run; divides the number of rows.
        run: usize,
    },
    /// `(x)`: the elements from `start` on along an axis; how many, the output's shape says.
    Slice {
        /// The axis.
        axis: usize,
        /// The first of them.
        start: usize,
    },
    /// `(a, b, …)`: one after another along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// `(x)`: with the last two axes changed for each other.
    Transpose,
    /// `(x)`: the same elements under another shape.
    Reshape,
    /// `(predictions, targets)`, or `(predictions, targets, weights)` with one for each row: scalar.
    Loss(Loss),
    /// `(predictions, targets, upstream scalar)`, and a fourth one if rows have weights: the gradient with
    /// respect to the predictions.
    LossGrad(Loss),
    /// `(predictions, targets)`: scalar.
    Count(Count),
    /// The operation of the program's own of this number in the graph, see
    /// [`Operation`](super::Operation).
    Custom(usize),
}

impl Op {
    /// The name in tables and errors.
    pub fn name(self) -> &'static str {
        match self {
            Op::MatMul(_) => "matmul",
            Op::BiasAdd => "bias_add",
            Op::Binary(binary) => binary.name(),
            Op::Select => "select",
            Op::Scale(_) => "scale",
            Op::Dropout { .. } => "dropout",
            Op::Unary(unary) => unary.name(),
            Op::UnaryGrad(_) => "unary_grad",
            Op::Softmax { .. } => "softmax",
            Op::LogSoftmax { .. } => "log_softmax",
            Op::SoftmaxGrad { .. } => "softmax_grad",
            Op::LogSoftmaxGrad { .. } => "log_softmax_grad",
            Op::Reduce { reduction: Reduction::Sum, .. } => "sum",
            Op::Reduce { reduction: Reduction::Mean, .. } => "mean",
            Op::Reduce { reduction: Reduction::Max, .. } => "max",
            Op::Expand { .. } => "expand",
            Op::MaxGrad { .. } => "max_grad",
            Op::Gather => "gather",
            Op::GatherGrad => "gather_grad",
            Op::Batch => "batch",
            Op::ArgMax => "arg_max",
            Op::ArgMin => "arg_min",
            Op::SegmentSum { .. } => "segment_sum",
            Op::Slice { .. } => "slice",
            Op::Concat { .. } => "concat",
            Op::Transpose => "transpose",
            Op::Reshape => "reshape",
            Op::Loss(loss) => loss.name(),
            Op::LossGrad(_) => "loss_grad",
            Op::Count(_) => "count",
            Op::Custom(_) => "custom",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::UnaryGrad(unary) => f.pad(&format!("{}_grad", unary.name())),
            Op::LossGrad(loss) => f.pad(&format!("{}_grad", loss.name())),
            op => f.pad(op.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Loss;

    /// A new loss does not compile here before it has a place, which must be its own in the list of all.
    #[test]
    fn all_losses_are_listed() {
        let place = |loss: Loss| match loss {
            Loss::MeanSquaredError => 0,
            Loss::MeanAbsoluteError => 1,
            Loss::Huber { .. } => 2,
            Loss::SoftmaxCrossEntropy => 3,
            Loss::SoftmaxCrossEntropyProbabilities => 4,
            Loss::BinaryCrossEntropy => 5,
        };
        assert_eq!(Loss::ALL.map(place), [0, 1, 2, 3, 4, 5]);
        for loss in Loss::ALL {
            assert_eq!(Loss::from_name(loss.name()), Some(loss));
        }
        assert_eq!(Loss::from_name("nothing"), None);
    }
}

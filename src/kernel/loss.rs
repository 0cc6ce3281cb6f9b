//! Losses and counts: what an item is (in `shaders/loss/`, a file per loss or count) and
//! what is done with all items (`loss/value.wgsl`, `loss/gradient.wgsl`,
//! `loss/value_and_gradient.wgsl`). Items are elements (`loss/items_are_elements.wgsl`), one or four
//! of them, or rows, which `shared/line.wgsl` shares out among invocations. Besides, `loss/sum_partials.wgsl` and
//! `loss/emit_result.wgsl`.
//!
//! A sum over few items takes one dispatch of one workgroup. A sum over many takes two: `partials`
//! workgroups write one number each to a scratch tensor, then [`sum_partials`] adds those up.

use super::formula::{self, element};
use super::softmax::{INVOCATIONS, LINE, joining_line, line_invocations, over_line};
use super::{Launch, Operand, PRELUDE, Part, Shapes, Turns, longest_share, part, word};
use crate::graph::{Count, Loss, Tensor};

/// Elements that one workgroup of a sum looks at before another one is started.
const SHARE: usize = 8192;

/// Workgroups of a sum, at most, unless their loops would be too long: as many as `loss/sum_partials.wgsl`
/// has invocations.
const GROUPS: usize = 256;

const TREE_SUM: &Part = part!("shared/tree_sum");
const ELEMENTS: &Part = part!("loss/items_are_elements");
const NO_WEIGHTS: &Part = part!("loss/no_weights");
const FOUND: &Part = part!("loss/found");
/// Gradients, and where items are elements predictions and targets, are accessed one by one.
const PIECE_OF_ONE: &Part = &Part { name: "piece:of_1", source: "alias Piece = f32;\n" };
const FOUR: &Part = part!("loss/items_of_four");
const LOG1P: &Part = part!("shared/log1p");
const SOFTMAX_ROW: &Part = part!("softmax/row");

/// What a loss compares, and how often each row counts.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Of the model.
    pub predictions: Tensor,
    /// What they should be.
    pub targets: Tensor,
    /// A weight for each row, or each counts once.
    pub weights: Option<Tensor>,
}

impl Compared {
    fn operands(self) -> Vec<(&'static str, Operand)> {
        let pairs = [("predictions", self.predictions), ("targets", self.targets)];
        let weights = self.weights.map(|weights| ("weights", weights));
        let all = pairs.into_iter().chain(weights);
        all.map(|(name, tensor)| (name, Operand::Tensor(tensor))).collect()
    }

    /// The file that says how often a row counts.
    fn part(self) -> &'static Part {
        match self.weights {
            Some(_) => part!("loss/weights"),
            None => NO_WEIGHTS,
        }
    }
}

/// Where a scalar goes: `operand[row · stride + column]`, where `row` is the step's row of the
/// results table. Stride 0 makes it a fixed place; partial sums use stride and column 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What is written.
    pub operand: Operand,
    /// Numbers per row of the table.
    pub stride: u32,
    /// Place in the row.
    pub column: u32,
}

impl Destination {
    /// The beginning of `tensor`, at every step: for scalars and partial sums.
    pub fn tensor(tensor: Tensor) -> Self {
        Self { operand: Operand::Tensor(tensor), stride: 0, column: 0 }
    }
}

/// What a sum runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Items {
    /// Number of items: elements, groups of four, or rows for what looks at whole rows.
    pub count: usize,
    /// Elements in all items together.
    pub elements: usize,
    /// What a mean divides by: the number of elements, or of rows.
    mean_over: usize,
    kind: ItemKind,
}

impl Items {
    /// Turns of the loops of a workgroup that adds up `share` of them, in rows of `columns`, each `item`.
    fn turns(self, columns: usize, share: usize, item: Turns) -> Turns {
        sum_turns(share, INVOCATIONS / self.kind.invocations(columns), item)
    }
}

/// What an item is, and how it is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemKind {
    Row,
    Element,
    Four,
    /// Four elements as two integers of 64 bits.
    FourInWords,
}

impl ItemKind {
    /// Invocations that share an item, in rows of `columns`.
    fn invocations(self, columns: usize) -> usize {
        match self {
            ItemKind::Row => line_invocations(columns),
            ItemKind::Element | ItemKind::Four | ItemKind::FourInWords => 1,
        }
    }

    /// The files that define `Piece` and, except for rows, `item`.
    fn parts(self) -> &'static [&'static Part] {
        match self {
            ItemKind::Row => &[PIECE_OF_ONE, LINE],
            ItemKind::Element => &[PIECE_OF_ONE, FOUND, ELEMENTS, part!("loss/items_of_one")],
            ItemKind::Four => &[part!("loss/piece_4"), FOUND, ELEMENTS, FOUR],
            ItemKind::FourInWords => {
                &[part!("shared/words"), part!("loss/piece_words"), FOUND, ELEMENTS, FOUR]
            }
        }
    }
}

/// The items of a loss. With `long`, memory is read in integers of 64 bits where it can be.
pub fn loss_items(shapes: Shapes<'_>, loss: Loss, predictions: Tensor, long: bool) -> Items {
    items(shapes, loss_of_rows(loss), predictions, long)
}

/// The items of a count. With `long`, memory is read in integers of 64 bits where it can be.
pub fn count_items(shapes: Shapes<'_>, count: Count, predictions: Tensor, long: bool) -> Items {
    items(shapes, count_of_rows(count), predictions, long)
}

fn loss_of_rows(loss: Loss) -> bool {
    !loss.is_elementwise()
}

fn count_of_rows(count: Count) -> bool {
    match count {
        Count::Correct | Count::CorrectProbabilities => true,
        Count::CorrectBinary | Count::AbsoluteError | Count::SquaredError => false,
    }
}

fn items(shapes: Shapes<'_>, rows: bool, predictions: Tensor, long: bool) -> Items {
    let shape = shapes.of(predictions);
    let elements = shape.elements();
    let fours = elements.is_multiple_of(4);
    let (count, mean_over, kind) = match rows {
        true => (shape.rows(), shape.rows(), ItemKind::Row),
        false if fours && long => (elements / 4, elements, ItemKind::FourInWords),
        false if fours => (elements / 4, elements, ItemKind::Four),
        false => (elements, elements, ItemKind::Element),
    };
    Items { count, elements, mean_over, kind }
}

/// Number of workgroups that a sum over `count` items, together `elements` elements, is given: about one
/// per 8192 elements, at most 256, but more if the loops of one would take more than `most` turns, which are
/// `turns` of a share of the items. Each has an item, by which the kernels tell it from the surplus of a
/// dispatch. If it is 1, no second dispatch is needed.
pub(super) fn partials(
    count: usize,
    elements: usize,
    most: u64,
    turns: impl Fn(usize) -> Turns,
) -> usize {
    let usual = elements.div_ceil(SHARE).min(GROUPS).min(count).max(1);
    let needed = count.div_ceil(longest_share(count, most, turns));
    count.div_ceil(share(count, usual.max(needed)).max(1)).max(1)
}

/// Number of workgroups that add up the items of a loss, if their loops take at most `most` turns.
pub fn loss_groups(
    shapes: Shapes<'_>,
    loss: Loss,
    predictions: Tensor,
    items: Items,
    most: u64,
) -> usize {
    let columns = shapes.of(predictions).columns();
    let item = loss_turns(loss, columns, true);
    partials(items.count, items.elements, most, |share| items.turns(columns, share, item))
}

/// The same of a count.
pub fn count_groups(
    shapes: Shapes<'_>,
    count: Count,
    predictions: Tensor,
    items: Items,
    most: u64,
) -> usize {
    let columns = shapes.of(predictions).columns();
    let item = count_turns(count, columns);
    partials(items.count, items.elements, most, |share| items.turns(columns, share, item))
}

/// Turns of the loops of an item of a loss; `emits` if it writes its gradient.
fn loss_turns(loss: Loss, columns: usize, emits: bool) -> Turns {
    let line = over_line(columns);
    // `softmax/row.wgsl`: the largest logit, then the sum.
    let row = line + joining_line(columns) + line + joining_line(columns);
    match (loss, emits) {
        (Loss::SoftmaxCrossEntropy, false) => row,
        (Loss::SoftmaxCrossEntropy, true) => row + line,
        (Loss::SoftmaxCrossEntropyProbabilities, false) => row + line,
        (Loss::SoftmaxCrossEntropyProbabilities, true) => row + line + joining_line(columns) + line,
        _ => Turns::NONE,
    }
}

/// Turns of the loops of an item of a count.
fn count_turns(count: Count, columns: usize) -> Turns {
    let (line, top) = (over_line(columns), joining_line(columns));
    match count {
        Count::Correct => line + top,
        Count::CorrectProbabilities => line + top + top,
        Count::CorrectBinary | Count::AbsoluteError | Count::SquaredError => Turns::NONE,
    }
}

/// Turns of the loops of a workgroup that adds up `share` items, `at_a_time` together, and then what its
/// invocations have (`shared/tree_sum.wgsl`).
pub(super) fn sum_turns(share: usize, at_a_time: usize, item: Turns) -> Turns {
    Turns::of_loop(share.div_ceil(at_a_time), item) + tree_turns()
}

fn tree_turns() -> Turns {
    Turns::of_loop(INVOCATIONS.ilog2() as usize, Turns::NONE)
}

/// Writes the loss, or with `groups` > 1 the parts of it that [`sum_partials`] adds up.
pub fn value(
    shapes: Shapes<'_>,
    loss: Loss,
    items: Items,
    compared: Compared,
    to: Destination,
    groups: usize,
) -> Launch {
    let columns = shapes.of(compared.predictions).columns();
    let factor = reciprocal(items.mean_over);
    Launch {
        name: loss.name().into(),
        parts: parts_of_loss(loss, items.kind, &[compared.part(), TREE_SUM, part!("loss/value")]),
        constants: constants_of(loss, columns),
        dims: value_dims(shapes, items, compared.predictions, to, groups, factor),
        operands: value_operands(compared, to),
        workgroups: groups.max(1),
        turns: items.turns(columns, share(items.count, groups), loss_turns(loss, columns, false)),
        multiply_adds: 0,
    }
}

/// [`value`], and in the same dispatch the gradient with respect to the predictions times the
/// constant `upstream`.
#[allow(clippy::too_many_arguments)]
pub fn value_and_gradient(
    shapes: Shapes<'_>,
    loss: Loss,
    items: Items,
    compared: Compared,
    upstream: f32,
    gradient: Tensor,
    to: Destination,
    groups: usize,
) -> Launch {
    let scale = (f64::from(upstream) / items.mean_over as f64) as f32;
    let (columns, share) = (shapes.of(compared.predictions).columns(), share(items.count, groups));
    let main = [compared.part(), TREE_SUM, part!("loss/value_and_gradient")];
    let mut operands = value_operands(compared, to);
    operands.push(("gradient", Operand::Tensor(gradient)));
    Launch {
        name: format!("{} + gradient", loss.name()),
        parts: parts_of_loss(loss, items.kind, &main),
        constants: constants_of(loss, columns),
        dims: vec![
            word(items.count),
            word(columns),
            word(share),
            reciprocal(items.mean_over).to_bits(),
            scale.to_bits(),
            to.stride,
            to.column,
        ],
        operands,
        workgroups: groups.max(1),
        turns: items.turns(columns, share, loss_turns(loss, columns, true)),
        multiply_adds: 0,
    }
}

/// `out` = the gradient of the loss with respect to the predictions, times the scalar `upstream`.
pub fn gradient(
    shapes: Shapes<'_>,
    loss: Loss,
    items: Items,
    compared: Compared,
    upstream: Tensor,
    out: Tensor,
) -> Launch {
    let columns = shapes.of(compared.predictions).columns();
    let mut operands = compared.operands();
    operands.push(("upstream", Operand::Tensor(upstream)));
    operands.push(("gradient", Operand::Tensor(out)));
    Launch {
        name: format!("{}_grad", loss.name()),
        parts: parts_of_loss(loss, items.kind, &[compared.part(), part!("loss/gradient")]),
        constants: constants_of(loss, columns),
        dims: vec![word(items.count), word(columns), reciprocal(items.mean_over).to_bits()],
        operands,
        workgroups: items.count.div_ceil(INVOCATIONS / items.kind.invocations(columns)),
        turns: loss_turns(loss, columns, true),
        multiply_adds: 0,
    }
}

/// Writes a count, or with `groups` > 1 the parts of it that [`sum_partials`] adds up.
pub fn count(
    shapes: Shapes<'_>,
    count: Count,
    items: Items,
    predictions: Tensor,
    targets: Tensor,
    to: Destination,
    groups: usize,
) -> Launch {
    let name = match count {
        Count::Correct => "count_correct",
        Count::CorrectBinary => "count_correct_binary",
        Count::CorrectProbabilities => "count_correct_probabilities",
        Count::AbsoluteError => "sum_absolute_error",
        Count::SquaredError => "sum_squared_error",
    };
    let formula = formula::of_count(count);
    let iteration = match count {
        Count::Correct => part!("loss/tops_of_labelled_rows"),
        Count::CorrectProbabilities => part!("loss/tops_of_rows_of_probabilities"),
        Count::CorrectBinary | Count::AbsoluteError | Count::SquaredError => element(formula),
    };
    let main = [formula, iteration, NO_WEIGHTS, TREE_SUM, part!("loss/value")];
    let parts = [&[PRELUDE], items.kind.parts(), &main].concat();
    let columns = shapes.of(predictions).columns();
    let rows = count_of_rows(count).then(|| ("LINE_INVOCATIONS", line_invocations(columns) as f64));
    Launch {
        name: name.into(),
        parts,
        constants: rows.into_iter().collect(),
        dims: value_dims(shapes, items, predictions, to, groups, 1.0),
        operands: value_operands(Compared { predictions, targets, weights: None }, to),
        workgroups: groups.max(1),
        turns: items.turns(columns, share(items.count, groups), count_turns(count, columns)),
        multiply_adds: 0,
    }
}

/// Adds the first `n` numbers of `partials` up.
pub fn sum_partials(partials: Tensor, n: usize, to: Destination) -> Launch {
    Launch {
        name: "sum_partials".into(),
        parts: vec![PRELUDE, TREE_SUM, part!("loss/sum_partials")],
        constants: vec![],
        dims: vec![word(n), to.stride, to.column],
        operands: vec![("partials", Operand::Tensor(partials)), ("value", to.operand)],
        workgroups: 1,
        turns: sum_turns(n, INVOCATIONS, Turns::NONE),
        multiply_adds: 0,
    }
}

/// Copies a scalar that was computed elsewhere to where the host reads it.
pub fn emit(scalar: Tensor, to: Destination) -> Launch {
    Launch {
        name: "emit_result".into(),
        parts: vec![PRELUDE, part!("loss/emit_result")],
        constants: vec![],
        dims: vec![to.stride, to.column],
        operands: vec![("scalar", Operand::Tensor(scalar)), ("value", to.operand)],
        workgroups: 1,
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// The prelude, the files that define `item` for a loss, and the `main` ones.
fn parts_of_loss(loss: Loss, kind: ItemKind, main: &[&'static Part]) -> Vec<&'static Part> {
    let iteration: &[&Part] = match loss {
        Loss::Huber { .. } => &[part!("loss/huber_delta"), element(formula::of_loss(loss))],
        Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::BinaryCrossEntropy => {
            &[element(formula::of_loss(loss))]
        }
        Loss::SoftmaxCrossEntropy => &[SOFTMAX_ROW, part!("loss/items_are_labelled_rows")],
        Loss::SoftmaxCrossEntropyProbabilities => {
            &[SOFTMAX_ROW, part!("loss/items_are_rows_of_probabilities")]
        }
    };
    [&[PRELUDE], kind.parts(), logarithm(loss), &[formula::of_loss(loss)], iteration, main].concat()
}

/// What the formula of a loss calls besides functions of the prelude.
fn logarithm(loss: Loss) -> &'static [&'static Part] {
    match loss {
        Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => &[],
        Loss::BinaryCrossEntropy
        | Loss::SoftmaxCrossEntropy
        | Loss::SoftmaxCrossEntropyProbabilities => &[LOG1P],
    }
}

fn constants_of(loss: Loss, columns: usize) -> Vec<(&'static str, f64)> {
    match loss {
        Loss::Huber { delta } => vec![("DELTA", f64::from(delta))],
        Loss::SoftmaxCrossEntropy | Loss::SoftmaxCrossEntropyProbabilities => {
            vec![("LINE_INVOCATIONS", line_invocations(columns) as f64)]
        }
        Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::BinaryCrossEntropy => vec![],
    }
}

/// The words of `Dims` in `loss/value.wgsl`.
fn value_dims(
    shapes: Shapes<'_>,
    items: Items,
    predictions: Tensor,
    to: Destination,
    groups: usize,
    factor: f32,
) -> Vec<u32> {
    let columns = word(shapes.of(predictions).columns());
    let share = word(share(items.count, groups));
    vec![word(items.count), columns, share, factor.to_bits(), to.stride, to.column]
}

fn value_operands(compared: Compared, to: Destination) -> Vec<(&'static str, Operand)> {
    let mut operands = compared.operands();
    operands.push(("value", to.operand));
    operands
}

/// Items of each workgroup; the last one may get fewer.
pub(super) fn share(items: usize, groups: usize) -> usize {
    items.div_ceil(groups.max(1))
}

fn reciprocal(n: usize) -> f32 {
    (1.0 / n as f64) as f32
}

//! Which inputs hold class labels or row indices, and what they must be below: the host checks both
//! before it writes them, since a kernel cannot refuse one.

use crate::graph::{Count, Graph, Op, Role, Tensor};

/// For each input of labels, the number of classes that a loss or a count has for it; the least, if
/// several have one.
pub(super) fn classes(graph: &Graph) -> Vec<(Tensor, usize)> {
    let mut classes = Vec::new();
    for node in graph.nodes() {
        let takes_classes = match node.op {
            Op::Loss(loss) | Op::LossGrad(loss) => loss.takes_classes(),
            Op::Count(count) => count == Count::Correct,
            _ => false,
        };
        if let (true, &[predictions, targets, ..]) = (takes_classes, node.inputs.as_slice()) {
            bound(graph, &mut classes, targets, graph.known_shape(predictions).columns());
        }
    }
    classes
}

/// For each input of row indices, the number of rows that a gather or a batch chooses from, or of segments that
/// rows are added to; the least, if several choose by it.
pub(super) fn rows(graph: &Graph) -> Vec<(Tensor, usize)> {
    let mut rows = Vec::new();
    for node in graph.nodes() {
        match (node.op, node.inputs.as_slice()) {
            (Op::Gather | Op::Batch, &[x, indices]) => {
                let of = graph.known_shape(x).dims().first().copied().unwrap_or(1);
                bound(graph, &mut rows, indices, of);
            }
            (Op::SegmentSum { segments, .. }, &[_, labels]) => {
                bound(graph, &mut rows, labels, segments);
            }
            _ => {}
        }
    }
    rows
}

/// The last entry of an order from which a whole batch is left; the first of those of several batches.
pub(super) fn last_batch_start(graph: &Graph) -> Option<usize> {
    let batches = graph.nodes().iter().filter(|node| node.op == Op::Batch);
    let last = batches.filter_map(|node| {
        let entries = graph.known_shape(*node.inputs.get(1)?).elements();
        let rows = graph.known_shape(node.output).dims().first()?;
        entries.checked_sub(*rows)
    });
    last.min()
}

/// Notes that the values of `tensor` are below `count`, if the host writes them.
fn bound(graph: &Graph, bounds: &mut Vec<(Tensor, usize)>, tensor: Tensor, count: usize) {
    let input = origin(graph, tensor);
    match bounds.iter_mut().find(|(known, _)| *known == input) {
        Some((_, least)) => *least = count.min(*least),
        None if graph.known(input).role == Role::Input => bounds.push((input, count)),
        None => {}
    }
}

/// The tensor that rows of `labels` (or of indices) were drawn from.
fn origin(graph: &Graph, labels: Tensor) -> Tensor {
    // Every node comes after those it reads.
    graph.nodes().iter().rev().fold(labels, |tensor, node| match (node.op, node.inputs.first()) {
        (Op::Gather | Op::Batch | Op::Slice { .. } | Op::Transpose, Some(&rows))
            if node.output == tensor =>
        {
            rows
        }
        _ => tensor,
    })
}

//! Which inputs hold class labels, and how many classes there are: the host checks labels before it
//! writes them, since a kernel cannot refuse one.

use crate::graph::{Count, Graph, Op, Role, Tensor};

/// For each input of labels, the number of classes that a loss or a count has for it; the least, if
/// several have one.
pub(super) fn classes(graph: &Graph) -> Vec<(Tensor, usize)> {
    let mut classes: Vec<(Tensor, usize)> = Vec::new();
    for node in graph.nodes() {
        let takes_classes = match node.op {
            Op::Loss(loss) | Op::LossGrad(loss) => loss.takes_classes(),
            Op::Count(count) => count == Count::Correct,
            _ => false,
        };
        let (true, [predictions, targets, ..]) = (takes_classes, node.inputs.as_slice()) else {
            continue;
        };
        let (input, count) = (origin(graph, *targets), graph.known_shape(*predictions).columns());
        match classes.iter_mut().find(|(known, _)| *known == input) {
            Some((_, least)) => *least = count.min(*least),
            None if graph.known(input).role == Role::Input => classes.push((input, count)),
            None => {}
        }
    }
    classes
}

/// The tensor that rows of `labels` were drawn from.
fn origin(graph: &Graph, labels: Tensor) -> Tensor {
    // Every node comes after those it reads.
    graph.nodes().iter().rev().fold(labels, |tensor, node| match (node.op, node.inputs.first()) {
        (Op::Gather | Op::Batch, Some(&rows)) if node.output == tensor => rows,
        _ => tensor,
    })
}

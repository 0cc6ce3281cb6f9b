//! The update pass: one dispatch per chunk of the parameters, whatever their number.

use super::PlanScope;
use super::lower::Lowering;
use crate::Error;
use crate::graph::{Pass, Role, Tensor, Update};
use crate::kernel::{elementwise, update};

pub(super) fn lower(lowering: &mut Lowering<'_>, pass: &Update) -> Result<(), Error> {
    for &(parameter, gradient) in &pass.gradients {
        let Role::Parameter(number) = lowering.graph.known(parameter).role else { continue };
        let gradient = match lowering.options.portion {
            // The arena holds it already.
            PlanScope::Update => lowering.root(gradient),
            _ => own_gradient(lowering, gradient, &pass.gradients),
        };
        lowering.lowered.gradients.push((number, gradient));
    }
    let assigned: Vec<Role> = lowering
        .graph
        .assignments()
        .iter()
        .map(|&(parameter, _)| lowering.graph.known(parameter).role)
        .collect();
    let missing = (0..lowering.graph.parameters().len()).find(|&number| {
        !lowering.lowered.gradients.iter().any(|&(trained, _)| trained == number)
            && !assigned.contains(&Role::Parameter(number))
    });
    if let Some(number) = missing {
        let name =
            lowering.lowered.arena.entries.get(number).map_or("", |entry| entry.name.as_str());
        let detail = format!(
            "parameter '{name}' has no gradient; pair it with one, or make it an input to keep its value"
        );
        return Err(Error::shape("update", detail));
    }
    if lowering.options.portion == PlanScope::Gradients {
        return Ok(());
    }
    let chunks: Vec<usize> =
        lowering.lowered.arena.chunks.iter().map(|&bytes| (bytes / 4) as usize).collect();
    let clip = pass.clip_norm.map(|longest| clip_factors(lowering, &chunks, longest));
    let loss = lowering.destination(pass.loss);
    for (chunk, &count) in chunks.iter().enumerate() {
        let launch = update::update(pass.rule, clip, count, chunk, loss);
        lowering.push(launch, Pass::Update);
    }
    Ok(())
}

/// What all gradients are multiplied by, so that their norm is at most `longest`.
fn clip_factors(lowering: &mut Lowering<'_>, chunks: &[usize], longest: f32) -> Tensor {
    let most = lowering.target.most_turns;
    let groups: Vec<usize> = chunks.iter().map(|&count| update::norm_groups(count, most)).collect();
    let parts = groups.iter().sum::<usize>().max(1);
    let partials = lowering.scratch("parts of the norm", [parts, update::NORM_WORDS]);
    let factors = lowering.scratch("clipping", [update::FACTORS]);
    let mut offset = 0;
    for (chunk, (&count, &groups)) in chunks.iter().zip(&groups).enumerate() {
        let launch = update::norm_partials(chunk, count, partials, offset, groups);
        lowering.push(launch, Pass::Update);
        offset += groups;
    }
    lowering.push(update::norm_clip(partials, offset, longest, factors), Pass::Update);
    factors
}

/// The tensor that may lie in the arena as this gradient: the gradient itself, or a copy.
///
/// A dispatch may not read and write one buffer, so what lies in the arena of gradients must not be
/// read by a dispatch that writes another gradient: a tensor that any operation reads, or that is
/// the gradient of several parameters, keeps a place of its own and is copied.
fn own_gradient(lowering: &mut Lowering<'_>, gradient: Tensor, all: &[(Tensor, Tensor)]) -> Tensor {
    let root = lowering.root(gradient);
    let computed = lowering.graph.known(root).role == Role::Computed;
    let alone = all.iter().filter(|&&(_, other)| lowering.root(other) == root).count() == 1;
    let kept = lowering.options.results.iter().any(|&t| lowering.root(t) == root);
    if computed && alone && !kept && !lowering.is_read(root) {
        return root;
    }
    let shape = lowering.graph.known_shape(gradient).clone();
    let copy = lowering.scratch("gradient", shape);
    let launch = elementwise::scale(lowering.shapes(), 1.0, gradient, copy);
    lowering.push(launch, Pass::Backward);
    copy
}

/// A dispatch for each assignment. They come last, as all that moves parameters does.
///
/// # Errors
/// [`Error::Shape`] in a plan of a part of a step.
pub(super) fn assign(lowering: &mut Lowering<'_>) -> Result<(), Error> {
    for &(parameter, value) in lowering.graph.assignments() {
        let info = lowering.graph.known(parameter);
        if lowering.options.portion != PlanScope::Step {
            let detail = format!(
                "'{}' is assigned to at the end of a whole step; plan that, `PlanScope::Step`",
                info.name
            );
            return Err(Error::shape("assign", detail));
        }
        let Role::Parameter(number) = info.role else { continue };
        let Some(entry) = lowering.lowered.arena.entries.get(number) else { continue };
        let launch = update::assign(lowering.shapes(), entry.chunk, entry.offset, value);
        lowering.push(launch, Pass::Update);
    }
    Ok(())
}

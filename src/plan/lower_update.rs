//! The update pass: one dispatch per chunk of the parameters, whatever their number; if some of them are not
//! trained, one for each run of neighbours that are; if some were not for a while, of neighbours that missed as many
//! steps.

use std::collections::BTreeMap;

use super::lower::Lowering;
use super::{ArenaLayout, PlanScope, launch_limits};
use crate::Error;
use crate::graph::{ELEMENT_BYTES, Pass, Role, Tensor, Update};
use crate::kernel::update::{InParts, Joined, LossOf, Run};
use crate::kernel::{elementwise, loss, update};

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
    if lowering.options.portion == PlanScope::Gradients {
        return Ok(());
    }
    let missed = pass.missed.iter().copied().chain(std::iter::repeat(0));
    let trained: BTreeMap<usize, u64> =
        lowering.lowered.gradients.iter().map(|&(number, _)| number).zip(missed).collect();
    let (runs, missed): (Vec<Run>, Vec<u64>) =
        runs(&lowering.lowered.arena, &trained).into_iter().unzip();
    let clip = pass.clip_norm.map(|longest| clip_factors(lowering, &runs, longest));
    let copies = lowering.options.precision.is_mixed();
    let loss = loss_of(lowering, pass, clip, copies, &runs);
    let parts = all_parts(lowering);
    for (run, missed) in runs.iter().zip(missed) {
        let joined = joined(lowering, run);
        let in_parts = parts.filter(|_| !joined.is_empty());
        let in_parts = in_parts.map(|parts| InParts { parts, joined: &joined });
        let launch = update::update(pass.rule, clip, pass.l1, run, loss, in_parts, copies);
        lowering.push_update(launch, missed);
    }
    Ok(())
}

/// Where the update finds the loss. It adds the parts of one up, unless it cannot bind all of that at once.
fn loss_of(
    lowering: &mut Lowering<'_>,
    pass: &Update,
    clip: Option<Tensor>,
    copies: bool,
    runs: &[Run],
) -> LossOf {
    let to = lowering.destination(pass.loss);
    let Some((partials, count)) = lowering.loss_in_parts.take() else { return LossOf::Whole(to) };
    let in_parts = LossOf::Parts { partials, count, to };
    // Without copies, which a page has none of, it binds no more than every device allows.
    let fits = cfg!(target_arch = "wasm32")
        || runs.iter().all(|run| {
            // Which tensor has the parts of gradients does not matter here.
            let joined = joined(lowering, run);
            let parts = InParts { parts: partials, joined: &joined };
            let parts = (!joined.is_empty()).then_some(parts);
            let launch = update::update(pass.rule, clip, pass.l1, run, in_parts, parts, copies);
            launch_limits::check(&launch, lowering.target).is_ok()
        });
    if fits {
        return in_parts;
    }
    lowering.push(loss::sum_partials(partials, count, to), Pass::Forward);
    LossOf::Whole(to)
}

/// One tensor for the parts of all gradients that the update joins, if there are such.
fn all_parts(lowering: &mut Lowering<'_>) -> Option<Tensor> {
    let elements = lowering.end_of_parts() as usize / ELEMENT_BYTES;
    if elements == 0 {
        return None;
    }
    let whole = lowering.scratch("parts of gradients", [elements]);
    for left in &lowering.left_in_parts {
        lowering.lowered.within.put(left.parts, whole, left.offset);
    }
    Some(whole)
}

/// Where the update of `run` finds gradients in parts.
fn joined(lowering: &Lowering<'_>, run: &Run) -> Vec<Joined> {
    let entries = &lowering.lowered.arena.entries;
    let of_run = lowering.left_in_parts.iter().filter_map(|left| {
        let entry = entries.get(left.parameter)?;
        let first = entry.offset as usize / ELEMENT_BYTES;
        (entry.chunk == run.chunk && run.elements.contains(&first)).then_some(Joined {
            first,
            elements: entry.shape.elements(),
            from: left.offset as usize / ELEMENT_BYTES,
            parts: left.count,
        })
    });
    of_run.collect()
}

/// Where the `trained` parameters lie, with the steps that they missed: whole chunks, if all are trained. What lies
/// between neighbours is zero.
fn runs(arena: &ArenaLayout, trained: &BTreeMap<usize, u64>) -> Vec<(Run, u64)> {
    let mut runs: Vec<(Run, u64)> = Vec::new();
    let mut last = None;
    for (number, entry) in arena.entries.iter().enumerate() {
        let Some(&missed) = trained.get(&number) else { continue };
        let first = entry.offset as usize / ELEMENT_BYTES;
        let end = first + entry.shape.elements().next_multiple_of(4);
        match runs.last_mut() {
            Some((run, of_run))
                if run.chunk == entry.chunk
                    && *of_run == missed
                    && last.is_some_and(|last| last + 1 == number) =>
            {
                run.elements.end = end;
            }
            _ => runs.push((Run { chunk: entry.chunk, elements: first..end }, missed)),
        }
        last = Some(number);
    }
    runs
}

/// What all gradients are multiplied by, so that their norm is at most `longest`.
fn clip_factors(lowering: &mut Lowering<'_>, runs: &[Run], longest: f32) -> Tensor {
    let most = lowering.target.most_turns;
    let groups: Vec<usize> =
        runs.iter().map(|run| update::norm_groups(run.elements.len(), most)).collect();
    let parts = groups.iter().sum::<usize>().max(1);
    let partials = lowering.scratch("parts of the norm", [parts, update::NORM_WORDS]);
    let factors = lowering.scratch("clipping", [update::FACTORS]);
    let mut offset = 0;
    for (run, &groups) in runs.iter().zip(&groups) {
        let launch = update::norm_partials(run, partials, offset, groups);
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
/// [`Error::Shape`] in a plan of a part of a step, or of mixed precision.
pub(super) fn assign(lowering: &mut Lowering<'_>) -> Result<(), Error> {
    for &(parameter, value) in lowering.graph.assignments() {
        let info = lowering.graph.known(parameter);
        if lowering.options.precision.is_mixed() {
            let detail = format!(
                "'{}' is assigned to, which leaves copies of parameters in 16 bits as they are; plan it with \
                 `Precision::F32`",
                info.name
            );
            return Err(Error::shape("assign", detail));
        }
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

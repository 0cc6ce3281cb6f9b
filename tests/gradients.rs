//! Backward passes on the device: every operation in the middle of a graph, against the twin's
//! gradients in f64 and against finite differences.

use crate::common;
use crate::common::cases::{self, Case};
use crate::common::{Run, compare, finite_differences, twin, within_bounds};
use wgrad::exec::Step;
use wgrad::graph::Tensor;

struct Backward {
    case: Case,
    /// Of the scalar and by each tensor of the case's `wrt`.
    outputs: Vec<Tensor>,
}

/// The cases with their backward passes.
fn backward_passes() -> impl Iterator<Item = Backward> {
    cases::all().into_iter().map(|mut case| {
        let mut outputs = vec![case.of];
        outputs.extend(case.graph.gradients(case.of, &case.wrt).expect(&case.name));
        Backward { case, outputs }
    })
}

/// Fused plans keep only what is asked for, plans without fusion run each node's own kernel, and
/// without reuse no tensor can overwrite another: all must agree with the twin.
#[test]
fn gradients_agree_with_the_twin() {
    for Backward { case, outputs } in backward_passes() {
        let all = twin::evaluate(&case.graph, &case.values, 0);
        for (fuse, reuse_memory) in [(true, true), (false, false), (false, true)] {
            let run = Run { fuse, reuse_memory, ..Run::default() };
            let found = run.run(&case.graph, &outputs, &case.values);
            for (position, (&output, found)) in outputs.iter().zip(&found).enumerate() {
                let twin = twin::value_of(&case.graph, &all, output);
                let how = format!("{}, fuse: {fuse}, reuse: {reuse_memory}", case.name);
                if position == 0 {
                    // A sum of terms of either sign may be small against its bound.
                    within_bounds(&format!("{how}, the scalar"), found, twin.floats());
                } else {
                    let by = &case.graph.info(case.wrt[position - 1]).unwrap().name;
                    compare(&format!("{how}, by '{by}'"), found, &twin);
                }
            }
        }
    }
}

/// However matrix products are tiled: each case with products in the next one of the tilings, so that each
/// tiling gets its share of the cases. (Tilings share the code of everything but the product itself.)
#[test]
fn gradients_agree_with_the_twin_in_every_tiling() {
    let tilings = common::tilings();
    let mut next = tilings.iter().copied().cycle();
    let mut products = 0;
    for Backward { case, outputs } in backward_passes() {
        let plan = Run::default().plan(&case.graph, &outputs);
        if plan.choices().is_empty() {
            continue; // no product in it
        }
        let all = twin::evaluate(&case.graph, &case.values, 0);
        if let Some(tiling) = next.next() {
            products += 1;
            let run = Run { tiling: Some(tiling), ..Run::default() };
            let plan = run.plan(&case.graph, &outputs);
            assert!(plan.choices().iter().all(|choice| choice.tiling == tiling), "{plan}");
            let found = run.run(&case.graph, &outputs, &case.values);
            for (&output, found) in outputs.iter().zip(&found) {
                let twin = twin::value_of(&case.graph, &all, output);
                within_bounds(&format!("{}, {tiling}", case.name), found, twin.floats());
            }
        }
    }
    assert!(products >= tilings.len(), "{products} runs had a product");
}

/// One gradient at a time: other values are then fused away, and nothing else keeps alive what this
/// gradient needs.
#[test]
fn single_gradients_agree_with_finite_differences() {
    for Backward { case, outputs } in backward_passes() {
        let all = twin::evaluate(&case.graph, &case.values, 0);
        for (&tensor, &output) in case.wrt.iter().zip(&outputs[1..]) {
            let found = common::run(&case.graph, &[output], &case.values).remove(0);
            let name = format!("{}, by '{}'", case.name, case.graph.info(tensor).unwrap().name);
            let twin = twin::value_of(&case.graph, &all, output);
            compare(&name, &found, &twin);
            let bounds = twin.floats().iter().map(|x| x.error);
            let differences = finite_differences(&case, tensor);
            for (i, ((found, difference), bound)) in
                found.iter().zip(differences).zip(bounds).enumerate()
            {
                let off = (f64::from(*found) - difference).abs();
                let tolerance = bound + 1e-6 * (0.01 + difference.abs());
                assert!(off <= tolerance, "{name}, element {i}: {found}, not {difference}");
            }
        }
    }
}

/// The same graph gives the same bits: in another executor, and in the next step.
#[test]
fn gradients_are_deterministic() {
    for Backward { case, outputs } in backward_passes().step_by(3) {
        let run = Run::default();
        let first = run.run(&case.graph, &outputs, &case.values);
        let mut executor = run.executor(&case.graph, &outputs, &case.values);
        for _ in 0..2 {
            executor.run_blocking(&[Step::forward(0); 2]).expect("steps");
            for (&output, first) in outputs.iter().zip(&first) {
                let again = executor.read_blocking(output).expect("an output");
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&again), bits(first), "{}", case.name);
            }
        }
    }
}

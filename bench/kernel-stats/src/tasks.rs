//! A block of rows on its way through k-means and principal components, as `src/cluster/engine.rs` and
//! `src/decompose/exact.rs` have devices compute it. How many blocks there are, and how often they go through, is not
//! part of it.

use wgrad::graph::{Graph, Layout, Tensor};
use wgrad::plan::{Plan, Target};

use crate::{Outcome, words};

/// As all passes over rows are planned: the bits are the same on any device, busy or not.
fn planned(graph: &Graph, outputs: &[Tensor], target: &Target) -> Outcome<Plan> {
    let target = Target { busy: 1, ..target.clone() };
    Plan::new(graph, outputs, &target).map_err(words)
}

/// The nearest centre of each row, and the sums of the rows of each: rows × columns × centres.
pub fn k_means([rows, columns, centers]: [usize; 3], target: &Target) -> Outcome<Plan> {
    let mut graph = Graph::new();
    let x = graph.input("rows", [rows, columns]).map_err(words)?;
    let c = graph.input("centers", [columns, centers]).map_err(words)?;
    let offsets = graph.input("half the norms", [centers]).map_err(words)?;
    let products = graph.matmul(x, c).map_err(words)?;
    let scores = graph.bias_add(products, offsets).map_err(words)?;
    let labels = graph.arg_max(scores).map_err(words)?;
    let run = (16 * centers).next_power_of_two().clamp(1024, 16_384).min(rows);
    let sums = graph.segment_sum(x, labels, centers, run).map_err(words)?;
    planned(&graph, &[labels, sums], target)
}

/// Products of every two columns over runs of 1,024 rows, in panels: rows × columns.
pub fn pca([rows, columns]: [usize; 2], target: &Target) -> Outcome<Plan> {
    const RUN: usize = 1024;
    const PANEL: usize = 192;
    let mut graph = Graph::new();
    let mut panels = Vec::new();
    for start in (0..columns).step_by(PANEL) {
        let width = PANEL.min(columns - start);
        let panel = graph.input("rows", [rows, width]).map_err(words)?;
        panels.push(graph.reshape(panel, [rows / RUN, RUN, width]).map_err(words)?);
    }
    let mut sums = Vec::new();
    for (place, &a) in panels.iter().enumerate() {
        for &b in &panels[place..] {
            sums.push(graph.matmul_layout(Layout::TN, a, b).map_err(words)?);
        }
    }
    planned(&graph, &sums, target)
}

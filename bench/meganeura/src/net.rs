//! The net as a Meganeura graph, with the weights that every peer starts from.

use bench_common::data;
use bench_common::workload::Net;
use meganeura::{Graph, NodeId, Session};

/// Adds the net to `graph`, applied to an input `x` of `rows` rows; returns its output.
pub fn build(graph: &mut Graph, net: &Net, rows: usize) -> NodeId {
    let x = graph.input("x", &[rows, net.inputs()]);
    let last = net.widths.len() - 2;
    net.widths.windows(2).enumerate().fold(x, |x, (index, widths)| {
        let weight = graph.parameter(&weight_name(index), widths);
        let bias = graph.parameter(&bias_name(index), &widths[1..]);
        let product = graph.matmul(x, weight);
        let y = graph.bias_add(product, bias);
        if index < last { graph.relu(y) } else { y }
    })
}

/// Sets the first weights.
pub fn reset(session: &mut Session, layers: &[data::Layer]) {
    for (index, layer) in layers.iter().enumerate() {
        session.set_parameter(&weight_name(index), &layer.weight);
        session.set_parameter(&bias_name(index), &layer.bias);
    }
}

/// Sets Adam's moments to 0.
pub fn reset_moments(session: &mut Session, layers: &[data::Layer]) {
    for (index, layer) in layers.iter().enumerate() {
        for (name, count) in
            [(weight_name(index), layer.weight.len()), (bias_name(index), layer.units)]
        {
            session.write_adam_m(&name, &vec![0.0; count]);
            session.write_adam_v(&name, &vec![0.0; count]);
        }
    }
    session.set_adam_step_count(0);
}

fn weight_name(index: usize) -> String {
    format!("dense_{index}.weight")
}

fn bias_name(index: usize) -> String {
    format!("dense_{index}.bias")
}

//! Predictions: host features to host outputs.

use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed_each};
use bench_common::workload::Net;
use meganeura::{Graph, Session, build_inference_session};

pub struct Predictions {
    session: Session,
    features: Vec<f32>,
    outputs: usize,
    calls: usize,
}

impl Predictions {
    pub fn new(net: &Net, rows: usize, calls: usize) -> Self {
        let mut graph = Graph::new();
        let y = crate::net::build(&mut graph, net, rows);
        graph.set_outputs(vec![y]);
        let mut session = build_inference_session(&graph);
        crate::net::reset(&mut session, &bench_common::data::layers(net));
        let features = bench_common::data::features(net, rows);
        Self { session, features, outputs: rows * net.outputs(), calls }
    }
}

impl Trial for Predictions {
    fn run(&mut self) -> Result<Measured, String> {
        timed_each(self.calls, || {
            self.session.set_input("x", &self.features);
            self.session.step();
            self.session.wait();
            Ok(self.session.read_output(self.outputs))
        })
    }
}

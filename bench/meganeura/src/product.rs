//! A matrix product alone, in the manner of its example `matmul_throughput`.

use bench_common::data::{factors, weighted_mean};
use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed};
use bench_common::workload::Layout;
use meganeura::{Graph, Session, build_inference_session};

pub struct Product {
    session: Session,
    elements: usize,
    times: usize,
}

/// A session of one product.
pub fn session(layout: Layout, [m, n, k]: [usize; 3]) -> Session {
    let mut graph = Graph::new();
    let (rows_of_a, rows_of_b) = match layout {
        Layout::AB => ([m, k], [k, n]),
        Layout::ABt => ([m, k], [n, k]),
        Layout::AtB => ([k, m], [k, n]),
    };
    let a = graph.input("a", &rows_of_a);
    let b = graph.parameter("b", &rows_of_b);
    let c = match layout {
        Layout::AB => graph.matmul(a, b),
        Layout::ABt => graph.matmul_bt(a, b),
        Layout::AtB => graph.matmul_at(a, b),
    };
    graph.set_outputs(vec![c]);
    build_inference_session(&graph)
}

impl Product {
    pub fn new(layout: Layout, shape: [usize; 3], times: usize) -> Self {
        let mut session = session(layout, shape);
        let [m, n, k] = shape;
        let (a, b) = factors(m, n, k);
        session.set_input("a", &a);
        session.set_parameter("b", &b);
        Self { session, elements: m * n, times }
    }
}

impl Trial for Product {
    /// The clock holds the products and the wait for their end, not the reading of C.
    fn run(&mut self) -> Result<Measured, String> {
        let mut measured = timed(|| {
            for _ in 0..self.times {
                self.session.step();
            }
            self.session.wait();
            Ok(0.0)
        })?;
        measured.check = weighted_mean(&self.session.read_output(self.elements));
        Ok(measured)
    }
}

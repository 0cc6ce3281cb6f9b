//! A matrix product alone: a graph of one operation.

use bench_common::data::{factors, weighted_mean};
use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed, words};
use bench_common::workload::Layout;
use wgrad::Gpu;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Tensor};
use wgrad::plan::Plan;

pub struct Product {
    executor: Executor,
    c: Tensor,
    times: usize,
}

impl Product {
    pub fn new(
        gpu: &Gpu,
        layout: Layout,
        [m, n, k]: [usize; 3],
        times: usize,
    ) -> Result<Self, String> {
        let (layout, a, b) = match layout {
            Layout::AB => (wgrad::graph::Layout::NN, [m, k], [k, n]),
            Layout::ABt => (wgrad::graph::Layout::NT, [m, k], [n, k]),
            Layout::AtB => (wgrad::graph::Layout::TN, [k, m], [k, n]),
        };
        let mut graph = Graph::new();
        let a = graph.input("a", a).map_err(words)?;
        let b = graph.input("b", b).map_err(words)?;
        let c = graph.matmul_layout(layout, a, b).map_err(words)?;
        let plan = Plan::new(&graph, &[c], &gpu.target()).map_err(words)?;
        let executor = Executor::new_blocking(gpu, plan).map_err(words)?;
        let values = factors(m, n, k);
        executor.write(a, &values.0).map_err(words)?;
        executor.write(b, &values.1).map_err(words)?;
        Ok(Self { executor, c, times })
    }
}

impl Trial for Product {
    /// The clock holds the products and the wait for their end, not the reading of C.
    fn run(&mut self) -> Result<Measured, String> {
        let steps = vec![Step::forward(0); self.times];
        let mut measured = timed(|| {
            self.executor.run_blocking(&steps).map_err(words)?;
            Ok(0.0)
        })?;
        measured.check = weighted_mean(&self.executor.read_blocking(self.c).map_err(words)?);
        Ok(measured)
    }
}

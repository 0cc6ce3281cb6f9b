//! Predictions through `predict`.

use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed_each, words};
use bench_common::workload::{Net, Optimizer};
use wgrad::Gpu;
use wgrad::train::Model;

pub struct Predictions {
    model: Model,
    features: Vec<f32>,
    calls: usize,
}

impl Predictions {
    pub fn new(gpu: &Gpu, net: &Net, rows: usize, calls: usize) -> Result<Self, String> {
        let model = crate::model(gpu, net, Optimizer::Sgd, 0.05)?;
        Ok(Self { model, features: bench_common::data::features(net, rows), calls })
    }
}

impl Trial for Predictions {
    fn run(&mut self) -> Result<Measured, String> {
        timed_each(self.calls, || self.model.predict_blocking(&self.features).map_err(words))
    }
}

//! Predictions: host features to host outputs.

use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed_each};
use bench_common::workload::Net;
use burn::tensor::{Device, Tensor, TensorData};

use crate::net::Mlp;

pub struct Predictions {
    device: Device,
    model: Mlp,
    features: Vec<f32>,
    rows: usize,
    calls: usize,
}

impl Predictions {
    pub fn new(device: Device, net: &Net, rows: usize, calls: usize) -> Self {
        let features = bench_common::data::features(net, rows);
        Self { model: Mlp::new(net, &device), device, features, rows, calls }
    }
}

impl Trial for Predictions {
    fn run(&mut self) -> Result<Measured, String> {
        let shape = [self.rows, self.features.len() / self.rows];
        timed_each(self.calls, || {
            let data = TensorData::new(self.features.clone(), shape);
            let y = self.model.forward(Tensor::from_data(data, &self.device));
            y.into_data().try_to_vec().map_err(|error| format!("{error:?}"))
        })
    }
}

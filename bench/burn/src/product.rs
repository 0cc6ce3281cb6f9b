//! A matrix product alone.

use bench_common::data::{factors, weighted_mean};
use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed, words};
use bench_common::workload::Layout;
use burn::tensor::{Device, Tensor, TensorData};

pub struct Product {
    device: Device,
    layout: Layout,
    a: Tensor<2>,
    b: Tensor<2>,
    times: usize,
}

impl Product {
    pub fn new(device: Device, layout: Layout, [m, n, k]: [usize; 3], times: usize) -> Self {
        let (a, b) = factors(m, n, k);
        let (rows_of_a, rows_of_b) = match layout {
            Layout::AB => ([m, k], [k, n]),
            Layout::ABt => ([m, k], [n, k]),
            Layout::AtB => ([k, m], [k, n]),
        };
        let a = Tensor::from_data(TensorData::new(a, rows_of_a), &device);
        let b = Tensor::from_data(TensorData::new(b, rows_of_b), &device);
        Self { device, layout, a, b, times }
    }

    fn multiply(&self) -> Tensor<2> {
        let (a, b) = (self.a.clone(), self.b.clone());
        match self.layout {
            Layout::AB => a.matmul(b),
            Layout::ABt => a.matmul(b.transpose()),
            Layout::AtB => a.transpose().matmul(b),
        }
    }
}

impl Trial for Product {
    /// The clock holds the products and the wait for their end, not the reading of C.
    fn run(&mut self) -> Result<Measured, String> {
        self.device.sync().map_err(words)?;
        let mut c = None;
        let mut measured = timed(|| {
            c = (0..self.times).map(|_| self.multiply()).last();
            self.device.sync().map_err(words)?;
            Ok(0.0)
        })?;
        let c = c.ok_or("no product")?.into_data().try_to_vec::<f32>();
        measured.check = weighted_mean(&c.map_err(|error| format!("{error:?}"))?);
        Ok(measured)
    }
}

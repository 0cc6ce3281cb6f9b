//! Epochs and steps of training.

use bench_common::data::{self, Data};
use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed, words};
use bench_common::workload::Training;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};

use crate::net::{Mlp, Targets, optimizer};

/// A batch on the device, and its number of rows.
type Batch = (Tensor<2>, Targets, usize);

struct Learner {
    model: Mlp,
    optimizer: ModuleOptimizer,
    rate: f64,
}

impl Learner {
    fn new(training: &Training, device: &Device) -> Self {
        Self {
            model: Mlp::new(&training.net, device),
            optimizer: optimizer(training.optimizer),
            rate: training.learning_rate.into(),
        }
    }

    /// One step; returns the loss too, on the device. The model is handed over and not shared, so that
    /// its parameters can be updated in place.
    fn step(mut self, (x, targets, _): &Batch) -> (Self, Tensor<1>) {
        let loss = self.model.loss(x.clone(), targets.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        self.model = self.optimizer.step(self.rate, self.model, gradients);
        (self, loss.inner())
    }
}

/// Every batch as tensors of its own, uploaded once.
fn upload(training: &Training, data: &Data, device: &Device) -> Vec<Batch> {
    let (inputs, outputs) = (training.net.inputs(), training.net.outputs());
    let batch = |start: usize| {
        let end = (start + training.batch).min(training.rows);
        let rows = end - start;
        let features = data.features[start * inputs..end * inputs].to_vec();
        let targets = match &data.targets {
            data::Targets::Values(values) => {
                let values = values[start * outputs..end * outputs].to_vec();
                Targets::Values(Tensor::from_data(TensorData::new(values, [rows, outputs]), device))
            }
            data::Targets::Classes(classes) => {
                let classes: Vec<i32> = classes[start..end].iter().map(|&c| c as i32).collect();
                Targets::Classes(Tensor::from_data(TensorData::new(classes, [rows]), device))
            }
        };
        (Tensor::from_data(TensorData::new(features, [rows, inputs]), device), targets, rows)
    };
    (0..training.rows).step_by(training.batch).map(batch).collect()
}

pub struct Fitting {
    device: Device,
    training: Training,
    data: Data,
    epochs: usize,
}

impl Fitting {
    pub fn new(device: Device, training: &Training, epochs: usize) -> Result<Self, String> {
        let data = data::data(training)?;
        Ok(Self { device: device.autodiff(), training: training.clone(), data, epochs })
    }
}

impl Trial for Fitting {
    /// The clock holds the upload, every step, and reading the mean loss of each epoch, which stays on
    /// the device until the end.
    fn run(&mut self) -> Result<Measured, String> {
        let mut learner = Learner::new(&self.training, &self.device);
        self.device.sync().map_err(words)?;
        timed(|| {
            let batches = upload(&self.training, &self.data, &self.device);
            let mut losses = Vec::new();
            for _ in 0..self.epochs {
                let mut sum = None;
                for batch in &batches {
                    let (next, loss) = learner.step(batch);
                    learner = next;
                    let share = loss * (batch.2 as f64 / self.training.rows as f64);
                    sum = Some(match sum {
                        Some(sum) => sum + share,
                        None => share,
                    });
                }
                losses.extend(sum);
            }
            let losses = Tensor::cat(losses, 0).into_data().try_to_vec::<f32>();
            // The last update may come after the last loss.
            self.device.sync().map_err(words)?;
            losses
                .map_err(|error| format!("{error:?}"))?
                .last()
                .map(|&loss| loss.into())
                .ok_or_else(|| "no epoch".into())
        })
    }
}

pub struct Steps {
    device: Device,
    training: Training,
    batches: Vec<Batch>,
    steps: usize,
}

impl Steps {
    pub fn new(device: Device, training: &Training, steps: usize) -> Result<Self, String> {
        let device = device.autodiff();
        let batches = upload(training, &data::data(training)?, &device);
        Ok(Self { device, training: training.clone(), batches, steps })
    }
}

impl Trial for Steps {
    /// The clock holds the steps and reading the last one's loss, to the end of the last update.
    fn run(&mut self) -> Result<Measured, String> {
        let mut learner = Learner::new(&self.training, &self.device);
        self.device.sync().map_err(words)?;
        timed(|| {
            let mut last = None;
            for batch in self.batches.iter().cycle().take(self.steps) {
                let (next, loss) = learner.step(batch);
                (learner, last) = (next, Some(loss));
            }
            let loss = last.ok_or("no step")?.into_scalar::<f32>();
            // The last update may come after the last loss.
            self.device.sync().map_err(words)?;
            Ok(loss.into())
        })
    }
}

//! What is measured. A workload travels to the workers as JSON, so that all of them, and the driver
//! that turns seconds into figures, mean the same.

use serde::{Deserialize, Serialize};

/// One thing to do, small enough to be repeated in turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// `epochs` epochs from host data to a loss for each epoch on the host.
    Fit { training: Training, epochs: usize },
    /// `steps` steps on data that lies on the device, to the last step's loss on the host.
    Steps { training: Training, steps: usize },
    /// As `Fit`, on a device that accepts every call and computes nothing.
    HostFit { training: Training, epochs: usize },
    /// C (m×n) = A·B over a length of k, `times` times, to the end of the last one.
    Product { layout: Layout, m: usize, n: usize, k: usize, times: usize },
    /// `calls` predictions of `rows` rows, each from host features to host outputs, timed one by one.
    Predict { net: Net, rows: usize, calls: usize },
    /// `multiply_adds` multiply-adds in registers, the adapter's own peak.
    Peak { multiply_adds: u64 },
}

/// Dense layers with ReLU between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Net {
    /// Features, units of every layer.
    pub widths: Vec<usize>,
    pub loss: Loss,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// Mean over all elements of the squared error.
    MeanSquaredError,
    /// Mean over rows of softmax cross-entropy, from logits.
    CrossEntropy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Optimizer {
    Sgd,
    /// β₁ 0.9, β₂ 0.999, ε 1e-8.
    Adam,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Made by [`crate::data`].
    Generated,
    /// The 8×8 digits that wgrad's repository holds.
    Digits,
}

/// A net, its data and how it learns: rows in their order, the last batch with what is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub net: Net,
    pub optimizer: Optimizer,
    pub learning_rate: f32,
    pub source: Source,
    pub rows: usize,
    pub batch: usize,
}

/// How A and B lie in memory, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// A is m×k, B is k×n.
    AB,
    /// A is m×k, B is n×k.
    ABt,
    /// A is k×m, B is k×n.
    AtB,
}

impl Net {
    pub fn inputs(&self) -> usize {
        self.widths[0]
    }

    pub fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    /// Multiply-adds per row of a forward pass.
    pub fn multiply_adds(&self) -> u64 {
        self.widths.windows(2).map(|pair| (pair[0] * pair[1]) as u64).sum()
    }
}

impl Training {
    /// Steps of an epoch.
    pub fn batches(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    /// Multiply-adds of a step on a full batch: forward, dW of each layer, dX of each but the first.
    pub fn multiply_adds(&self) -> u64 {
        let first = (self.net.widths[0] * self.net.widths[1]) as u64;
        (3 * self.net.multiply_adds() - first) * self.batch as u64
    }
}

/// A workload by the name under which its figures are reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub name: String,
    pub task: Task,
}

fn training(widths: &[usize], loss: Loss, rows: usize, batch: usize) -> Training {
    Training {
        net: Net { widths: widths.to_vec(), loss },
        optimizer: Optimizer::Sgd,
        learning_rate: 0.05,
        source: Source::Generated,
        rows,
        batch,
    }
}

/// W1: the article's net on 1000 rows: 31 batches of 32 and one of 8.
pub fn article(batch: usize) -> Training {
    training(&[10, 64, 1], Loss::MeanSquaredError, 1000, batch)
}

/// W2: a classifier of MNIST's size.
pub fn classifier() -> Training {
    training(&[784, 512, 512, 10], Loss::CrossEntropy, 8 * 256, 256)
}

/// W3: narrow, deep and wide in rows.
pub fn narrow() -> Training {
    training(&[32, 64, 64, 64, 64, 16], Loss::MeanSquaredError, 4 * 4096, 4096)
}

/// The family of the sweep: 32-h-h-1 with a mean squared error, two batches of data.
pub fn sweep(hidden: usize, batch: usize) -> Training {
    training(&[32, hidden, hidden, 1], Loss::MeanSquaredError, 2 * batch, batch)
}

/// A training whose data is its first batch alone: its first epoch is one step.
pub fn first_step(mut training: Training) -> Training {
    training.rows = training.batch;
    training
}

/// All workloads that are measured in a running process. `scale` multiplies the repetitions inside
/// the clock, for adapters on which they are over too soon.
pub fn all(scale: usize) -> Vec<Workload> {
    let adam = |mut training: Training| {
        training.optimizer = Optimizer::Adam;
        training.learning_rate = 1e-3;
        training
    };
    let mut digits = adam(training(&[64, 32, 10], Loss::CrossEntropy, 1797, 32));
    digits.source = Source::Digits;
    let fit = |name: &str, training, epochs| (name.into(), Task::Fit { training, epochs });
    let steps = |name: &str, training, steps: usize| {
        (name.into(), Task::Steps { training, steps: steps * scale })
    };
    let mut list = vec![
        fit("W1", article(32), 10),
        steps("W2", classifier(), 32),
        steps("W3", narrow(), 64),
        ("W4 peak".into(), Task::Peak { multiply_adds: (1 << 33) * scale as u64 }),
    ];
    for (layout, m, n, k) in [
        (Layout::AB, 256, 256, 256),
        (Layout::AB, 1024, 1024, 1024),
        (Layout::AB, 4096, 64, 64),
        (Layout::AB, 784, 512, 256),
        (Layout::ABt, 784, 512, 256),
        (Layout::AtB, 784, 512, 256),
    ] {
        let times = ((1 << 31) / (m * n * k)).clamp(8, 256) * scale;
        let name = format!("W4 {layout:?} {m}x{n}x{k}");
        list.push((name, Task::Product { layout, m, n, k, times }));
    }
    list.push(fit("W5", article(1000), 100 * scale));
    for (rows, calls) in [(1, 200), (1024, 100)] {
        let task = Task::Predict { net: classifier().net, rows, calls: calls * scale };
        list.push((format!("W6 batch {rows}"), task));
    }
    list.push(fit("W7 10-64-1", adam(article(32)), 5));
    list.push(fit("W7 digits", digits, 2));
    for (name, training, epochs) in [("host W1", article(32), 100), ("host W2", classifier(), 400)]
    {
        list.push((name.into(), Task::HostFit { training, epochs }));
    }
    list.into_iter().map(|(name, task)| Workload { name, task }).collect()
}

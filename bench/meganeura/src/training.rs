//! Training in the manner of its `Trainer`: set the inputs, step, wait, read the loss.
//!
//! Shapes are static, so a short last batch runs in the graph of the full one: its rows are scaled
//! (errors by √(batch/rest), labels by batch/rest, the rest 0) so that loss and gradients are the
//! means over the rows there are. The inputs lie in memory that host and device share.

use bench_common::data::{self, Data, Layer, Targets};
use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed};
use bench_common::workload::{Loss, Optimizer, Training};
use meganeura::{Graph, Session, build_session};

/// The host's copy of a batch, filled up to the full number of rows.
struct Batch {
    features: Vec<f32>,
    targets: Vec<f32>,
    rows: usize,
}

/// Which loss to report at the end.
#[derive(Clone, Copy, PartialEq)]
pub enum Report {
    /// The mean over the last epoch.
    Epoch,
    /// That of the last step.
    Step,
}

pub struct Loop {
    session: Session,
    training: Training,
    layers: Vec<Layer>,
    batches: Vec<Batch>,
    steps: usize,
    report: Report,
    /// Whether the graph has the input that scales the errors of a short batch.
    scales: bool,
}

impl Loop {
    /// The session is compiled here, before the clock.
    pub fn new(training: &Training, steps: usize, report: Report) -> Result<Self, String> {
        let net = &training.net;
        let batch = training.batch;
        let scales = net.loss == Loss::MeanSquaredError && !training.rows.is_multiple_of(batch);
        let mut graph = Graph::new();
        let y = crate::net::build(&mut graph, net, batch);
        let targets = graph.input("t", &[batch, net.outputs()]);
        let loss = match net.loss {
            Loss::CrossEntropy => graph.cross_entropy_loss(y, targets),
            Loss::MeanSquaredError if scales => {
                let scale = graph.input("scale", &[batch, net.outputs()]);
                let minus = graph.neg(targets);
                let error = graph.add(y, minus);
                let error = graph.mul(error, scale);
                let square = graph.mul(error, error);
                graph.mean_all(square)
            }
            Loss::MeanSquaredError => graph.mse_loss(y, targets),
        };
        graph.set_outputs(vec![loss]);
        let session = build_session(&graph);
        let batches = batches(training, &data::data(training)?);
        let layers = data::layers(net);
        Ok(Self { session, training: training.clone(), layers, batches, steps, report, scales })
    }
}

impl Trial for Loop {
    fn run(&mut self) -> Result<Measured, String> {
        let session = &mut self.session;
        crate::net::reset(session, &self.layers);
        let rate = self.training.learning_rate;
        match self.training.optimizer {
            Optimizer::Sgd => session.set_learning_rate(rate),
            Optimizer::Adam => {
                session.set_adam(rate, 0.9, 0.999, 1e-8);
                crate::net::reset_moments(session, &self.layers);
            }
        }
        let full = self.training.batch;
        let outputs = self.training.net.outputs();
        timed(|| {
            let mut scaled_for = 0;
            let (mut loss, mut epoch) = (0.0, 0.0);
            for step in 0..self.steps {
                let number = step % self.batches.len();
                let batch = &self.batches[number];
                // One batch alone stays where it is.
                if self.batches.len() > 1 || step == 0 {
                    session.set_input("x", &batch.features);
                    session.set_input("t", &batch.targets);
                }
                if self.scales && scaled_for != batch.rows {
                    let scale = (full as f32 / batch.rows as f32).sqrt();
                    let mut scales = vec![scale; batch.rows * outputs];
                    scales.resize(full * outputs, 0.0);
                    session.set_input("scale", &scales);
                    scaled_for = batch.rows;
                }
                session.step();
                session.wait();
                loss = f64::from(session.read_loss());
                if number == 0 {
                    epoch = 0.0;
                }
                epoch += loss * batch.rows as f64 / self.training.rows as f64;
            }
            Ok(if self.report == Report::Epoch { epoch } else { loss })
        })
    }
}

fn batches(training: &Training, data: &Data) -> Vec<Batch> {
    let (inputs, outputs) = (training.net.inputs(), training.net.outputs());
    let batch = |start: usize| {
        let end = (start + training.batch).min(training.rows);
        let mut features = data.features[start * inputs..end * inputs].to_vec();
        features.resize(training.batch * inputs, 0.0);
        let mut targets = match &data.targets {
            Targets::Values(values) => values[start * outputs..end * outputs].to_vec(),
            Targets::Classes(classes) => {
                let weight = training.batch as f32 / (end - start) as f32;
                let one = |class: u32, j: usize| if class as usize == j { weight } else { 0.0 };
                let labels = classes[start..end].iter();
                labels.flat_map(|&class| (0..outputs).map(move |j| one(class, j))).collect()
            }
        };
        targets.resize(training.batch * outputs, 0.0);
        Batch { features, targets, rows: end - start }
    };
    (0..training.rows).step_by(training.batch).map(batch).collect()
}

//! The net: what records its training and its picture into whatever encoder the app has at hand.

use wgpu::CommandEncoder;
use wgrad::data::permutation;
use wgrad::exec::{Executor, ExecutorOptions, MAX_STEPS, Step};
use wgrad::graph::{Graph, Tensor, Unary};
use wgrad::plan::{Plan, PlanOptions};
use wgrad::prelude::*;

use crate::common::Outcome;
use crate::picture::{self, FEATURES, PIXELS};

/// Pixels per step.
const BATCH: usize = 256;
/// Steps that see every pixel once.
pub const EPOCH: usize = PIXELS / BATCH;

/// Two executors with the same parameters: one trains, the other computes the whole picture.
pub struct Learner {
    trainer: Executor,
    painter: Executor,
    colours: Tensor,
    order: Tensor,
    optimizer: Optimizer,
    seed: u64,
    /// The loss of every step so far whose result has arrived.
    pub losses: Vec<f32>,
    /// Steps recorded so far.
    pub steps: usize,
}

impl Learner {
    /// Builds the graphs, and everything on the device that they need.
    pub async fn new(gpu: &Gpu, seed: u64) -> Outcome<Self> {
        let net = Sequential::new(FEATURES).dense_with(64, Init::HeUniform).relu();
        let net = net.dense_with(64, Init::HeUniform).relu().dense(3).seed(seed);
        println!("{}", net.summary());
        let optimizer = Optimizer::adam(3e-3);

        // Training: draw a batch of pixels; forward, loss, backward, update.
        let mut graph = Graph::new();
        let features = graph.input("features", [PIXELS, FEATURES])?;
        let targets = graph.input("colours", [PIXELS, 3])?;
        let order = graph.index_input("order", [PIXELS])?;
        let x = graph.batch(features, order, BATCH)?;
        let t = graph.batch(targets, order, BATCH)?;
        let (y, parameters) = net.build_training(&mut graph, x)?;
        let loss = graph.loss(Loss::MeanSquaredError, y, t)?;
        let gradients = graph.gradients(loss, &parameters)?;
        let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
        graph.update(optimizer.rule(), None, loss, &pairs)?;
        let options = PlanOptions { results: vec![loss], ..Default::default() };
        let plan = Plan::with_options(&graph, &options, &gpu.target())?;
        let trainer = Executor::new(gpu, plan).await?;
        trainer.write(features, &picture::features())?;
        trainer.write(targets, &picture::colours())?;
        for (number, spec) in net.parameters()?.iter().enumerate() {
            trainer.parameters().write(number, &spec.initial)?;
        }

        // The picture: the same net over all pixels. Its output is kept, for the app's shader.
        let mut graph = Graph::new();
        let x = graph.input("features", [PIXELS, FEATURES])?;
        let (colours, _) = net.build(&mut graph, x)?;
        let plan = Plan::new(&graph, &[colours], &gpu.target())?;
        let parameters = Some(trainer.parameters().clone());
        let options = ExecutorOptions { parameters, ..Default::default() };
        let painter = Executor::with_options(gpu, plan, options).await?;
        painter.write(x, &picture::features())?;

        let (losses, steps) = (Vec::new(), 0);
        Ok(Self { trainer, painter, colours, order, optimizer, seed, losses, steps })
    }

    /// The buffer with the net's colours, three numbers per pixel, and where in it they begin.
    pub fn colours(&self) -> Result<(&wgpu::Buffer, u64), Error> {
        self.painter.buffer_of(self.colours)
    }

    /// Records some steps of training; [`MAX_STEPS`] at most.
    pub fn train(&mut self, encoder: &mut CommandEncoder, steps: usize) -> Result<(), Error> {
        // A new order of the pixels with every recording.
        let order = permutation(PIXELS, self.seed.wrapping_add(self.steps as u64));
        self.trainer.write_indices(self.order, &order)?;
        let record = |number: usize| {
            let rate = self.optimizer.learning_rate_at(number as u64);
            let first_row = (number % EPOCH * BATCH) as u32;
            Step::training(self.optimizer.rule(), number as u64, first_row, rate)
        };
        let end = self.steps + steps.min(MAX_STEPS);
        let steps: Vec<Step> = (self.steps..end).map(record).collect();
        self.steps = end;
        self.trainer.record(encoder, &steps)
    }

    /// Records the computation of the picture.
    pub fn paint(&mut self, encoder: &mut CommandEncoder) -> Result<(), Error> {
        self.painter.record(encoder, &[Step::forward(0)])
    }

    /// To be called after the submission of what was recorded.
    pub fn submitted(&mut self) {
        self.trainer.submitted();
        self.painter.submitted();
    }

    /// Takes in the losses that are here. Does not wait.
    pub async fn take_results(&mut self) -> Outcome {
        while let Some(results) = self.trainer.results_ready().await? {
            if let Some(step) = results.halted_at {
                return Err(format!("the loss of step {step} was not finite").into());
            }
            self.losses.extend(results.rows.iter().flatten());
        }
        while self.painter.results_ready().await?.is_some() {}
        Ok(())
    }
}

/// What wgrad says when it is given a buffer that it cannot use: a value, not a panic, and nothing
/// that would reach the app's error handler.
pub async fn refused(gpu: &Gpu) -> Option<Error> {
    let useless = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("a buffer that no shader may read"),
        size: 4 * PIXELS as u64,
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let executor = async || -> Result<Executor, Error> {
        let mut graph = Graph::new();
        let x = graph.input("x", [PIXELS])?;
        let y = graph.unary(Unary::Relu, x)?;
        let plan = Plan::new(&graph, &[y], &gpu.target())?;
        let options = ExecutorOptions { inputs: vec![(x, useless)], ..Default::default() };
        Executor::with_options(gpu, plan, options).await
    };
    executor().await.err()
}

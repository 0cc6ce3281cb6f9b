//! The blocking calls that wgrad and the standard library have natively, as traits.

use std::borrow::Borrow;
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use pollster::block_on;
use wasm_bindgen_futures::JsFuture;
use wgrad::data::Dataset;
use wgrad::exec::{Executor, ExecutorOptions, Parameters, Results, Step};
use wgrad::graph::Tensor;
use wgrad::nn::Sequential;
use wgrad::plan::Plan;
use wgrad::train::{
    Evaluation, FitOptions, History, Model, Residency, StepResult, Trainer, TrainingConfig,
};
use wgrad::{AdapterChoice, Gpu, Result};

pub trait BlockingGpu: Sized {
    fn new_blocking() -> Result<Self>;
    fn with_adapter_blocking(choice: &AdapterChoice) -> Result<Self>;
}

impl BlockingGpu for Gpu {
    fn new_blocking() -> Result<Self> {
        block_on(Gpu::new())
    }

    fn with_adapter_blocking(choice: &AdapterChoice) -> Result<Self> {
        block_on(Gpu::with_adapter(choice))
    }
}

pub trait BlockingExecutor: Sized {
    fn new_blocking(gpu: &Gpu, plan: Plan) -> Result<Self>;
    fn with_options_blocking(gpu: &Gpu, plan: Plan, options: ExecutorOptions) -> Result<Self>;
    fn submit_blocking(&mut self, steps: &[Step]) -> Result<()>;
    fn results_blocking(&mut self) -> Result<Option<Results>>;
    fn run_blocking(&mut self, steps: &[Step]) -> Result<Vec<Vec<f32>>>;
    fn read_blocking(&self, tensor: Tensor) -> Result<Vec<f32>>;
}

impl BlockingExecutor for Executor {
    fn new_blocking(gpu: &Gpu, plan: Plan) -> Result<Self> {
        block_on(Executor::new(gpu, plan))
    }

    fn with_options_blocking(gpu: &Gpu, plan: Plan, options: ExecutorOptions) -> Result<Self> {
        block_on(Executor::with_options(gpu, plan, options))
    }

    fn submit_blocking(&mut self, steps: &[Step]) -> Result<()> {
        block_on(self.submit(steps))
    }

    fn results_blocking(&mut self) -> Result<Option<Results>> {
        block_on(self.results())
    }

    fn run_blocking(&mut self, steps: &[Step]) -> Result<Vec<Vec<f32>>> {
        block_on(self.run(steps))
    }

    fn read_blocking(&self, tensor: Tensor) -> Result<Vec<f32>> {
        block_on(self.read(tensor))
    }
}

pub trait BlockingSequential {
    fn compile_blocking(self, gpu: &Gpu, compile: TrainingConfig) -> Result<Model>;
}

impl BlockingSequential for Sequential {
    fn compile_blocking(self, gpu: &Gpu, compile: TrainingConfig) -> Result<Model> {
        block_on(self.compile(gpu, compile))
    }
}

pub trait BlockingModel {
    fn fit_blocking(&mut self, data: &Dataset, fit: FitOptions<'_>) -> Result<History>;
    fn evaluate_blocking(&self, data: &Dataset) -> Result<Evaluation>;
    fn predict_blocking(&self, features: &[f32]) -> Result<Vec<f32>>;
    fn predict_classes_blocking(&self, features: &[f32]) -> Result<Vec<u32>>;
    fn predict_probabilities_blocking(&self, features: &[f32]) -> Result<Vec<f32>>;
    fn weights_blocking(&self) -> Result<Vec<(String, Vec<f32>)>>;
    fn trainer_blocking<D: Borrow<Dataset>>(
        &mut self,
        data: D,
        batch: usize,
        residency: Residency,
    ) -> Result<Trainer<D>>;
}

impl BlockingModel for Model {
    fn fit_blocking(&mut self, data: &Dataset, fit: FitOptions<'_>) -> Result<History> {
        block_on(self.fit(data, fit))
    }

    fn evaluate_blocking(&self, data: &Dataset) -> Result<Evaluation> {
        block_on(self.evaluate(data))
    }

    fn predict_blocking(&self, features: &[f32]) -> Result<Vec<f32>> {
        block_on(self.predict(features))
    }

    fn predict_classes_blocking(&self, features: &[f32]) -> Result<Vec<u32>> {
        block_on(self.predict_classes(features))
    }

    fn predict_probabilities_blocking(&self, features: &[f32]) -> Result<Vec<f32>> {
        block_on(self.predict_probabilities(features))
    }

    fn weights_blocking(&self) -> Result<Vec<(String, Vec<f32>)>> {
        block_on(self.weights())
    }

    fn trainer_blocking<D: Borrow<Dataset>>(
        &mut self,
        data: D,
        batch: usize,
        residency: Residency,
    ) -> Result<Trainer<D>> {
        block_on(self.trainer(data, batch, residency))
    }
}

pub trait BlockingTrainer {
    fn submit_blocking(
        &mut self,
        batches: Range<usize>,
        step: impl FnMut(usize) -> Step,
    ) -> Result<()>;
    fn results_blocking(&mut self) -> Result<Option<Vec<StepResult>>>;
}

impl<D: Borrow<Dataset>> BlockingTrainer for Trainer<D> {
    fn submit_blocking(
        &mut self,
        batches: Range<usize>,
        step: impl FnMut(usize) -> Step,
    ) -> Result<()> {
        block_on(self.submit(batches, step))
    }

    fn results_blocking(&mut self) -> Result<Option<Vec<StepResult>>> {
        block_on(self.results())
    }
}

pub trait BlockingParameters {
    fn read_blocking(&self, number: usize) -> Result<Vec<f32>>;
    fn read_gradient_blocking(&self, number: usize) -> Result<Vec<f32>>;
}

impl BlockingParameters for Parameters {
    fn read_blocking(&self, number: usize) -> Result<Vec<f32>> {
        block_on(self.read(number))
    }

    fn read_gradient_blocking(&self, number: usize) -> Result<Vec<f32>> {
        block_on(self.read_gradient(number))
    }
}

pub trait BlockingReceiver<T> {
    /// `recv_timeout`, letting the page run meanwhile.
    fn recv_within(&self, time: Duration) -> Result<T, RecvTimeoutError>;
}

impl<T> BlockingReceiver<T> for Receiver<T> {
    fn recv_within(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        for _ in 0..time.as_millis() / 10 {
            match self.try_recv() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => block_on(pause(10)),
            }
        }
        Err(RecvTimeoutError::Timeout)
    }
}

/// Maps a buffer for reading, and waits for it, which `Device::poll` does not do in a browser.
pub fn map(buffer: &wgpu::Buffer) {
    let (sender, receiver) = channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        let _ = sender.send(result);
    });
    receiver.recv_within(Duration::from_secs(60)).expect("an answer").expect("mapped");
}

async fn pause(milliseconds: i32) {
    let timer = js_sys::Promise::new(&mut |resolve, _| {
        if let Some(window) = web_sys::window() {
            let _ = window
                .set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
        }
    });
    let _ = JsFuture::from(timer).await;
}

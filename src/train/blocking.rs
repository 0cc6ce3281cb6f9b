//! The same calls, waiting for the device; not in browsers, where nothing may wait.

use std::borrow::Borrow;
use std::ops::Range;
use std::sync::Arc;

use super::{
    Compile, Evaluation, Fit, History, Model, Parallel, ParallelOptions, Residency, StepResult,
    Trainer, TrainingState,
};
use crate::Result;
use crate::data::Dataset;
use crate::exec::{Schedule, Step};
use crate::gpu::Gpu;
use crate::nn::Sequential;

impl Sequential {
    /// [`Sequential::compile`], waiting for it.
    pub fn compile_blocking(self, gpu: &Gpu, compile: Compile) -> Result<Model> {
        pollster::block_on(self.compile(gpu, compile))
    }
}

impl Model {
    /// [`Model::fit`], waiting for it.
    pub fn fit_blocking(&mut self, data: &Dataset, fit: Fit<'_>) -> Result<History> {
        pollster::block_on(self.fit(data, fit))
    }

    /// [`Model::evaluate`], waiting for it.
    pub fn evaluate_blocking(&self, data: &Dataset) -> Result<Evaluation> {
        pollster::block_on(self.evaluate(data))
    }

    /// [`Model::predict`], waiting for it.
    pub fn predict_blocking(&mut self, features: &[f32]) -> Result<Vec<f32>> {
        pollster::block_on(self.predict(features))
    }

    /// [`Model::predict_classes`], waiting for it.
    pub fn predict_classes_blocking(&mut self, features: &[f32]) -> Result<Vec<u32>> {
        pollster::block_on(self.predict_classes(features))
    }

    /// [`Model::predict_probabilities`], waiting for it.
    pub fn predict_probabilities_blocking(&mut self, features: &[f32]) -> Result<Vec<f32>> {
        pollster::block_on(self.predict_probabilities(features))
    }

    /// [`Model::weights`], waiting for it.
    pub fn weights_blocking(&self) -> Result<Vec<(String, Vec<f32>)>> {
        pollster::block_on(self.weights())
    }

    /// [`Model::trainer`], waiting for it.
    pub fn trainer_blocking<D: Borrow<Dataset>>(
        &mut self,
        data: D,
        batch: usize,
        residency: Residency,
    ) -> Result<Trainer<D>> {
        pollster::block_on(self.trainer(data, batch, residency))
    }
}

impl<D: Borrow<Dataset>> Trainer<D> {
    /// [`Trainer::submit`], waiting only where it must.
    pub fn submit_blocking(
        &mut self,
        batches: Range<usize>,
        step: impl FnMut(usize) -> Step,
    ) -> Result<()> {
        pollster::block_on(self.submit(batches, step))
    }

    /// [`Trainer::results`], waiting for them.
    pub fn results_blocking(&mut self) -> Result<Option<Vec<StepResult>>> {
        pollster::block_on(self.results())
    }

    /// [`Trainer::results_ready`], which does not wait for the device.
    pub fn results_ready_blocking(&mut self) -> Result<Option<Vec<StepResult>>> {
        pollster::block_on(self.results_ready())
    }
}

impl Parallel {
    /// [`Parallel::new`], waiting for it.
    pub fn new_blocking(
        model: Sequential,
        compile: Compile,
        data: impl Into<Arc<Dataset>>,
        options: ParallelOptions,
        lanes: &[Gpu],
    ) -> Result<Self> {
        pollster::block_on(Self::new(model, compile, data, options, lanes))
    }

    /// [`Parallel::fit`], waiting for it.
    pub fn fit_blocking(&mut self, fit: Fit<'_>) -> Result<History> {
        pollster::block_on(self.fit(fit))
    }

    /// [`Parallel::relay`], waiting for it.
    pub fn relay_blocking(&mut self, schedule: Schedule, lanes: &[Gpu]) -> Result<()> {
        pollster::block_on(self.relay(schedule, lanes))
    }

    /// [`Parallel::set_state`], waiting for it.
    pub fn set_state_blocking(&mut self, state: TrainingState) -> Result<()> {
        pollster::block_on(self.set_state(state))
    }

    /// [`Parallel::model`], waiting for it.
    pub fn model_blocking(&self, gpu: &Gpu) -> Result<Model> {
        pollster::block_on(self.model(gpu))
    }
}

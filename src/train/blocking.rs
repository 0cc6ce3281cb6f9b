//! The same calls, waiting for the device; not in browsers, where nothing may wait.

use super::{Compile, Evaluation, Fit, History, Model};
use crate::Result;
use crate::data::Dataset;
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
}

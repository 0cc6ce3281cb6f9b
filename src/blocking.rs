//! Twins of the `async` calls that wait for the device: everything that ends in `_blocking`. Not in browsers,
//! where nothing may wait.

use std::ops::Range;
#[cfg(feature = "files")]
use std::path::Path;
use std::time::Instant;

use crate::Result;
use crate::cluster::{Clusters, Iteration, KMeans};
use crate::data::{AsData, OwnedData, Source};
#[cfg(feature = "decompose")]
use crate::decompose::{Pca, PrincipalComponents};
use crate::exec::{Executor, ExecutorOptions, Parameters, Results, Snapshot, Step};
use crate::explain::{
    Explainer, Importance, Integrated, Quadrature, Score, Window, partial_dependence,
    partial_dependence_source, permutation_importance,
};
use crate::gpu::{AdapterChoice, DeviceClock, Gpu, Timestamps, adapters};
use crate::graph::{Graph, Loss, Tensor};
use crate::lanes::{Parallel, ParallelOptions, Schedule};
use crate::nn::Sequential;
use crate::plan::{ArenaLayout, Plan, Precision};
#[cfg(feature = "files")]
use crate::train::ModelFile;
use crate::train::{
    Evaluation, FitOptions, History, Model, Predictor, Progress, Residency, StepResult, Trainer,
    TrainingConfig, TrainingState,
};

/// Within an `impl`: for each `twin: call(…) -> …;` a method that takes what the call takes and waits for it.
macro_rules! blocking {
    () => {};
    (
        $twin:ident: $call:ident $(<$generic:ident: $bound:path>)?
        (&$this:ident $(, $name:ident: $type:ty)* $(,)?) -> $out:ty; $($rest:tt)*
    ) => {
        #[doc = concat!("[`", stringify!($call), "`](Self::", stringify!($call), ") for code that is not `async`: waits where that does.")]
        pub fn $twin $(<$generic: $bound>)? (&$this $(, $name: $type)*) -> $out {
            pollster::block_on($this.$call($($name),*))
        }
        blocking! { $($rest)* }
    };
    (
        $twin:ident: $call:ident $(<$generic:ident: $bound:path>)?
        (&mut $this:ident $(, $name:ident: $type:ty)* $(,)?) -> $out:ty; $($rest:tt)*
    ) => {
        #[doc = concat!("[`", stringify!($call), "`](Self::", stringify!($call), ") for code that is not `async`: waits where that does.")]
        pub fn $twin $(<$generic: $bound>)? (&mut $this $(, $name: $type)*) -> $out {
            pollster::block_on($this.$call($($name),*))
        }
        blocking! { $($rest)* }
    };
    (
        $twin:ident: $call:ident ($this:ident $(, $name:ident: $type:ty)* $(,)?) -> $out:ty; $($rest:tt)*
    ) => {
        #[doc = concat!("[`", stringify!($call), "`](Self::", stringify!($call), ") for code that is not `async`: waits where that does.")]
        pub fn $twin($this $(, $name: $type)*) -> $out {
            pollster::block_on($this.$call($($name),*))
        }
        blocking! { $($rest)* }
    };
    ($twin:ident: $call:ident ($($name:ident: $type:ty),* $(,)?) -> $out:ty; $($rest:tt)*) => {
        #[doc = concat!("[`", stringify!($call), "`](Self::", stringify!($call), ") for code that is not `async`: waits where that does.")]
        pub fn $twin($($name: $type),*) -> $out {
            pollster::block_on(Self::$call($($name),*))
        }
        blocking! { $($rest)* }
    };
}

/// [`adapters`], waiting for it.
pub fn adapters_blocking() -> Vec<wgpu::AdapterInfo> {
    pollster::block_on(adapters())
}

impl Gpu {
    blocking! {
        new_blocking: new() -> Result<Self>;
        with_adapter_blocking: with_adapter(choice: &AdapterChoice) -> Result<Self>;
        measure_blocking: measure(&self) -> Result<usize>;
    }
}

impl KMeans {
    blocking! {
        fit_blocking: fit(&self, gpu: &Gpu, values: &[f32], columns: usize) -> Result<Clusters>;
        fit_over_blocking: fit_over(&self, gpus: &[Gpu], values: &[f32], columns: usize) -> Result<Clusters>;
        fit_watched_blocking: fit_watched(
            &self, gpu: &Gpu, values: &[f32], columns: usize, watch: impl FnMut(&Iteration<'_>) + Send
        ) -> Result<Clusters>;
        fit_source_blocking: fit_source(&self, gpu: &Gpu, source: &Source) -> Result<Clusters>;
    }
}

impl Clusters {
    blocking! {
        predict_blocking: predict(&self, values: &[f32]) -> Result<Vec<u32>>;
        predict_source_blocking: predict_source(&self, source: &Source) -> Result<Vec<u32>>;
        transform_blocking: transform(&self, values: &[f32]) -> Result<Vec<f32>>;
    }
}

#[cfg(feature = "decompose")]
impl Pca {
    blocking! {
        fit_blocking: fit(&self, gpu: &Gpu, values: &[f32], columns: usize) -> Result<PrincipalComponents>;
        fit_over_blocking: fit_over(&self, gpus: &[Gpu], values: &[f32], columns: usize) -> Result<PrincipalComponents>;
        fit_watched_blocking: fit_watched(
            &self, gpu: &Gpu, values: &[f32], columns: usize, watch: impl FnMut(usize, usize) + Send
        ) -> Result<PrincipalComponents>;
        fit_source_blocking: fit_source(&self, gpu: &Gpu, source: &Source) -> Result<PrincipalComponents>;
    }
}

#[cfg(feature = "decompose")]
impl PrincipalComponents {
    blocking! {
        transform_blocking: transform(&self, values: &[f32]) -> Result<Vec<f32>>;
        transform_source_blocking: transform_source(
            &self, source: &Source, take: impl FnMut(&[f32]) -> Result<()>
        ) -> Result<()>;
        inverse_transform_blocking: inverse_transform(&self, transformed: &[f32]) -> Result<Vec<f32>>;
    }
}

impl DeviceClock {
    blocking! {
        calibrate_blocking: calibrate(gpu: &Gpu, origin: Instant) -> Result<Option<Self>>;
    }
}

impl Timestamps {
    blocking! {
        new_blocking: new(gpu: &Gpu, passes: u32) -> Result<Option<Self>>;
        read_blocking: read(&mut self, passes: u32, clock: &DeviceClock) -> Result<Vec<Option<(f64, f64)>>>;
    }
}

impl Executor {
    blocking! {
        new_blocking: new(gpu: &Gpu, plan: Plan) -> Result<Self>;
        with_options_blocking: with_options(gpu: &Gpu, plan: Plan, options: ExecutorOptions) -> Result<Self>;
        submit_blocking: submit(&mut self, steps: &[Step]) -> Result<()>;
        results_blocking: results(&mut self) -> Result<Option<Results>>;
        results_ready_blocking: results_ready(&mut self) -> Result<Option<Results>>;
        run_blocking: run(&mut self, steps: &[Step]) -> Result<Vec<Vec<f32>>>;
        read_blocking: read(&self, tensor: Tensor) -> Result<Vec<f32>>;
        read_indices_blocking: read_indices(&self, tensor: Tensor) -> Result<Vec<u32>>;
    }
}

impl Explainer {
    blocking! {
        of_model_blocking: of_model(model: &Model) -> Result<Self>;
        of_graph_blocking: of_graph(
            gpu: &Gpu, graph: Graph, x: Tensor, outputs: Tensor, parameters: Option<Parameters>
        ) -> Result<Self>;
        outputs_blocking: outputs(&mut self, rows: &[f32]) -> Result<Vec<f32>>;
        gradients_blocking: gradients(&mut self, rows: &[f32], targets: &[usize]) -> Result<Vec<f32>>;
        saliency_blocking: saliency(&mut self, rows: &[f32], targets: &[usize]) -> Result<Vec<f32>>;
        gradient_times_input_blocking: gradient_times_input(&mut self, rows: &[f32], targets: &[usize]) -> Result<Vec<f32>>;
        smooth_grad_blocking: smooth_grad(
            &mut self, rows: &[f32], targets: &[usize], samples: usize, deviation: f32, seed: u64
        ) -> Result<Vec<f32>>;
        integrated_gradients_blocking: integrated_gradients(
            &mut self, rows: &[f32], targets: &[usize], baseline: &[f32], quadrature: Quadrature
        ) -> Result<Integrated>;
        expected_gradients_blocking: expected_gradients(
            &mut self, rows: &[f32], targets: &[usize], background: &[f32], samples: usize, seed: u64
        ) -> Result<Integrated>;
        occlusion_blocking: occlusion(
            &mut self, rows: &[f32], targets: &[usize], window: Window<'_>, cover: f32
        ) -> Result<Vec<f32>>;
    }
}

/// [`permutation_importance`], waiting for it.
///
/// # Errors
/// Those of that.
pub fn permutation_importance_blocking<D: AsData>(
    model: &Model,
    data: &D,
    score: Score,
    permutations: &[Vec<u32>],
) -> Result<Vec<Importance>> {
    pollster::block_on(permutation_importance(model, data, score, permutations))
}

/// [`partial_dependence`], waiting for it.
///
/// # Errors
/// Those of that.
pub fn partial_dependence_blocking(
    model: &mut Model,
    rows: &[f32],
    feature: usize,
    grid: &[f32],
) -> Result<Vec<f32>> {
    pollster::block_on(partial_dependence(model, rows, feature, grid))
}

/// [`partial_dependence_source`], waiting for it.
///
/// # Errors
/// Those of that.
pub fn partial_dependence_source_blocking(
    model: &mut Model,
    source: &Source,
    feature: usize,
    grid: &[f32],
) -> Result<Vec<f32>> {
    pollster::block_on(partial_dependence_source(model, source, feature, grid))
}

impl Parameters {
    blocking! {
        new_blocking: new(gpu: &Gpu, layout: &ArenaLayout, states: Option<usize>) -> Result<Self>;
        with_precision_blocking: with_precision(
            gpu: &Gpu, layout: &ArenaLayout, states: Option<usize>, precision: Precision
        ) -> Result<Self>;
        read_blocking: read(&self, number: usize) -> Result<Vec<f32>>;
        read_gradient_blocking: read_gradient(&self, number: usize) -> Result<Vec<f32>>;
        read_all_blocking: read_all(&self) -> Result<Vec<Vec<f32>>>;
        refresh_copies_blocking: refresh_copies(&self) -> Result<()>;
        snapshot_blocking: snapshot(&self) -> Result<Snapshot>;
        save_to_blocking: save_to(&self, snapshot: &Snapshot) -> Result<()>;
        restore_blocking: restore(&self, snapshot: &Snapshot) -> Result<()>;
    }
}

impl Sequential {
    blocking! {
        compile_blocking: compile(self, gpu: &Gpu, compile: TrainingConfig) -> Result<Model>;
    }
}

impl Model {
    blocking! {
        fit_blocking: fit<D: AsData>(&mut self, data: &D, fit: FitOptions<'_>) -> Result<History>;
        fit_accumulating_blocking: fit_accumulating(
            &mut self, data: impl Into<OwnedData>, batches: usize, fit: FitOptions<'_>
        ) -> Result<History>;
        evaluate_blocking: evaluate<D: AsData>(&self, data: &D) -> Result<Evaluation>;
        predict_blocking: predict(&self, features: &[f32]) -> Result<Vec<f32>>;
        predict_source_blocking: predict_source(
            &self, source: &Source, take: impl FnMut(&[f32]) -> Result<()>
        ) -> Result<()>;
        predict_classes_blocking: predict_classes(&self, features: &[f32]) -> Result<Vec<u32>>;
        predict_probabilities_blocking: predict_probabilities(&self, features: &[f32]) -> Result<Vec<f32>>;
        weights_blocking: weights(&self) -> Result<Vec<(String, Vec<f32>)>>;
        state_blocking: state(&self) -> Result<(TrainingState, Progress)>;
        trainer_blocking: trainer<D: AsData>(
            &mut self, data: D, batch: usize, residency: Residency
        ) -> Result<Trainer<D>>;
    }
}

#[cfg(feature = "files")]
impl Model {
    blocking! {
        file_blocking: file(&self) -> Result<ModelFile>;
        to_bytes_blocking: to_bytes(&self) -> Result<Vec<u8>>;
        from_bytes_blocking: from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Self>;
        save_blocking: save(&self, path: impl AsRef<Path>) -> Result<()>;
        load_blocking: load(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self>;
    }
}

#[cfg(feature = "files")]
impl ModelFile {
    blocking! {
        model_blocking: model(self, gpu: &Gpu) -> Result<Model>;
        predictor_blocking: predictor(&self, gpu: &Gpu) -> Result<Predictor>;
    }
}

impl Predictor {
    blocking! {
        with_weights_blocking: with_weights(
            gpu: &Gpu, architecture: &Sequential, loss: Loss, weights: &[Vec<f32>]
        ) -> Result<Self>;
        predict_blocking: predict(&self, features: &[f32]) -> Result<Vec<f32>>;
        predict_source_blocking: predict_source(
            &self, source: &Source, take: impl FnMut(&[f32]) -> Result<()>
        ) -> Result<()>;
        predict_classes_blocking: predict_classes(&self, features: &[f32]) -> Result<Vec<u32>>;
        predict_probabilities_blocking: predict_probabilities(&self, features: &[f32]) -> Result<Vec<f32>>;
        record_blocking: record(
            &self, encoder: &mut wgpu::CommandEncoder, input: &wgpu::Buffer, output: &wgpu::Buffer, rows: usize
        ) -> Result<()>;
    }
}

#[cfg(feature = "files")]
impl Predictor {
    blocking! {
        load_blocking: load(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self>;
    }
}

impl<D: AsData> Trainer<D> {
    blocking! {
        submit_blocking: submit(
            &mut self, batches: Range<usize>, step: impl FnMut(usize) -> Step
        ) -> Result<()>;
        results_blocking: results(&mut self) -> Result<Option<Vec<StepResult>>>;
        results_ready_blocking: results_ready(&mut self) -> Result<Option<Vec<StepResult>>>;
    }
}

impl Parallel {
    blocking! {
        new_blocking: new(
            model: Sequential, compile: TrainingConfig, data: impl Into<OwnedData>, options: ParallelOptions, lanes: &[Gpu]
        ) -> Result<Self>;
        fit_blocking: fit(&mut self, fit: FitOptions<'_>) -> Result<History>;
        relay_blocking: relay(&mut self, schedule: Schedule, lanes: &[Gpu]) -> Result<()>;
        set_state_blocking: set_state(&mut self, state: TrainingState) -> Result<()>;
        model_blocking: model(&self, gpu: &Gpu) -> Result<Model>;
    }
}

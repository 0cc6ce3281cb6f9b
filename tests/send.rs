//! Every future of the public interface can be sent to another thread, as executors that spawn ask.

use std::path::Path;
use std::sync::Arc;

use wgrad::Gpu;
use wgrad::cluster::{Clusters, KMeans};
use wgrad::data::{Dataset, Source};
#[cfg(feature = "decompose")]
use wgrad::decompose::{Pca, PrincipalComponents};
use wgrad::exec::{Executor, ExecutorOptions, Parameters, Snapshot, Step};
use wgrad::explain::{
    Explainer, Quadrature, Score, Window, partial_dependence, partial_dependence_source,
    permutation_importance,
};
use wgrad::gpu::{AdapterChoice, DeviceClock, Timestamps, adapters};
use wgrad::graph::{Graph, Tensor};
use wgrad::lanes::Schedule;
use wgrad::lanes::{Parallel, ParallelOptions};
use wgrad::nn::Sequential;
use wgrad::plan::{ArenaLayout, Plan, Precision};
use wgrad::train::{
    Callback, EarlyStopping, FitOptions, Model, Predictor, Trainer, TrainingConfig, TrainingState,
};

fn is_send<T: Send>(_: T) {}

/// Never called: it compiles, which is all. One line for each `pub async fn` of `src`.
#[allow(dead_code, clippy::too_many_arguments)]
fn all(
    gpu: &Gpu,
    plan: &Plan,
    executor: &mut Executor,
    parameters: &Parameters,
    snapshot: &Snapshot,
    tensor: Tensor,
    layout: &ArenaLayout,
    net: Sequential,
    compile: TrainingConfig,
    model: &mut Model,
    (data, source): (&Dataset, &Source),
    trainer: &mut Trainer<Arc<Dataset>>,
    parallel: &mut Parallel,
    state: TrainingState,
    timestamps: &mut Timestamps,
    clock: &DeviceClock,
    (k_means, clusters, explainer): (&KMeans, &Clusters, &mut Explainer),
    (predictor, encoder, buffer): (&Predictor, &mut wgpu::CommandEncoder, &wgpu::Buffer),
    #[cfg(feature = "files")] file: &wgrad::train::ModelFile,
    #[cfg(feature = "decompose")] pca: (&Pca, &PrincipalComponents),
) {
    // gpu
    is_send(adapters());
    is_send(Gpu::new());
    is_send(Gpu::with_adapter(&AdapterChoice::default()));
    is_send(gpu.measure());
    is_send(Timestamps::new(gpu, 1));
    is_send(timestamps.read(1, clock));
    is_send(DeviceClock::calibrate(gpu, std::time::Instant::now()));
    // exec
    is_send(Executor::new(gpu, plan.clone()));
    is_send(Executor::with_options(gpu, plan.clone(), ExecutorOptions::default()));
    is_send(executor.submit(&[Step::forward(0)]));
    is_send(executor.results());
    is_send(executor.results_ready());
    is_send(executor.run(&[]));
    is_send(executor.read(tensor));
    is_send(executor.read_indices(tensor));
    is_send(Parameters::new(gpu, layout, None));
    is_send(Parameters::with_precision(gpu, layout, None, Precision::mixed()));
    is_send(parameters.read(0));
    is_send(parameters.read_gradient(0));
    is_send(parameters.read_all());
    is_send(parameters.refresh_copies());
    is_send(parameters.snapshot());
    is_send(parameters.save_to(snapshot));
    is_send(parameters.restore(snapshot));
    // cluster, decompose, explain
    is_send(k_means.fit(gpu, &[], 1));
    is_send(k_means.fit_over(&[], &[], 1));
    is_send(k_means.fit_watched(gpu, &[], 1, |_| ()));
    is_send(k_means.fit_source(gpu, source));
    is_send(clusters.predict_source(source));
    is_send(clusters.predict(&[]));
    is_send(clusters.transform(&[]));
    #[cfg(feature = "decompose")]
    {
        is_send(pca.0.fit(gpu, &[], 1));
        is_send(pca.0.fit_over(&[], &[], 1));
        is_send(pca.0.fit_watched(gpu, &[], 1, |_, _| ()));
        is_send(pca.0.fit_source(gpu, source));
        is_send(pca.1.transform_source(source, |_| Ok(())));
        is_send(pca.1.transform(&[]));
        is_send(pca.1.inverse_transform(&[]));
    }
    is_send(Explainer::of_model(model));
    is_send(Explainer::of_graph(gpu, Graph::new(), tensor, tensor, None));
    is_send(explainer.outputs(&[]));
    is_send(explainer.gradients(&[], &[]));
    is_send(explainer.saliency(&[], &[]));
    is_send(explainer.gradient_times_input(&[], &[]));
    is_send(explainer.smooth_grad(&[], &[], 1, 1.0, 0));
    is_send(explainer.integrated_gradients(&[], &[], &[], Quadrature::Midpoint(1)));
    is_send(explainer.expected_gradients(&[], &[], &[], 1, 0));
    let window = Window { row: &[], size: &[], step: &[] };
    is_send(explainer.occlusion(&[], &[], window, 0.0));
    is_send(permutation_importance(model, data, Score::Loss, &[]));
    is_send(partial_dependence(model, &[], 0, &[]));
    is_send(partial_dependence_source(model, source, 0, &[]));
    // train
    is_send(net.clone().compile(gpu, compile.clone()));
    is_send(model.weights());
    is_send(model.trainer(data, 1, Default::default()));
    is_send(model.evaluate(data));
    is_send(model.evaluate(source));
    is_send(model.fit(source, FitOptions::new(1).validation(source)));
    is_send(model.predict_source(source, |_| Ok(())));
    is_send(model.predict(&[]));
    is_send(model.state());
    is_send(model.predict_probabilities(&[]));
    is_send(model.predict_classes(&[]));
    is_send(model.fit(data, FitOptions::new(1)));
    is_send(model.fit_accumulating(data.clone(), 2, FitOptions::new(1)));
    let mut stopping = EarlyStopping::new("loss", 1);
    is_send(model.fit(data, FitOptions::new(1).callback(&mut stopping)));
    is_send(predictor.predict_source(source, |_| Ok(())));
    is_send(predictor.predict(&[]));
    is_send(Predictor::with_weights(gpu, &net, wgrad::nn::Loss::MeanSquaredError, &[]));
    is_send(predictor.predict_probabilities(&[]));
    is_send(predictor.predict_classes(&[]));
    is_send(predictor.record(encoder, buffer, buffer, 1));
    #[cfg(feature = "files")]
    {
        is_send(model.file());
        is_send(model.to_bytes());
        is_send(model.save("model"));
        is_send(Model::from_bytes(gpu, &[]));
        is_send(Model::load(gpu, "model"));
        is_send(Predictor::load(gpu, "model"));
        is_send(file.predictor(gpu));
        is_send(file.clone().model(gpu));
    }
    is_send(trainer.submit(0..1, |_| Step::forward(0)));
    is_send(trainer.results());
    is_send(trainer.results_ready());
    is_send(Parallel::new(
        net,
        compile,
        data.clone(),
        ParallelOptions::new(1, 1, Schedule::Serial),
        &[],
    ));
    is_send(parallel.fit(FitOptions::new(1)));
    is_send(parallel.fit(FitOptions::new(1).callback(&mut stopping)));
    is_send(parallel.relay(Schedule::Serial, &[]));
    is_send(parallel.set_state(state));
    is_send(parallel.model(gpu));
}

/// Nor is this.
#[allow(dead_code)]
fn a_callback(callback: &mut dyn Callback) {
    is_send(callback);
}

/// The names of the functions that match `begin` in the text of a file.
fn count(text: &str, begin: &str) -> usize {
    text.lines().filter(|line| line.trim_start().starts_with(begin)).count()
}

fn files(folder: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, into),
            false => into.push(std::fs::read_to_string(path).unwrap()),
        }
    }
}

/// Whoever adds a function adds its line.
#[test]
fn none_is_left_out() {
    let mut sources = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    let functions: usize = sources.iter().map(|text| count(text, "pub async fn ")).sum();
    // Those with a callback are besides, and the callback; and those that take a source too.
    assert_eq!(count(include_str!("send.rs"), "is_send("), functions + 5);
}

/// A whole training on another thread, as an executor would run it.
#[test]
fn a_training_is_spawned() {
    let task = async {
        let gpu = Gpu::new().await?;
        let data = Dataset::regression(vec![0.5; 64], 2, vec![1.0; 32], 1)?;
        let compile =
            TrainingConfig::new(wgrad::nn::Loss::MeanSquaredError, wgrad::nn::Optimizer::sgd(0.1));
        let mut model = Sequential::new(2).dense(4).relu().dense(1).compile(&gpu, compile).await?;
        let mut stopping = EarlyStopping::new("loss", 2);
        model.fit(&data, FitOptions::new(3).callback(&mut stopping)).await
    };
    let spawned = std::thread::spawn(move || pollster::block_on(task));
    assert_eq!(spawned.join().unwrap().unwrap().epochs.len(), 3);
}

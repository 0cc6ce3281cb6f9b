//! Layers that are frozen, and parameters without a gradient: they stay, bit for bit, and cost nothing.

use std::sync::Arc;

use crate::common::training::{article_data, weight_bits, weights};
use crate::common::{gpu, lanes};
use crate::support::net::Net;
use crate::support::parallel::{start, state_bits};
use crate::support::{bits, close};
use wgrad::data::Dataset;
use wgrad::exec::{Executor, ExecutorOptions, Parameters, Step};
use wgrad::graph::{Graph, Loss, Reduction, UpdateRule};
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{Optimizer, Sequential};
use wgrad::plan::{ArenaLayout, Plan, PlanOptions};
use wgrad::train::{FitOptions, Kernels, Model, Residency, TrainingConfig};

/// 10-5-4-1; parameters 0..55, 55..79 and 79..84.
fn net() -> Sequential {
    Sequential::new(10).dense(5).tanh().dense(4).tanh().dense(1).seed(3)
}

const LAYERS: [(&str, std::ops::Range<usize>); 3] =
    [("dense_0", 0..55), ("dense_2", 55..79), ("dense_4", 79..84)];

/// With what moves parameters that have no gradient, too, if they are not left out.
fn optimizer() -> Optimizer {
    Optimizer::adam(0.02).weight_decay(0.05).clip_norm(0.5)
}

fn config() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, optimizer())
}

fn compiled(net: Sequential) -> Model {
    net.compile_blocking(&gpu(), config()).unwrap()
}

fn data() -> Dataset {
    article_data(20)
}

fn fit() -> FitOptions<'static> {
    FitOptions::new(3).batch_size(8).in_order()
}

#[test]
fn the_others_train_as_in_the_reference() {
    for (name, range) in LAYERS {
        let mut model = compiled(net().freeze(name).unwrap());
        let before = weight_bits(&model);
        let history = model.fit_blocking(&data(), fit()).unwrap();
        let mut reference =
            Net::new(&net(), Loss::MeanSquaredError, &optimizer()).freeze(range.clone());
        let expected = reference.train(&data(), 3, 8);
        close(name, &history.batch_losses, &expected, 2e-5, 1e-7);
        close(name, &weights(&model), reference.parameters(), 2e-5, 2e-5);
        let after = weight_bits(&model);
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            assert_eq!(before == after, range.contains(&number), "{name}, parameter {number}");
        }
    }
}

/// Adam's corrections of a parameter go by the steps in which it was trained, as PyTorch has it. By those of the model
/// the first steps of a layer that was frozen from the start would be up to six times as long.
#[test]
fn corrections_go_by_the_steps_of_each_layer() {
    for (name, range) in LAYERS {
        let mut model = compiled(net().freeze(name).unwrap());
        let mut reference = Net::new(&net(), Loss::MeanSquaredError, &optimizer());
        for frozen in [true, false, true, false] {
            match frozen {
                true => model.freeze(name).unwrap(),
                false => model.unfreeze(name).unwrap(),
            }
            reference = reference.freeze(if frozen { range.clone() } else { 0..0 });
            let history = model.fit_blocking(&data(), fit()).unwrap();
            let expected = reference.train(&data(), 3, 8);
            close(name, &history.batch_losses, &expected, 1e-4, 1e-6);
            close(name, &weights(&model), reference.parameters(), 1e-4, 1e-4);
        }
        assert!(model.kernels(8).unwrap().contains("frozen for a while"));
        model.reset(3).unwrap();
        assert!(!model.kernels(8).unwrap().contains("frozen for a while"));
    }
}

/// A model that has trained, and of which a layer was not from the start.
#[cfg(feature = "files")]
fn unfrozen() -> Model {
    let mut model = compiled(net().freeze("dense_2").unwrap());
    model.fit_blocking(&data(), fit()).unwrap();
    model.unfreeze("dense_2").unwrap();
    model.fit_blocking(&data(), FitOptions::new(1).batch_size(8).in_order()).unwrap();
    model
}

#[cfg(feature = "files")]
#[test]
fn missed_steps_are_saved_and_resumed() {
    use wgrad::train::{Checkpoint, Every, ModelFile};

    let mut model = unfrozen();
    let bytes = model.to_bytes_blocking().unwrap();
    let of = |bytes: &[u8]| ModelFile::from_bytes(bytes).unwrap();
    assert_eq!(of(&bytes).state().missed, [0, 0, 9, 9, 0, 0]);
    let fit = |epochs| FitOptions::new(epochs).batch_size(8);
    model.fit_blocking(&data(), fit(4)).unwrap();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("missed");
    let _ = std::fs::remove_dir_all(&folder);
    let checkpoint = Checkpoint::every(Every::Epochs(1)).in_folder(&folder);
    let mut other = of(&bytes).model_blocking(&gpu()).unwrap();
    other.fit_blocking(&data(), fit(2).checkpoint(checkpoint)).unwrap();
    let mut resumed = of(&bytes).model_blocking(&gpu()).unwrap();
    resumed.fit_blocking(&data(), fit(4).resume(&folder)).unwrap();
    assert_eq!(weight_bits(&resumed), weight_bits(&model));
    assert_eq!(resumed.steps(), model.steps());
    assert_eq!(resumed.to_bytes_blocking().unwrap(), model.to_bytes_blocking().unwrap());
    // And by a model that knows nothing of it before.
    let mut fresh = compiled(net());
    fresh.fit_blocking(&data(), fit(4).resume(&folder)).unwrap();
    assert_eq!(fresh.to_bytes_blocking().unwrap(), model.to_bytes_blocking().unwrap());
    // Of a model that was never frozen the file says nothing of it.
    let never = String::from_utf8_lossy(&compiled(net()).to_bytes_blocking().unwrap()).into_owned();
    assert!(String::from_utf8_lossy(&bytes).contains("missed") && !never.contains("missed"));
}

#[cfg(feature = "files")]
#[test]
fn missed_steps_go_over_lanes() {
    let data = Arc::new(data());
    let mut model = unfrozen();
    let (state, _) = model.state_blocking().unwrap();
    let mut of_four = None;
    for (micro_batches, schedule, count) in
        [(1, Schedule::Serial, 1), (4, Schedule::Overlapped, 1), (4, Schedule::data_parallel(), 3)]
    {
        let options = ParallelOptions::new(8, micro_batches, schedule.clone());
        let mut parallel = start((net(), config(), &data), options, &lanes(count)).unwrap();
        pollster::block_on(parallel.set_state(state.clone())).unwrap();
        parallel.run(0..3).unwrap();
        assert_eq!(parallel.state().missed, [0, 0, 9, 9, 0, 0]);
        let found = state_bits(parallel.state());
        if micro_batches == 1 {
            model.fit_blocking(&data, FitOptions::new(1).batch_size(8).in_order()).unwrap();
            assert_eq!(found, state_bits(&model.state_blocking().unwrap().0));
        } else {
            assert_eq!(&found, of_four.get_or_insert_with(|| found.clone()), "{schedule:?}");
        }
        // Another state, another plan of the update.
        let never = wgrad::train::TrainingState { missed: Vec::new(), ..state.clone() };
        pollster::block_on(parallel.set_state(never)).unwrap();
        parallel.run(0..3).unwrap();
        assert_ne!(found, state_bits(parallel.state()), "{schedule:?}");
    }
    // Frozen on lanes, too.
    let options = ParallelOptions::new(8, 1, Schedule::Serial);
    let frozen = net().freeze("dense_0").unwrap();
    let mut parallel = start((frozen, config(), &data), options, &lanes(1)).unwrap();
    parallel.run(0..2).unwrap();
    assert_eq!(parallel.state().missed, [2, 2, 0, 0, 0, 0]);
}

/// Plans do not go by how late a step is: a training that is resumed is planned as one that began before. After very
/// many steps corrections are 1, and what was missed makes no difference but in rounding.
#[cfg(feature = "files")]
#[test]
fn what_was_missed_is_planned_for_at_every_step() {
    use wgrad::train::ModelFile;

    let state = unfrozen().state_blocking().unwrap().0;
    let model = |step, missed: &[u64]| {
        let state = wgrad::train::TrainingState { step, missed: missed.to_vec(), ..state.clone() };
        let file = ModelFile::new(net(), config()).unwrap().with_state(state).unwrap();
        let mut model = file.model_blocking(&gpu()).unwrap();
        let kernels = model.kernels(8).unwrap();
        model.fit_blocking(&data(), fit()).unwrap();
        (kernels, weights(&model))
    };
    let missed = [0, 0, 9, 9, 0, 0];
    let ([early, late], [early_never, late_never]) = (
        [500, 50_000].map(|step| model(step, &missed)),
        [500, 50_000].map(|step| model(step, &[])),
    );
    assert_eq!(early.0, late.0);
    assert_eq!(early_never.0, late_never.0);
    assert_ne!(early.0, early_never.0);
    let apart =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart(&late.1, &late_never.1) < 1e-6, "{}", apart(&late.1, &late_never.1));
    assert!(apart(&early.1, &early_never.1) > 1e-5, "{}", apart(&early.1, &early_never.1));
}

/// No gradient is computed of what is frozen, nor of what only leads to it.
#[test]
fn frozen_layers_cost_nothing() {
    let dispatches = |net: Sequential| {
        let mut model = net.compile_blocking(&gpu(), config().kernels(Kernels::General)).unwrap();
        let data = data();
        let mut trainer = model.trainer_blocking(&data, 8, Residency::Auto).unwrap();
        let before = gpu().counters().dispatches;
        pollster::block_on(trainer.submit(0..1, |_| model.next_step(0))).unwrap();
        let ran = gpu().counters().dispatches - before;
        assert_eq!(ran as usize, trainer.plan().dispatches().len());
        ran
    };
    let all = dispatches(net());
    let frozen = |names: &[&str]| names.iter().fold(net(), |net, name| net.freeze(name).unwrap());
    // Its weight's gradient, with the bias's beside it, is a product.
    assert!(dispatches(frozen(&["dense_0"])) < all);
    // And here the error of the layer above is another.
    let two = dispatches(frozen(&["dense_0", "dense_2"]));
    assert!(two + 4 <= all, "{two} of {all}");
}

#[cfg(feature = "files")]
#[test]
fn what_the_optimizer_keeps_stays_too() {
    let mut model = compiled(net());
    model.fit_blocking(&data(), fit()).unwrap();
    let before = (weight_bits(&model), states(&model));
    model.freeze("dense_2").unwrap();
    model.fit_blocking(&data(), fit()).unwrap();
    let after = (weight_bits(&model), states(&model));
    for (number, (before, after)) in before.1.iter().zip(&after.1).enumerate() {
        // Parameters 2 and 3 are the layer's weight and bias.
        assert_eq!(before == after, [2, 3].contains(&number), "states of parameter {number}");
    }
    assert_eq!(before.0[55..79], after.0[55..79]);
    // From here it trains on.
    model.unfreeze("dense_2").unwrap();
    model.fit_blocking(&data(), fit()).unwrap();
    assert_ne!(weight_bits(&model)[55..79], after.0[55..79]);
}

/// Bits of the optimizer's states, by parameter.
#[cfg(feature = "files")]
fn states(model: &Model) -> Vec<Vec<u32>> {
    let file = model.file_blocking().unwrap();
    file.state().states.iter().map(|states| bits(&states.concat())).collect()
}

#[test]
fn the_same_bits_over_lanes() {
    let net = || net().freeze("dense_2").unwrap();
    let data = Arc::new(data());
    let mut model = compiled(net());
    model.fit_blocking(&data, fit()).unwrap();
    let mut of_four = None;
    for (micro_batches, schedule, count) in
        [(1, Schedule::Serial, 1), (4, Schedule::Overlapped, 1), (4, Schedule::data_parallel(), 3)]
    {
        let options = ParallelOptions::new(8, micro_batches, schedule.clone());
        let mut parallel = start((net(), config(), &data), options, &lanes(count)).unwrap();
        parallel.fit_blocking(FitOptions::new(3).in_order()).unwrap();
        let values: Vec<u32> = parallel.state().values.iter().flat_map(|v| bits(v)).collect();
        if micro_batches == 1 {
            assert_eq!(values, weight_bits(&model));
        } else {
            let found = state_bits(parallel.state());
            let expected = of_four.get_or_insert_with(|| found.clone());
            assert_eq!(&found, expected, "{schedule:?}");
        }
    }
    // Stages train something each. They do not clip.
    let config = || TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.02));
    let of = |schedule: Schedule, count| {
        let options = ParallelOptions::new(8, 2, schedule);
        start((net(), config(), &data), options, &lanes(count)).map(|mut parallel| {
            parallel.fit_blocking(FitOptions::new(2).in_order()).unwrap();
            state_bits(parallel.state())
        })
    };
    let stages = of(Schedule::Pipeline { stages: vec![2, 1] }, 2).unwrap();
    assert_eq!(stages, of(Schedule::Serial, 1).unwrap());
    let error = of(Schedule::Pipeline { stages: vec![1, 1, 1] }, 3).unwrap_err().to_string();
    assert!(error.contains("all layers of stage 1 are frozen"), "{error}");
}

#[test]
fn what_cannot_be_is_said() {
    let error = net().freeze("dense_1").unwrap_err().to_string();
    assert!(error.contains("'dense_1'") && error.contains("dense_0, dense_2, dense_4"), "{error}");
    assert!(net().freeze("tanh_1").is_err());
    let all = || LAYERS.iter().fold(net(), |net, (name, _)| net.freeze(name).unwrap());
    let mut model = compiled(all());
    assert!(model.evaluate_blocking(&data()).is_ok());
    let error = model.fit_blocking(&data(), fit()).unwrap_err().to_string();
    assert!(error.contains("not frozen") && error.contains("unfreeze"), "{error}");
    let options = ParallelOptions::new(8, 1, Schedule::Serial);
    let task = (all(), config(), &Arc::new(data()));
    assert!(start(task, options, &lanes(1)).unwrap_err().to_string().contains("not frozen"));

    let frozen = || net().freeze("dense_0").unwrap();
    let asked = config().kernels(Kernels::WholeStep);
    let error = frozen().compile_blocking(&gpu(), asked).unwrap_err().to_string();
    assert!(error.contains("auto or general here: layer 0 is frozen"), "{error}");
    let said = compiled(frozen()).kernels(8).unwrap();
    assert!(said.starts_with("general: "), "{said}");

    let mut graph = Graph::new();
    let w = graph.parameter("w", [3]).unwrap();
    assert!(graph.missed_steps(&[1]).unwrap_err().to_string().contains("no update pass"));
    let loss = graph.sum(w, 0).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    graph.update(optimizer().rule(), None, loss, &[(w, gradients[0])]).unwrap();
    let error = graph.missed_steps(&[1, 2]).unwrap_err().to_string();
    assert!(error.contains("number of missed steps is 2") && error.contains('1'), "{error}");
    let (mut state, progress) = compiled(net()).state_blocking().unwrap();
    for (step, missed, part) in [(5, vec![1], "missed steps"), (5, vec![6; 6], "at most 5")] {
        (state.step, state.missed) = (step, missed);
        let error = compiled(net()).set_state(&state, progress).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// A block is frozen with all that is in it, or a part of it by itself.
#[test]
fn blocks_are_frozen_whole_or_in_part() {
    let block = |layers: Sequential| layers.dense(3).tanh().dense(10).freeze("dense_2").unwrap();
    let part = Sequential::new(10).residual(block).dense(1);
    assert_eq!(part.trained().collect::<Vec<_>>(), [true, true, false, false, true, true]);
    let whole = part.clone().freeze("residual_0").unwrap();
    assert_eq!(whole.trained().collect::<Vec<_>>(), [false, false, false, false, true, true]);
    let again = whole.clone().unfreeze("residual_0").unwrap();
    assert!(again == part && whole != part);
    let mut model = compiled(part);
    let before = weight_bits(&model);
    model.fit_blocking(&data(), fit()).unwrap();
    let after = weight_bits(&model);
    // 33 numbers, then 40.
    assert_eq!(before[33..73], after[33..73]);
    assert!(before[..33] != after[..33] && before[73..] != after[73..]);
}

#[cfg(feature = "files")]
#[test]
fn files_say_what_is_frozen() {
    use wgrad::train::ModelFile;

    let block = |layers: Sequential| layers.dense(10).freeze("dense_0").unwrap();
    let net = Sequential::new(10).dense(10).residual(block).dense(1).freeze("dense_0").unwrap();
    let mut model = compiled(net.clone());
    model.fit_blocking(&data(), fit()).unwrap();
    let file = ModelFile::from_bytes(&model.to_bytes_blocking().unwrap()).unwrap();
    assert_eq!(file.architecture(), &net);
    let mut loaded = file.model_blocking(&gpu()).unwrap();
    for model in [&mut model, &mut loaded] {
        model.fit_blocking(&data(), fit()).unwrap();
    }
    assert_eq!(weight_bits(&model), weight_bits(&loaded));
}

/// In a graph: a parameter that the update does not list stays, whatever its neighbours do, and also if another
/// plan left a gradient of it in the arena.
#[test]
fn a_parameter_without_a_gradient_stays() {
    let rule = UpdateRule::Momentum { momentum: 0.9, nesterov: false, weight_decay: 0.5 };
    // `which` of the three parameters are trained towards 0.
    let graph = |which: &[usize], clip: Option<f32>| {
        let mut graph = Graph::new();
        let sizes = [3, 70, 5];
        let all = sizes.map(|n| graph.parameter("w", [n]).unwrap());
        let mut loss = graph.constant(0.0, []).unwrap();
        for w in all {
            let squares = graph.mul(w, w).unwrap();
            let sum = graph.reduce(Reduction::Sum, squares, 0, 1).unwrap();
            loss = graph.add(sum, loss).unwrap();
        }
        let trained: Vec<_> = which.iter().map(|&number| all[number]).collect();
        let gradients = graph.gradients(loss, &trained).unwrap();
        let pairs: Vec<_> = trained.into_iter().zip(gradients).collect();
        graph.update(rule, clip, loss, &pairs).unwrap();
        (graph, loss)
    };
    let gpu = gpu();
    let (whole, _) = graph(&[0, 1, 2], None);
    let layout = ArenaLayout::new(&whole, &gpu.target()).unwrap();
    let parameters = pollster::block_on(Parameters::new(&gpu, &layout, Some(1))).unwrap();
    let values: [Vec<f32>; 3] = [vec![1.0; 3], vec![-2.0; 70], vec![0.5; 5]];
    let run = |which: &[usize], clip: Option<f32>| {
        let (graph, loss) = graph(which, clip);
        let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
        let plan = Plan::with_options(&graph, &options, &gpu.target()).unwrap();
        let updates = plan.dispatches().iter().filter(|d| d.launch.name.starts_with("update"));
        let updates = updates.count();
        let options =
            ExecutorOptions { parameters: Some(parameters.clone()), ..ExecutorOptions::default() };
        let mut executor = Executor::with_options_blocking(&gpu, plan, options).unwrap();
        executor.run_blocking(&[Step::training(rule, 0, 0, 0.125)]).unwrap();
        let read = |number: usize| pollster::block_on(parameters.read(number)).unwrap();
        (updates, [0, 1, 2].map(read))
    };
    for (number, values) in values.iter().enumerate() {
        parameters.write(number, values).unwrap();
    }
    // w - η·(2·w + λ·w), in numbers that f32 has.
    let moved = |x: f32| x - 0.125 * 2.5 * x;
    let (updates, [first, second, third]) = run(&[0, 2], None);
    assert_eq!(updates, 2);
    assert_eq!((first, second, third), (vec![moved(1.0); 3], vec![-2.0; 70], vec![moved(0.5); 5]));
    let (updates, after) = run(&[1], None);
    assert_eq!(updates, 1);
    assert_eq!(after[1], vec![moved(-2.0); 70]);
    assert_eq!((after[0][0], after[2][0]), (moved(1.0), moved(0.5)));

    // The norm is that of the gradients that are computed: those of the second, which another plan left, are large.
    pollster::block_on(async { parameters.reset() }).unwrap();
    for (number, values) in values.iter().enumerate() {
        parameters.write(number, values).unwrap();
    }
    run(&[1], None);
    let (_, after) = run(&[0, 2], Some(20.0));
    assert_eq!((after[0][0], after[2][0]), (moved(1.0), moved(0.5)));
    let (_, clipped) = run(&[2], Some(1e-3));
    assert_eq!((&clipped[0], &clipped[1]), (&after[0], &after[1]));
    assert_ne!(clipped[2], after[2]);
}

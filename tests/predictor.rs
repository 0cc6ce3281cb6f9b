//! Predictors: from many threads, into an app's encoder, and of a file.

use crate::common::{fresh, gpu};
use crate::support::bits;
use wgrad::data::Dataset;
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::{FitOptions, Model, Predictor, TrainingConfig};
use wgrad::{Error, Gpu};

fn model(gpu: &Gpu) -> Model {
    let net = Sequential::new(5).dense(7).tanh().dropout(0.5).dense(3).seed(4);
    let config = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::adam(0.01));
    net.compile_blocking(gpu, config).unwrap()
}

fn rows(count: usize) -> Vec<f32> {
    (0..5 * count).map(|i| ((i * 29) % 83) as f32 / 41.0 - 1.0).collect()
}

fn app_buffer(gpu: &Gpu, numbers: usize, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("the app's"),
        size: 4 * numbers as u64,
        usage,
        mapped_at_creation: false,
    })
}

/// The first numbers of a buffer of the app.
fn numbers(gpu: &Gpu, buffer: &wgpu::Buffer, count: usize) -> Vec<f32> {
    use wgpu::BufferUsages as Usage;
    let staging = app_buffer(gpu, count, Usage::MAP_READ | Usage::COPY_DST);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, 4 * count as u64);
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., Result::unwrap);
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let view = staging.get_mapped_range(..).unwrap();
    bytemuck::pod_collect_to_vec(&view)
}

#[test]
fn a_predictor_follows_the_training_of_its_model() {
    let mut model = model(&gpu());
    let predictor = model.predictor();
    let before = predictor.predict_blocking(&rows(9)).unwrap();
    let data = Dataset::classification(rows(30), 5, (0..30).map(|i| i % 3).collect(), 3).unwrap();
    model.fit_blocking(&data, FitOptions::new(2)).unwrap();
    let after = predictor.predict_blocking(&rows(9)).unwrap();
    assert_ne!(bits(&before), bits(&after));
    assert_eq!(bits(&after), bits(&model.predict_blocking(&rows(9)).unwrap()));
    let classes = predictor.predict_classes_blocking(&rows(9)).unwrap();
    assert_eq!(classes, model.predict_classes_blocking(&rows(9)).unwrap());
    let probabilities = predictor.predict_probabilities_blocking(&rows(9)).unwrap();
    assert_eq!(
        bits(&probabilities),
        bits(&model.predict_probabilities_blocking(&rows(9)).unwrap())
    );
}

/// Each thread gets the answers to its own rows, whatever the others ask.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn threads_share_a_predictor() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let predictor = model(&gpu()).predictor();
    shared(&predictor);
    let all = rows(60);
    let expected = predictor.predict_blocking(&all).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (predictor, all, expected) = (&predictor, &all, &expected);
            scope.spawn(move || {
                for turn in 0..8 {
                    let (first, count) = ((thread * 7 + turn) % 40, 1 + (thread + turn) % 17);
                    let found =
                        predictor.predict_blocking(&all[5 * first..5 * (first + count)]).unwrap();
                    assert_eq!(bits(&found), bits(&expected[3 * first..3 * (first + count)]));
                }
            });
        }
    });
    // Once there are plans, nothing is made any more.
    let gpu = predictor.gpu();
    let before = gpu.counters();
    for count in [1, 2, 3, 9] {
        predictor.predict_blocking(&all[..5 * count]).unwrap();
    }
    let made = gpu.counters() - before;
    assert_eq!((made.pipelines, made.bind_groups, made.buffers), (0, 0, 0), "{made:?}");
}

/// Several predictions in one encoder, the later ones of what the earlier ones gave the app.
#[test]
fn predictions_are_recorded_into_an_apps_encoder() {
    use wgpu::BufferUsages as Usage;
    let gpu = gpu();
    let predictor = model(&gpu).predictor();
    let (first, second) = (rows(6), rows(16)[15..].to_vec());
    let usage = Usage::COPY_SRC | Usage::COPY_DST;
    let (input, output) = (app_buffer(&gpu, 70, usage), app_buffer(&gpu, 45, usage));
    let (input_2, output_2) = (app_buffer(&gpu, 70, usage), app_buffer(&gpu, 45, usage));
    gpu.queue().write_buffer(&input, 0, bytemuck::cast_slice(&first));
    gpu.queue().write_buffer(&input_2, 0, bytemuck::cast_slice(&second));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    predictor.record_blocking(&mut encoder, &input, &output, 6).unwrap();
    predictor.record_blocking(&mut encoder, &input_2, &output_2, 5).unwrap();
    // Another prediction comes between recording and submitting, of a plan of the same size.
    let expected = predictor.predict_blocking(&second).unwrap();
    gpu.queue().submit([encoder.finish()]);
    let found = numbers(&gpu, &output, 18);
    assert_eq!(bits(&found), bits(&predictor.predict_blocking(&first).unwrap()));
    assert_eq!(bits(&numbers(&gpu, &output_2, 15)), bits(&expected[..15]));
    // Recorded again and again, without an end and in any order of submission.
    let mut recorded = Vec::new();
    for _ in 0..9 {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        predictor.record_blocking(&mut encoder, &input, &output, 6).unwrap();
        recorded.push(encoder.finish());
    }
    gpu.queue().write_buffer(&input, 0, bytemuck::cast_slice(&second[..30]));
    recorded.reverse();
    gpu.queue().submit(recorded);
    assert_eq!(
        bits(&numbers(&gpu, &output, 18)),
        bits(&predictor.predict_blocking(&second[..30]).unwrap())
    );
}

#[test]
fn buffers_that_do_not_fit_are_errors() {
    use wgpu::BufferUsages as Usage;
    let gpu = gpu();
    let predictor = model(&gpu).predictor();
    let of = |numbers, usage| app_buffer(&gpu, numbers, usage);
    let (input, output) = (of(20, Usage::COPY_SRC), of(12, Usage::COPY_DST));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut fails = |input: &wgpu::Buffer, output: &wgpu::Buffer, rows, said: &str| {
        let result = predictor.record_blocking(&mut encoder, input, output, rows);
        let error = result.unwrap_err().to_string();
        assert!(error.contains(said), "{error}\n{said}");
    };
    fails(&input, &output, 0, "number of rows is 0");
    fails(&input, &output, 5, "bytes of the input is 80; it must be at least 100");
    fails(&input, &of(11, Usage::COPY_DST), 4, "bytes of the output is 44; it must be at least 48");
    fails(&output, &output, 1, "usages of the input");
    fails(&input, &input, 1, "usages of the output");
    predictor.record_blocking(&mut encoder, &input, &output, 4).unwrap();
    for (features, said) in [
        (vec![], "number of features"),
        (vec![1.0; 6], "multiple of the 5"),
        (vec![f32::NAN; 5], "feature 0 of row 0"),
    ] {
        let error = predictor.predict_blocking(&features).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// From a file, without room for training.
#[cfg(feature = "files")]
#[test]
fn a_file_predicts_without_training() {
    let gpu = fresh();
    let mut model = model(&gpu);
    let data = Dataset::classification(rows(30), 5, (0..30).map(|i| i % 3).collect(), 3).unwrap();
    model.fit_blocking(&data, FitOptions::new(1)).unwrap();
    let path = std::env::temp_dir().join(format!("wgrad-predictor-{}.wgrad", std::process::id()));
    model.save_blocking(&path).unwrap();
    let before = gpu.counters();
    let predictor = Predictor::load_blocking(&gpu, &path).unwrap();
    let made = gpu.counters() - before;
    // Values and status: no gradients, no moments.
    assert_eq!(made.buffers, 2, "{made:?}");
    assert_eq!(predictor.loss(), Loss::SoftmaxCrossEntropy);
    let expected = bits(&model.predict_blocking(&rows(40)).unwrap());
    assert_eq!(bits(&predictor.predict_blocking(&rows(40)).unwrap()), expected);
    std::fs::remove_file(&path).unwrap();
    let error = Predictor::load_blocking(&gpu, &path).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
}

/// Weights alone make a predictor; what does not fit is refused.
#[test]
fn weights_make_a_predictor() {
    let (gpu, x) = (gpu(), rows(9));
    let model = model(&gpu);
    let weights: Vec<Vec<f32>> =
        model.weights_blocking().unwrap().into_iter().map(|(_, values)| values).collect();
    let (net, loss) = (model.architecture(), model.loss());
    let of = |weights: &[Vec<f32>]| Predictor::with_weights_blocking(&gpu, net, loss, weights);
    let alone = of(&weights).unwrap();
    assert_eq!(
        bits(&alone.predict_blocking(&x).unwrap()),
        bits(&model.predict_blocking(&x).unwrap())
    );
    assert_eq!(alone.rows(&x).unwrap(), 9);
    assert!(alone.rows(&x[1..]).is_err() && alone.rows(&[]).is_err());
    let few = of(&weights[1..]).unwrap_err();
    assert!(
        matches!(&few, Error::Argument { name, .. } if name == "number of parameters"),
        "{few}"
    );
    let mut other = weights.clone();
    other[0][1] = f32::NAN;
    assert!(matches!(of(&other).unwrap_err(), Error::Argument { .. }));
}

/// The state of a model is all that another needs to train on to the same bits; what is not of it is refused.
#[test]
fn a_state_goes_from_model_to_model() {
    let gpu = gpu();
    let data = Dataset::classification(rows(20), 5, (0..20).map(|i| i % 3).collect(), 3).unwrap();
    let fit = || FitOptions::new(2).batch_size(8).shuffle(1);
    let mut first = model(&gpu);
    first.fit_blocking(&data, fit()).unwrap();
    let (state, progress) = first.state_blocking().unwrap();
    assert_eq!((state.step, progress.epochs, progress.batches), (6, 2, 0));
    let mut second = model(&gpu);
    second.set_state(&state, progress).unwrap();
    for model in [&mut first, &mut second] {
        model.fit_blocking(&data, fit()).unwrap();
    }
    let values = |model: &Model| -> Vec<u32> {
        model.weights_blocking().unwrap().iter().flat_map(|(_, values)| bits(values)).collect()
    };
    assert_eq!((values(&second), second.steps()), (values(&first), first.steps()));
    let mut wrong = state.clone();
    wrong.states[0][1][0] = -1.0;
    assert!(matches!(second.set_state(&wrong, progress).unwrap_err(), Error::Argument { .. }));
    assert_eq!(values(&second), values(&first), "what was refused changed nothing");
}

/// Bytes in use grow with a model, and are given back with it.
#[test]
fn a_model_gives_its_bytes_back() {
    let gpu = fresh();
    assert_eq!(gpu.bytes_in_use(), 0);
    let model = model(&gpu);
    let own = gpu.bytes_in_use();
    assert!(own >= 4 * (5 * 7 + 7 + 7 * 3 + 3) * 3, "values and two states: {own}");
    model.predict_blocking(&rows(2)).unwrap();
    assert!(gpu.bytes_in_use() > own);
    drop(model);
    assert_eq!(gpu.bytes_in_use(), 0);
}

/// Prints what one row takes of a predictor that was loaded and of a model, in turn: the median of calls that are warm.
#[test]
#[ignore = "takes time; with --nocapture, on a quiet machine"]
fn one_row_beside_a_model() {
    for (inputs, hidden, outputs) in [(10, vec![64], 1), (784, vec![512, 512], 10)] {
        let net =
            hidden.iter().fold(Sequential::new(inputs), |net, &units| net.dense(units).relu());
        let config = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
        let model = net.dense(outputs).compile_blocking(&gpu(), config).unwrap();
        let loaded = fresh();
        let weights = model.weights_blocking().unwrap();
        let weights: Vec<Vec<f32>> = weights.into_iter().map(|(_, values)| values).collect();
        let predictor =
            Predictor::with_weights(&loaded, model.architecture(), model.loss(), &weights);
        let predictor = pollster::block_on(predictor).unwrap();
        let row: Vec<f32> = rows(inputs)[..inputs].to_vec();
        let mut times = [Vec::new(), Vec::new()];
        for call in 0..1000 {
            for (which, times) in times.iter_mut().enumerate() {
                let begun = std::time::Instant::now();
                let found = match which {
                    0 => model.predict_blocking(&row).unwrap(),
                    _ => predictor.predict_blocking(&row).unwrap(),
                };
                assert_eq!(found.len(), outputs);
                if call >= 100 {
                    times.push(begun.elapsed().as_secs_f64());
                }
            }
        }
        let [model, predictor] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2] * 1e3
        });
        println!(
            "{inputs} inputs: a model {model:.3} ms, a predictor {predictor:.3} ms, ratio {:.2}",
            predictor / model
        );
    }
}

//! What no data set holds, since it is checked: labels past the last class, in the kernels that train.

use super::Trainer;
use crate::data::Dataset;
use crate::exec::Step;
use crate::nn::{Loss, Metric, Optimizer, Sequential};
use crate::train::{Kernels, Model, Residency, TrainingConfig};
use crate::{Error, Gpu};

const CLASSES: usize = 3;
const BATCH: usize = 70;
const ROWS: usize = 3 * BATCH;

fn data() -> Dataset {
    let features = (0..2 * ROWS).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let labels = (0..ROWS as u32).map(|row| row * 7 % CLASSES as u32).collect();
    Dataset::classification(features, 2, labels, CLASSES).unwrap()
}

fn weights(model: &Model) -> Vec<u32> {
    let weights = model.weights_blocking().unwrap();
    weights.into_iter().flat_map(|(_, values)| values).map(f32::to_bits).collect()
}

fn submit(trainer: &mut Trainer<&Dataset>, model: &Model, batch: usize) {
    let step = |_| -> Step { model.next_step(batch as u64) };
    trainer.submit_blocking(batch..batch + 1, step).unwrap();
}

/// The loss is NaN and no weight moves; where only accuracy is asked for, the row is wrong.
#[test]
fn a_label_past_the_last_class_halts_every_kernel() {
    let gpu = Gpu::new_blocking().unwrap();
    let data = data();
    for (kernels, busy) in [
        (Kernels::General, 1),
        (Kernels::WholeStep, 1),
        (Kernels::WholeStepInMemory, 1),
        (Kernels::WholeStepInMemory, 3),
    ] {
        for label in [CLASSES as u32, u32::MAX] {
            let compile = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::sgd(0.1));
            let compile = compile.metric(Metric::Accuracy).kernels(kernels);
            let net = Sequential::new(2).dense(9).tanh().dense(CLASSES);
            let mut model = net.compile_blocking(&gpu.clone().busy(busy), compile).unwrap();
            let mut trainer = model.trainer_blocking(&data, BATCH, Residency::Resident).unwrap();
            let targets = trainer.feed.buffers.targets.clone();
            gpu.write(&targets, 4 * (BATCH + 37) as u64, &label.to_le_bytes()).unwrap();
            submit(&mut trainer, &model, 0);
            trainer.results_blocking().unwrap();
            let good = weights(&model);
            let name = format!("{kernels:?}, {busy} workgroups, label {label}");
            submit(&mut trainer, &model, 1);
            submit(&mut trainer, &model, 2);
            let error = trainer.results_blocking().expect_err(&name);
            let Error::NotFinite { step: 1, loss: Some(loss), .. } = error else {
                panic!("{name}: {error:?}")
            };
            assert!(loss.is_nan(), "{name}: {loss}");
            assert_eq!(weights(&model), good, "{name}");
        }
    }
}

/// With logits that are right for every row but one, whose label there is not, one row is wrong.
#[test]
fn a_label_past_the_last_class_is_wrong_in_every_kernel() {
    let gpu = Gpu::new_blocking().unwrap();
    // The feature is +1 for the last class, -1 for the first.
    let labels: Vec<u32> = (0..BATCH as u32).map(|row| row % 2).collect();
    let features = labels.iter().map(|&label| 2.0 * label as f32 - 1.0).collect();
    let data = Dataset::classification(features, 1, labels, 2).unwrap();
    for (kernels, busy) in [
        (Kernels::General, 1),
        (Kernels::WholeStep, 1),
        (Kernels::WholeStepInMemory, 1),
        (Kernels::WholeStepInMemory, 3),
    ] {
        let compile = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::sgd(1e-3));
        let compile = compile.metric(Metric::Accuracy).kernels(kernels);
        let net = Sequential::new(1).dense(2);
        let mut model = net.compile_blocking(&gpu.clone().busy(busy), compile).unwrap();
        model.set_weights(&[vec![-5.0, 5.0], vec![0.0; 2]]).unwrap();
        let mut trainer = model.trainer_blocking(&data, BATCH, Residency::Resident).unwrap();
        let targets = trainer.feed.buffers.targets.clone();
        gpu.write(&targets, 4 * 41, &2_u32.to_le_bytes()).unwrap();
        submit(&mut trainer, &model, 0);
        // The halt hides the step's sums from the caller.
        let numbers = pollster::block_on(trainer.engine.results()).unwrap().numbers;
        assert!(numbers[0].is_nan(), "{kernels:?}, {busy}");
        assert_eq!(numbers[1], (BATCH - 1) as f32, "{kernels:?}, {busy}");
    }
}

//! What a step takes on an adapter that is there.

use std::time::Instant;

use wgrad::Gpu;
use wgrad::gpu::{AdapterChoice, adapters};
use wgrad::train::{Kernels, Residency};

use crate::workload::{USUAL, model_on};
use crate::{Outcome, words};

/// Steps in a clock, and how many clocks the median is of.
const STEPS: usize = 64;
const ROUNDS: usize = 9;

/// The adapter that is named, or else the machine's GPU, if it has one.
pub fn gpu(name: Option<&str>) -> Outcome<Option<Gpu>> {
    let choice = match name {
        Some(name) => AdapterChoice::named(name),
        None => {
            let best = pollster::block_on(adapters()).into_iter().next();
            match best.filter(|info| info.device_type != wgpu::DeviceType::Cpu) {
                Some(info) => AdapterChoice::named(info.name),
                None => return Ok(None),
            }
        }
    };
    pollster::block_on(Gpu::with_adapter(&choice)).map(Some).map_err(words)
}

/// Microseconds of a step of a net, from its submission to its loss on the host; `None` of anything else.
pub fn step(gpu: &Gpu, name: &str) -> Outcome<Option<f64>> {
    let long = USUAL.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    let fields: Vec<&str> = long.split(':').collect();
    let (kernels, [widths, batch, loss, rest @ ..]) = (match fields.as_slice() {
        ["net", fields @ ..] => (Kernels::General, fields),
        ["whole-step", fields @ ..] => (Kernels::WholeStep, fields),
        ["in-memory", fields @ ..] => (Kernels::WholeStepInMemory, fields),
        _ => return Ok(None),
    }) else {
        return Ok(None);
    };
    let (mut model, data, batch) = model_on(gpu, widths, batch, loss, rest, kernels)?;
    let trainer = model.trainer(data, batch, Residency::Resident);
    let mut trainer = pollster::block_on(trainer).map_err(words)?;
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        for _ in 0..STEPS {
            let submission = trainer.submit(0..1, |_| model.next_step(0));
            pollster::block_on(submission).map_err(words)?;
            model.completed(1);
        }
        while pollster::block_on(trainer.results()).map_err(words)?.is_some() {}
        // Kernels are compiled in the first.
        if round > 0 {
            times.push(1e6 * begun.elapsed().as_secs_f64() / STEPS as f64);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied())
}

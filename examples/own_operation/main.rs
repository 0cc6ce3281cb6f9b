//! An operation that wgrad lacks, the sine: its WGSL, the rule of its shapes and its gradient are in `wave.rs` and
//! `wave.wgsl`. Here a wave is fitted with it, after its gradient has been compared with finite differences.
//!
//! ```sh
//! cargo run --release --example own_operation
//! ```

#[path = "../common/mod.rs"]
mod common;
mod wave;

use std::process::ExitCode;

use clap::Parser;
use common::{Options, Outcome, Report};
use wave::Wave;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, UpdateRule};
use wgrad::plan::Plan;
use wgrad::prelude::*;

/// Fits a·sin(w·x + b) with an operation that is not wgrad's own
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

const ROWS: usize = 256;
const RULE: UpdateRule = UpdateRule::Momentum { momentum: 0.9, nesterov: false, weight_decay: 0.0 };

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("own_operation", &args.options);
    let gpu = args.options.gpu()?;

    // y = a·sin(w·x + b), whose mean squared error is to fall.
    let mut graph = Graph::new();
    let x = graph.input("x", [ROWS, 1])?;
    let target = graph.input("target", [ROWS, 1])?;
    let w = graph.parameter("w", [1, 1])?;
    let b = graph.parameter("b", [1])?;
    let a = graph.parameter("a", [1, 1])?;
    let product = graph.matmul(x, w)?;
    let angle = graph.bias_add(product, b)?;
    let sine = graph.operation(Wave::Sine, &[angle])?;
    let y = graph.matmul(sine, a)?;
    let loss = graph.loss(Loss::MeanSquaredError, y, target)?;
    let gradients = graph.gradients(loss, &[w, b, a])?;
    let pairs: Vec<_> = [w, b, a].into_iter().zip(gradients.clone()).collect();
    graph.update(RULE, None, loss, &pairs)?;

    let mut outputs = vec![loss];
    outputs.extend(&gradients);
    let plan = Plan::new(&graph, &outputs, &gpu.target())?;
    println!("{plan}\n");
    let mut executor = Executor::new_blocking(&gpu, plan)?;
    let xs: Vec<f32> = (0..ROWS).map(|row| row as f32 / ROWS as f32 * 4.0 - 2.0).collect();
    let targets: Vec<f32> = xs.iter().map(|x| 1.5 * (2.0 * x + 0.5).sin()).collect();
    executor.write(x, &xs)?;
    executor.write(target, &targets)?;

    // The loss falls along the gradient as finite differences have it.
    let start = [1.6_f32, 0.1, 1.0];
    let mut loss_at = |weights: [f32; 3]| -> Outcome<(f32, Vec<f32>)> {
        for (number, &value) in weights.iter().enumerate() {
            executor.parameters().write(number, &[value])?;
        }
        // A learning rate so small that it moves nothing.
        executor.run_blocking(&[Step::training(RULE, 0, 0, f32::MIN_POSITIVE)])?;
        let read = |tensor| executor.read_blocking(tensor);
        let gradients = gradients.iter().map(|&gradient| Ok(read(gradient)?[0]));
        Ok((read(loss)?[0], gradients.collect::<wgrad::Result<_>>()?))
    };
    let (_, found) = loss_at(start)?;
    for (number, name) in ["w", "b", "a"].into_iter().enumerate() {
        let mut moved = |by: f32| -> Outcome<f32> {
            let mut weights = start;
            weights[number] += by;
            Ok(loss_at(weights)?.0)
        };
        let difference = (moved(1e-2)? - moved(-1e-2)?) / 2e-2;
        println!("∂loss/∂{name}: {:.4}, by finite differences {difference:.4}", found[number]);
        report.set(&format!("gradient_{name}"), found[number]);
        report.set(&format!("difference_{name}"), difference);
        // Both are found in 24 bits, the difference from losses that are nearly equal.
        if (found[number] - difference).abs() > 1e-3 * (1.0 + difference.abs()) {
            return Err("the gradient is not that of finite differences".into());
        }
    }
    // The steps above left a velocity.
    executor.parameters().reset()?;
    for (number, &value) in start.iter().enumerate() {
        executor.parameters().write(number, &[value])?;
    }
    let steps: Vec<Step> = (0..200).map(|n| Step::training(RULE, n, 0, 0.02)).collect();
    executor.run_blocking(&steps)?;
    let fitted = executor.parameters().read_all_blocking()?.concat();
    println!("fitted: {:.3}·sin({:.3}·x + {:.3})", fitted[2], fitted[0], fitted[1]);
    report.set("fitted", fitted);
    report.counters(gpu.counters());
    report.write()
}

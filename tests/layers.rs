//! Layers of a program's own: in models, on one device, over lanes, and in stages.

use std::sync::Arc;

use crate::common::{gpu, lanes};
use crate::own_operations::wave::Wave;
use crate::support::bits;
use crate::support::parallel::{run_to, start, state_bits};
use wgrad::data::Dataset;
use wgrad::graph::{Graph, Shape, Tensor, Unary};
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::layers::Dense;
use wgrad::nn::{Builder, Init, InitialValues, Layer, Loss, Optimizer, Sequential};
use wgrad::train::{FitOptions, Kernels, Residency, TrainingConfig};
use wgrad::{Error, Result};

/// Each feature times a number that is trained.
#[derive(Debug)]
struct Scale;

impl Layer for Scale {
    fn name(&self) -> &str {
        "scale"
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
        let features = builder.shape(x)?.columns();
        let gain = builder.parameter("gain", features, InitialValues::Constant(1.5))?;
        builder.graph().mul(x, gain)
    }
}

/// `(x·W) ⊙ sin(dense(x))`: a product, a layer that it is made of, and an operation of the program's own.
#[derive(Debug)]
struct Gated {
    units: usize,
}

impl Layer for Gated {
    fn name(&self) -> &str {
        "gated"
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
        let inputs = builder.shape(x)?.columns();
        let drawn = |init| InitialValues::drawn(init, inputs, self.units);
        let shape = [inputs, self.units];
        let weight = builder.parameter("weight", shape, drawn(Init::GlorotUniform))?;
        let other = builder.parameter("other", shape, drawn(Init::GlorotUniform))?;
        let shift = InitialValues::given(vec![0.25; self.units]);
        let shift = builder.parameter("shift", self.units, shift)?;
        let dense = Dense { units: self.units, init: Init::GlorotUniform };
        let gate = builder.layer(0, &dense, x)?;
        let graph = builder.graph();
        let gate = graph.operation(Wave::Sine, &[gate])?;
        let (y, z) = (graph.matmul(x, weight)?, graph.matmul(x, other)?);
        let y = graph.add(y, z)?;
        let y = graph.bias_add(y, shift)?;
        graph.mul(y, gate)
    }
}

/// Rows of 6 features, and two numbers to learn of each.
fn data() -> Dataset {
    let features: Vec<f32> =
        (0..103 * 6).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features
        .chunks(6)
        .flat_map(|row| [row.iter().sum::<f32>().tanh(), row[0] * row[1] - row[2]])
        .collect();
    Dataset::regression(features, 6, targets, 2).unwrap()
}

fn net() -> Sequential {
    Sequential::new(6).layer(Scale).layer(Gated { units: 9 }).tanh().layer(Scale).dense(2).seed(3)
}

fn adam() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01))
}

#[test]
fn the_summary_has_them_like_others() {
    let expected = "\
layer                   output            parameters
input                   (?, 6)                     0
scale_0                 (?, 6)                     6
gated_1                 (?, 9)                   180
tanh_2                  (?, 9)                     0
scale_3                 (?, 9)                     9
dense_4                 (?, 2)                    20
parameters: 215 (0.8 KiB)";
    assert_eq!(net().summary().to_string(), expected);
    let specs = net().parameters().unwrap();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let of_gated = ["weight", "other", "shift", "dense_0.weight", "dense_0.bias"];
    let of_gated = of_gated.map(|name| format!("gated_1.{name}"));
    assert_eq!(names[0], "scale_0.gain");
    assert_eq!(names[1..6], of_gated);
    assert_eq!(names[6..], ["scale_3.gain", "dense_4.weight", "dense_4.bias"]);
    assert_eq!(specs[0].initial, [1.5; 6]);
    assert_eq!(specs[3].initial, [0.25; 9]);
    assert_eq!(net(), net());
    assert_ne!(net(), net().seed(4));
    assert_ne!(net(), net().layer(Scale));
}

/// Weights are those of the versions before: a layer's first ones are drawn from the model's seed and its
/// place. No two parameters have the same.
#[test]
fn seeds_of_layers_are_as_ever_and_all_differ() {
    let net = Sequential::new(5).dense(4).relu().dense_with(3, Init::HeNormal).seed(11);
    let specs = net.parameters().unwrap();
    let seed = |place: u64| 11_u64.wrapping_add((place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let of_zero = Init::GlorotUniform.weights(5, 4, seed(0)).unwrap();
    let of_two = Init::HeNormal.weights(4, 3, seed(2)).unwrap();
    assert_eq!(bits(&specs[0].initial), bits(&of_zero));
    assert_eq!(bits(&specs[2].initial), bits(&of_two));

    let gated = || Gated { units: 4 };
    let net = Sequential::new(4).layer(gated()).layer(gated()).dense(4).dense(4).seed(11);
    let specs = net.parameters().unwrap();
    let drawn: Vec<_> = specs.iter().filter(|spec| spec.shape == [4, 4]).collect();
    assert_eq!(drawn.len(), 8);
    for (i, one) in drawn.iter().enumerate() {
        let others = &drawn[..i];
        assert!(others.iter().all(|other| other.initial != one.initial), "{}", one.name);
    }
}

#[test]
fn they_train_to_the_same_bits_everywhere() {
    let data = Arc::new(data());
    let of = |options: ParallelOptions, count, steps| {
        let mut parallel = start((net(), adam(), &data), options, &lanes(count)).unwrap();
        let losses = run_to(&mut parallel, steps).unwrap();
        (losses, parallel.state().clone())
    };
    let options = |schedule| ParallelOptions::new(25, 5, schedule);
    let serial = of(options(Schedule::Serial), 1, 60);
    assert!(serial.0[59] < serial.0[0] / 2.0, "{:?}", serial.0);
    for (schedule, count) in [
        (Schedule::Overlapped, 1),
        (Schedule::data_parallel(), 2),
        (Schedule::pipeline(), 2),
        (Schedule::Pipeline { stages: vec![1, 3] }, 2),
        (Schedule::Pipeline { stages: vec![1, 1, 1, 1] }, 4),
    ] {
        let other = of(options(schedule.clone()), count, 60);
        assert_eq!(bits(&serial.0), bits(&other.0), "losses of {schedule:?}");
        assert_eq!(state_bits(&serial.1), state_bits(&other.1), "parameters of {schedule:?}");
    }

    // With one micro-batch, lanes do what `fit` does.
    let (losses, state) = of(ParallelOptions::new(25, 1, Schedule::Serial), 1, 10);
    let mut model = net().compile_blocking(&gpu(), adam()).unwrap();
    let why = model.kernels(25).unwrap();
    assert!(why.contains("layer 0 (scale) is neither dense nor"), "{why}");
    let fit = FitOptions::new(2).batch_size(25).in_order();
    let history = model.fit_blocking(&data, fit).unwrap();
    assert_eq!(bits(&history.batch_losses), bits(&losses));
    let weights = model.weights_blocking().unwrap();
    let weights: Vec<u32> = weights.iter().flat_map(|(_, values)| bits(values)).collect();
    let values: Vec<u32> = state.values.iter().flat_map(|values| bits(values)).collect();
    assert_eq!(weights, values);
    let refused = net().compile_blocking(&gpu(), adam().kernels(Kernels::WholeStep));
    assert!(refused.unwrap_err().to_string().contains("auto or general here"));
}

/// A model of rows with several axes takes the data of one of flat rows, and does the same in as many
/// dispatches.
#[test]
fn rows_of_several_axes_are_those_of_one() {
    let data = data();
    let of = |input: Shape| {
        let net = Sequential::new(input).flatten().dense(8).tanh().dense(2).seed(7);
        assert_eq!((net.input_width(), net.output_width()), (6, 2));
        let whole = adam().kernels(Kernels::WholeStep);
        assert!(net.clone().compile_blocking(&gpu(), whole).is_ok());
        let config = adam().kernels(Kernels::General);
        let mut model = net.compile_blocking(&gpu(), config).unwrap();
        let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Auto)).unwrap();
        let dispatches = trainer.plan().dispatches().len();
        drop(trainer);
        let fit = FitOptions::new(3).batch_size(32);
        let losses = model.fit_blocking(&data, fit).unwrap().batch_losses;
        let outputs = model.predict_blocking(data.features()).unwrap();
        (dispatches, bits(&losses), bits(&outputs))
    };
    let flat = of(Shape::from(6));
    for shape in [Shape::from([3, 2]), Shape::from([2, 1, 3])] {
        assert!(of(shape.clone()) == flat, "{shape}");
    }
    let net = Sequential::new([3, 2]).relu();
    assert!(net.summary().to_string().contains("input                   (?, 3, 2) "));
    // Targets are lists too, and a stage hands on its rows as they are.
    let targets = Dataset::regression(data.features().to_vec(), 6, data.features().to_vec(), 6);
    let targets = Arc::new(targets.unwrap());
    let shaped = Sequential::new([3, 2]).layer(Scale).tanh().layer(Scale);
    let flattened = Sequential::new([3, 2]).layer(Scale).flatten().layer(Scale);
    for net in [shaped, flattened] {
        let of = |schedule, count| {
            let options = ParallelOptions::new(25, 5, schedule);
            let task = (net.clone(), adam(), &targets);
            let mut parallel = start(task, options, &lanes(count)).unwrap();
            let losses = run_to(&mut parallel, 40).unwrap();
            assert!(losses[39] < losses[0] / 2.0, "{losses:?}");
            (bits(&losses), state_bits(parallel.state()))
        };
        assert!(of(Schedule::Serial, 1) == of(Schedule::pipeline(), 2), "{net:?}");
    }
}

/// Says what is wrong and where.
fn refused(net: &Sequential, words: &[&str]) {
    let error = net.parameters().expect_err("it cannot be built").to_string();
    for word in words {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
    assert!(net.summary().to_string().contains("cannot be built"));
    assert_eq!((net.output_width(), net.output_shape()), (0, None));
}

/// The first axis is lost.
#[derive(Debug)]
struct Mean;

impl Layer for Mean {
    fn name(&self) -> &str {
        "mean"
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
        builder.graph().mean(x, 0)
    }
}

#[test]
fn errors_say_which_layer_and_why() {
    let dense = || Sequential::new(6).dense(4);
    refused(&dense().relu().dense(0), &["units of layer 2 (dense) is 0", "at least 1"]);
    refused(
        &dense().layer(Mean).relu(),
        &["layer 1 (mean): output: 4 for an input of 1×4", "rows"],
    );
    refused(&dense().layer(Gated { units: 0 }), &["layer 1 (gated): gated_1.weight", "empty"]);
    refused(&dense().leaky_relu(-1.0), &["leaky_relu slope of layer 1 (leaky_relu) is -1"]);
    refused(&Sequential::new([3, 2]).dense(1), &["layer 0 (dense): x", "1×3×2", "flatten"]);
    let huge = Sequential::new(usize::MAX / 2).layer(Scale).layer(Scale).layer(Scale);
    assert_eq!(huge.parameter_count(), usize::MAX);
    let wide = Sequential::new(u32::MAX as usize).layer(Gated { units: 2 });
    let error = wide.parameters().expect_err("too many").to_string();
    assert!(error.contains("units of layer 0 (dense) of layer 0 (gated) is 2"), "{error}");

    #[derive(Debug)]
    struct Given;
    impl Layer for Given {
        fn name(&self) -> &str {
            "given"
        }
        fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
            let shift = builder.parameter("shift", 6, InitialValues::given([1.0, 2.0]))?;
            builder.graph().bias_add(x, shift)
        }
    }
    let error = Sequential::new(6).layer(Given).parameters().expect_err("two of six").to_string();
    assert!(error.contains("initial values for 'given_0.shift' (6) is 2; it must be 6"), "{error}");
    let error = Sequential::new(5).layer(Given).parameters().expect_err("six for five").to_string();
    assert!(error.contains("layer 0 (given): bias_add"), "{error}");
}

#[test]
fn models_take_rows_of_their_shape_or_lists() {
    let net = Sequential::new([3, 2]).layer(Scale).relu();
    let mut graph = Graph::new();
    let shapes: [&[usize]; 2] = [&[4, 6], &[4, 3, 2]];
    for (number, shape) in shapes.into_iter().enumerate() {
        let x = graph.input("x", shape).unwrap();
        let (y, parameters) = net.build(&mut graph, x).unwrap();
        assert_eq!(graph.shape(y).unwrap(), &Shape::from([4, 3, 2]));
        let name = &graph.info(parameters[0]).unwrap().name;
        assert_eq!(name, ["scale_0.gain", "model_2.scale_0.gain"][number]);
    }
    for shape in [&[4, 2, 3][..], &[4], &[4, 12], &[]] {
        let x = graph.input("x", shape).unwrap();
        let error = net.build(&mut graph, x).expect_err("another shape");
        assert!(matches!(error, Error::Shape { .. }), "{error:?}");
        assert!(error.to_string().contains("rows of 3×2"), "{error}");
    }
}

/// x·(2x) by way of the slope of x², a gradient within the forward pass.
#[derive(Debug)]
struct TimesSlope;

impl Layer for TimesSlope {
    fn name(&self) -> &str {
        "times_slope"
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
        let shape = builder.shape(x)?.clone();
        let graph = builder.graph();
        let square = graph.unary(Unary::Square, x)?;
        let ones = graph.constant(1.0, shape)?;
        let slope = graph.vector_jacobian(square, ones, &[x])?[0];
        graph.mul(x, slope)
    }
}

/// Lanes run the forward pass first: what it reads comes before it, whatever it is called.
#[test]
fn gradients_within_a_forward_pass_come_before_what_reads_them() {
    let data = Arc::new(data());
    let net = Sequential::new(6).layer(TimesSlope).dense(5).tanh().dense(2);
    let mut model = net.clone().compile_blocking(&gpu(), adam()).unwrap();
    let fit = FitOptions::new(2).batch_size(25).in_order();
    let losses = bits(&model.fit_blocking(&data, fit).unwrap().batch_losses);
    for (schedule, count) in
        [(Schedule::Serial, 1), (Schedule::data_parallel(), 2), (Schedule::pipeline(), 2)]
    {
        let options = ParallelOptions::new(25, 1, schedule.clone());
        let mut parallel = start((net.clone(), adam(), &data), options, &lanes(count)).unwrap();
        assert_eq!(bits(&run_to(&mut parallel, 10).unwrap()), losses, "{schedule:?}");
    }
}

/// A layer that goes past the builder.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Past {
    Parameter,
    Input,
    Place,
}

impl Layer for Past {
    fn name(&self) -> &str {
        "past"
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
        let features = builder.shape(x)?.columns();
        match self {
            Past::Parameter => {
                let shift = builder.graph().parameter("shift", features)?;
                builder.graph().bias_add(x, shift)
            }
            Past::Input => {
                let shift = builder.graph().input("shift", features)?;
                builder.graph().bias_add(x, shift)
            }
            Past::Place => {
                let y = builder.layer(0, &Scale, x)?;
                builder.layer(0, &Scale, y)
            }
        }
    }
}

#[test]
fn what_goes_past_the_builder_is_refused() {
    for (past, words) in [
        (Past::Parameter, "add it by `Builder::parameter`"),
        (Past::Input, "an input that nobody writes"),
        (Past::Place, "place of scale"),
    ] {
        refused(&Sequential::new(6).layer(past).dense(2), &["layer 0 (past)", words]);
    }
}

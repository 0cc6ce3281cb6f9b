//! What nobody said, chosen by the size of the table.

use wgrad::data::Dataset;
use wgrad::nn::{Init, Loss, Optimizer, Sequential};
use wgrad::train::TrainingConfig;

use crate::args::{ClassWeights, OptimizerName, TrainArgs};
use crate::failure::{Failure, Outcome};

/// How a net is made and trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Units of the hidden layers.
    pub hidden: Vec<usize>,
    /// Rows per step.
    pub batch: usize,
    /// Learning rate.
    pub rate: f32,
    /// What [`Choice::config`] makes; of a model that is trained on, its own goes on.
    pub optimizer: OptimizerName,
    /// Its name in figures.
    pub optimizer_name: &'static str,
    /// Passes over the rows, if they were said.
    pub epochs: Option<usize>,
    /// Passes over the rows that are tried, at most.
    pub most_epochs: usize,
    /// Whether the loss of rows of rare classes counts more.
    pub balanced: bool,
    pub seed: u64,
}

impl Choice {
    /// For so many rows to train on, of classes or of numbers.
    pub fn new(args: &TrainArgs, rows: usize, classes: bool) -> Outcome<Self> {
        let refuse = |what: &str, value: &dyn std::fmt::Display, rule: &str| {
            Err(Failure::usage(format!("{what} is {value}; it must be {rule}")))
        };
        if args.epochs == Some(0) {
            return refuse("--epochs", &0, "at least 1");
        }
        if args.batch == Some(0) {
            return refuse("--batch", &0, "at least 1");
        }
        if let Some(rate) = args.rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
            return refuse("--rate", &rate, "positive and finite");
        }
        let hidden = match args.hidden.as_slice() {
            [] if rows < 5_000 => vec![64, 32],
            [] => vec![128, 64],
            [0] => Vec::new(),
            units if units.contains(&0) => {
                return refuse("--hidden", &0, "at least 1 in each layer");
            }
            units => units.to_vec(),
        };
        let batch = args.batch.unwrap_or(match (rows, classes) {
            // Few rows of classes are learned smoothly, in nearly full batches.
            (..2_000, true) => 128,
            (..20_000, _) => 64,
            _ => 256,
        });
        let optimizer = args.optimizer.unwrap_or(OptimizerName::Adam);
        let rate = args.rate.unwrap_or(match optimizer {
            OptimizerName::Adam | OptimizerName::Adamw | OptimizerName::Rmsprop => 1e-3,
            OptimizerName::Sgd => 0.05,
            OptimizerName::Momentum => 0.01,
        });
        // The more rows, the more steps an epoch has.
        let most_epochs = (2_000_000 / rows.max(1)).clamp(40, 600);
        let (epochs, seed) = (args.epochs, args.seed);
        let optimizer_name = match optimizer {
            OptimizerName::Adam => "adam",
            OptimizerName::Adamw => "adamw",
            OptimizerName::Sgd => "sgd",
            OptimizerName::Momentum => "momentum",
            OptimizerName::Rmsprop => "rmsprop",
        };
        let balanced = args.class_weights == Some(ClassWeights::Balanced);
        Ok(Self {
            hidden,
            batch,
            rate,
            optimizer,
            optimizer_name,
            epochs,
            most_epochs,
            balanced,
            seed,
        })
    }

    /// The layers.
    pub fn net(&self, inputs: usize, outputs: usize) -> Sequential {
        let start = Sequential::new(inputs);
        let layers = self.hidden.iter();
        let hidden =
            layers.fold(start, |net, &units| net.dense_with(units, Init::GlorotUniform).relu());
        hidden.dense(outputs).seed(self.seed)
    }

    /// Multiply-adds of an epoch over so many rows, forward and backward.
    pub fn work(&self, rows: usize, inputs: usize, outputs: usize) -> u64 {
        let inner = self.hidden.iter().copied();
        let widths: Vec<usize> = [inputs].into_iter().chain(inner).chain([outputs]).collect();
        let row: u64 = widths.windows(2).map(|pair| pair.iter().product::<usize>() as u64).sum();
        row.saturating_mul(3).saturating_mul(rows as u64)
    }

    /// The optimizer.
    pub fn config(&self, loss: Loss) -> TrainingConfig {
        // Small against what data says, and enough to keep weights from growing where it says nothing.
        const DECAY: f32 = 1e-4;
        let rate = self.rate;
        let optimizer = match self.optimizer {
            OptimizerName::Adam => Optimizer::adam(rate).weight_decay(DECAY),
            OptimizerName::Adamw => Optimizer::adamw(rate, 1e-2),
            OptimizerName::Sgd => Optimizer::sgd(rate).weight_decay(DECAY),
            OptimizerName::Momentum => Optimizer::momentum(rate, 0.9).weight_decay(DECAY),
            OptimizerName::Rmsprop => Optimizer::rmsprop(rate).weight_decay(DECAY),
        };
        TrainingConfig::new(loss, optimizer)
    }

    /// The weights of the classes of `data`, if they are asked for.
    pub fn class_weights(&self, data: &Dataset) -> Option<Vec<f32>> {
        data.balanced_class_weights().filter(|_| self.balanced)
    }

    /// The net in words: `64-32`.
    pub fn layers(&self) -> String {
        match self.hidden.is_empty() {
            true => "none (a linear model)".into(),
            false => self.hidden.iter().map(usize::to_string).collect::<Vec<_>>().join("-"),
        }
    }
}

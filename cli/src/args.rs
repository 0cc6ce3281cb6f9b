//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use wgrad::data::{ColumnType, EncoderOptions, MissingValues};

use crate::score::Metric;

/// A table becomes a model: trains a neural network on any GPU, and predicts with it
#[derive(Parser, Debug)]
#[command(name = "wgrad", version, propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Trains a model to predict a column of a table
    Train(Box<TrainArgs>),
    /// Predicts rows of a table, to standard output as CSV
    Predict(PredictArgs),
    /// Scores a model on rows whose target is known
    Evaluate(EvaluateArgs),
    /// Which columns matter, and for single rows how much each contributes
    Explain(ExplainArgs),
    /// Groups rows that are alike (k-means); the clusters go to standard output as CSV
    Cluster(ClusterArgs),
    /// Principal components: the directions in which rows differ most; the rows in them go to standard output as CSV
    Pca(PcaArgs),
    /// Writes a model's net for other programs
    Export(ExportArgs),
    /// What a model's file holds
    Show(ShowArgs),
    /// The adapters there are, best first
    Devices(DevicesArgs),
}

/// How a table is read.
#[derive(ClapArgs, Debug)]
pub struct TableArgs {
    /// The character between fields [default: what the first lines show]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// The first line holds data; columns are called 0, 1, …
    #[arg(long)]
    pub no_header: bool,
}

/// What is to be predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// Which class a row is of
    Classification,
    /// Numbers
    Regression,
}

/// How weights are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    /// Adam
    Adam,
    /// Adam with decoupled weight decay
    Adamw,
    /// Stochastic gradient descent
    Sgd,
    /// Gradient descent with momentum 0.9
    Momentum,
    /// RMSprop
    Rmsprop,
}

/// What is done about missing values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MissingName {
    /// The median stands in, or a category of its own
    Impute,
    /// Rows are left out
    Drop,
    /// An error
    Refuse,
}

impl From<MissingName> for MissingValues {
    fn from(name: MissingName) -> Self {
        match name {
            MissingName::Impute => Self::Impute,
            MissingName::Drop => Self::DropRow,
            MissingName::Refuse => Self::Refuse,
        }
    }
}

/// How rows of classes are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClassWeights {
    /// The loss of rows of rare classes counts more, so that all classes count alike
    Balanced,
    /// Each row counts once; takes away those of a model that is trained on
    None,
}

/// How columns are taken.
#[derive(ClapArgs, Debug)]
pub struct ColumnArgs {
    /// Columns to leave out
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// Columns to take as categories, though they hold numbers
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub categories: Vec<String>,
    /// What is done about missing values [default: impute]
    #[arg(long, value_enum)]
    pub missing: Option<MissingName>,
    /// Further words that stand for missing values
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub missing_words: Vec<String>,
}

impl ColumnArgs {
    /// What they mean to an encoder.
    pub fn options(&self) -> EncoderOptions {
        let category = |name: &String| (name.clone(), ColumnType::Category);
        let mut options = EncoderOptions {
            exclude: self.ignore.clone(),
            types: self.categories.iter().map(category).collect(),
            missing: self.missing.unwrap_or(MissingName::Impute).into(),
            ..EncoderOptions::default()
        };
        options.missing_words.extend(self.missing_words.iter().cloned());
        options
    }
}

/// Where it runs, on what, and what is said.
#[derive(ClapArgs, Debug)]
pub struct RunArgs {
    /// Part of the name of the adapter or its driver [default: the best adapter]
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Say nothing but errors, and what is asked for
    #[arg(long)]
    pub quiet: bool,
    #[command(flatten)]
    pub reading: TableArgs,
}

#[derive(ClapArgs, Debug)]
pub struct TrainArgs {
    /// The table: CSV, gzipped or not, or an array (.npy, IDX); - is standard input
    #[arg(value_name = "TABLE")]
    pub table: PathBuf,
    /// The column to predict; several if they are numbers [default: the last]
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub target: Vec<String>,
    /// A table that holds the target's columns, a row for each of the table's
    #[arg(long, value_name = "FILE")]
    pub target_table: Option<PathBuf>,
    /// What the target is [default: what its column holds]
    #[arg(long, value_enum)]
    pub task: Option<Task>,
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Units of the hidden layers; 0 is a linear model [default: chosen by the size of the table]
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    pub hidden: Vec<usize>,
    /// Passes over the rows [default: as long as it helps on rows that are not trained on]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Rows per step [default: chosen by the size of the table]
    #[arg(long, value_name = "ROWS")]
    pub batch: Option<usize>,
    /// Learning rate [default: chosen by the optimizer]
    #[arg(long)]
    pub rate: Option<f32>,
    /// How weights are updated [default: adam]
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerName>,
    /// Share of the rows that is held out, for the score
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    pub validation: f64,
    /// Scores by cross-validation over so many parts; the model then learns from all rows
    #[arg(long, value_name = "PARTS", conflicts_with = "validation")]
    pub folds: Option<usize>,
    /// Seed of the splits, the first weights and the order of the rows
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// The score [default: accuracy of classes, R² of numbers]
    #[arg(long, value_enum)]
    pub metric: Option<Metric>,
    /// How often rows of each class count in the loss
    #[arg(long, value_enum)]
    pub class_weights: Option<ClassWeights>,
    /// Goes on where the same command was broken off, to the same model: from the folder it left beside the
    /// model, or from FOLDER. With a MODEL's file, trains on from it
    #[arg(long, value_name = "MODEL|FOLDER", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Passes over the rows between two files to go on from [default: some seconds of work]
    #[arg(long, value_name = "EPOCHS", value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint: Option<u64>,
    /// For a table larger than memory: its rows are kept in files of FOLDER, as numbers, until the command ends. What
    /// columns hold is judged by a sample of the rows
    #[arg(long, value_name = "FOLDER")]
    pub on_disk: Option<PathBuf>,
    /// Where the model goes; the report goes beside it [default: TARGET.wgrad]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write score and figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Train with all processes of an MPI job: mpirun -n 4 wgrad train … --mpi
    #[arg(long)]
    pub mpi: bool,
    /// With --mpi: parts of each batch; the model depends on it in the last digits, and not on the processes [default:
    /// as many as processes]
    #[arg(long, value_name = "PARTS", requires = "mpi")]
    pub micro_batches: Option<usize>,
    /// With --mpi: start the job with these words, such as 'mpirun -n 4'; given several times, each start takes
    /// the next
    #[arg(long, value_name = "WORDS", requires = "mpi")]
    pub launch: Vec<String>,
    /// With --launch: start the job so often again where it ends early
    #[arg(long, value_name = "N", default_value_t = 0, requires = "launch")]
    pub restarts: usize,
    /// With --mpi: write what ran when in some more steps, on all lanes of all processes, as FILE.json (for
    /// ui.perfetto.dev), FILE.svg and FILE.png
    #[arg(long, value_name = "FILE", requires = "mpi")]
    pub timeline: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
}

impl TrainArgs {
    /// The model to train on from.
    pub fn model(&self) -> Option<&Path> {
        self.resume.as_ref()?.as_deref().filter(|path| !path.is_dir())
    }

    /// An option that says what the model to train on from has its own of.
    pub fn against_model(&self) -> Option<&'static str> {
        let columns = &self.columns;
        let given = [
            ("target", !self.target.is_empty()),
            ("task", self.task.is_some()),
            ("ignore", !columns.ignore.is_empty()),
            ("categories", !columns.categories.is_empty()),
            ("missing", columns.missing.is_some()),
            ("missing-words", !columns.missing_words.is_empty()),
            ("hidden", !self.hidden.is_empty()),
            ("optimizer", self.optimizer.is_some()),
            ("folds", self.folds.is_some()),
            ("checkpoint", self.checkpoint.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }
}

#[derive(ClapArgs, Debug)]
pub struct PredictArgs {
    /// The model's file
    pub model: PathBuf,
    /// The rows: CSV, gzipped or not, or an array (.npy, IDX); - is standard input
    pub table: PathBuf,
    /// Add a column with the probability of each class
    #[arg(long)]
    pub proba: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(ClapArgs, Debug)]
pub struct EvaluateArgs {
    /// The model's file
    pub model: PathBuf,
    /// Rows whose target is known: CSV, gzipped or not, or an array (.npy, IDX); - is standard input
    pub table: PathBuf,
    /// The score [default: accuracy of classes, R² of numbers]
    #[arg(long, value_enum)]
    pub metric: Option<Metric>,
    /// Write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(ClapArgs, Debug)]
pub struct ExplainArgs {
    /// The model's file
    pub model: PathBuf,
    /// Rows whose target is known: CSV, gzipped or not, or an array (.npy, IDX); - is standard input
    pub table: PathBuf,
    /// The row to explain, counted from 0 [default: which columns matter over all rows]
    #[arg(long)]
    pub row: Option<usize>,
    /// The score by which columns are judged [default: accuracy of classes, R² of numbers]
    #[arg(long, value_enum)]
    pub metric: Option<Metric>,
    /// Seed of what is shuffled
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Rows of which nothing is to be predicted.
#[derive(ClapArgs, Debug)]
pub struct RowsArgs {
    /// The table: CSV, gzipped or not, or an array (.npy, IDX); - is standard input
    #[arg(value_name = "TABLE")]
    pub table: PathBuf,
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Shift and scale columns of numbers to mean 0 and deviation 1, so that none outweighs the others by its unit
    #[arg(long)]
    pub standardize: bool,
    /// For a table larger than memory: its rows are kept in a file of FOLDER, as numbers, until the command ends. What
    /// columns hold is judged by a sample of the rows
    #[arg(long, value_name = "FOLDER")]
    pub on_disk: Option<PathBuf>,
    /// Seed of what is drawn
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(ClapArgs, Debug)]
pub struct ClusterArgs {
    /// How many clusters
    #[arg(short = 'k', long, value_name = "CLUSTERS")]
    pub clusters: usize,
    /// How often to begin anew; the best clustering is kept
    #[arg(long, default_value_t = 10)]
    pub starts: usize,
    /// Iterations at most, of each start
    #[arg(long, value_name = "ITERATIONS", default_value_t = 300)]
    pub max_iterations: usize,
    /// Learn from so many rows at a time instead of from all: faster, and a little worse
    #[arg(long, value_name = "ROWS")]
    pub mini_batch: Option<usize>,
    #[command(flatten)]
    pub rows: RowsArgs,
}

#[derive(ClapArgs, Debug)]
pub struct PcaArgs {
    /// How many components
    #[arg(long, default_value_t = 2)]
    pub components: usize,
    /// Scale the rows' components to deviation 1
    #[arg(long)]
    pub whiten: bool,
    #[command(flatten)]
    pub rows: RowsArgs,
}

#[derive(ClapArgs, Debug)]
pub struct ExportArgs {
    /// The model's file
    pub model: PathBuf,
    /// Where the ONNX file goes
    #[arg(long, value_name = "FILE")]
    pub onnx: PathBuf,
    /// The net alone, which takes encoded features in place of the table's columns
    #[arg(long)]
    pub encoded: bool,
}

#[derive(ClapArgs, Debug)]
pub struct ShowArgs {
    /// The model's file
    pub model: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(ClapArgs, Debug)]
pub struct DevicesArgs {
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

/// One character of ASCII, or `tab`.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err("give one character, such as , or ; or the word tab".into()),
    }
}

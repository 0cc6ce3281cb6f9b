//! The history of a training in a file, line by line while it trains.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::callback::{Callback, Signal, TrainLog};
use super::figure::Figure;
use super::history::EpochLog;
use crate::{Error, Result};

/// Writes a line of a file after every epoch: the number of the epoch, the learning rate, the seconds, and
/// every figure under its name. Each line is on its way when its epoch is over, so that it can be watched.
///
/// ```no_run
/// use wgrad::prelude::*;
/// use wgrad::train::LogFile;
///
/// # async fn run(model: &mut Model, data: &Dataset) -> wgrad::Result<()> {
/// let mut log = LogFile::csv("history.csv");
/// model.fit(data, FitOptions::new(100).callback(&mut log)).await?;
/// log.finish()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    form: Form,
    figures: Vec<Figure>,
    file: Option<File>,
    /// What went wrong while it trained.
    error: Option<std::io::Error>,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Csv,
    JsonLines,
}

impl LogFile {
    /// A table with a header, its cells separated by commas.
    pub fn csv(path: impl Into<PathBuf>) -> Self {
        Self::new(path.into(), Form::Csv)
    }

    /// An object of JSON in each line.
    pub fn json_lines(path: impl Into<PathBuf>) -> Self {
        Self::new(path.into(), Form::JsonLines)
    }

    fn new(path: PathBuf, form: Form) -> Self {
        Self { path, form, figures: Vec::new(), file: None, error: None }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`Error::File`] if a line could not be written: training went on without the rest.
    pub fn finish(&mut self) -> Result<()> {
        let file = self.file.take();
        let synced = match (self.error.take(), file) {
            (Some(error), _) => Err(error),
            (None, Some(file)) => file.sync_all(),
            (None, None) => Ok(()),
        };
        synced.map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: std::io::Error) -> Error {
        Error::File { path: self.path.display().to_string(), source }
    }

    fn line(&self, log: &EpochLog) -> String {
        let figures = self.figures.iter().map(|&figure| {
            let value = log.figure(figure).filter(|value| value.is_finite());
            (figure.to_string(), value.map(|value| value.to_string()))
        });
        let common = [
            ("epoch".to_string(), Some(log.epoch.to_string())),
            ("learning_rate".to_string(), Some(log.learning_rate.to_string())),
            ("seconds".to_string(), Some(format!("{:.3}", log.seconds))),
        ];
        let all = common.into_iter().chain(figures);
        match self.form {
            // What is not there or not finite is an empty cell, or null.
            Form::Csv => {
                all.map(|(_, value)| value.unwrap_or_default()).collect::<Vec<_>>().join(",")
            }
            Form::JsonLines => {
                let field = |(name, value): (String, Option<String>)| {
                    format!("\"{name}\":{}", value.as_deref().unwrap_or("null"))
                };
                format!("{{{}}}", all.map(field).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl Callback for LogFile {
    fn on_train_begin(&mut self, log: &TrainLog) -> Result<()> {
        self.error = None;
        self.figures.clone_from(&log.figures);
        let mut file = File::create(&self.path).map_err(|source| self.unusable(source))?;
        if let Form::Csv = self.form {
            let names = ["epoch", "learning_rate", "seconds"].map(String::from).into_iter();
            let names = names.chain(self.figures.iter().map(Figure::to_string)).collect::<Vec<_>>();
            writeln!(file, "{}", names.join(",")).map_err(|source| self.unusable(source))?;
        }
        self.file = Some(file);
        Ok(())
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        let line = self.line(log);
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{line}")
        {
            self.error = Some(error);
            self.file = None;
        }
        Signal::Continue
    }
}

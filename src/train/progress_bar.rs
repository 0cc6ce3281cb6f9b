//! How training goes, on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::callback::{BatchLog, Callback, Signal, TrainLog};
use super::history::EpochLog;
use crate::Result;
use crate::nn::Metric;

/// How often the line is redrawn, at most.
const REDRAWN: Duration = Duration::from_millis(50);

/// Shows on standard error how far training is, with the loss, the metrics and the loss on rows held out: a line that
/// is redrawn on a terminal, and elsewhere a line for every tenth of the epochs. With the feature `progress`.
///
/// ```no_run
/// use wgrad::prelude::*;
/// use wgrad::train::ProgressBar;
///
/// # async fn run(model: &mut Model, data: &Dataset) -> wgrad::Result<()> {
/// let mut bar = ProgressBar::new();
/// model.fit(data, FitOptions::new(20).callback(&mut bar)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ProgressBar {
    bar: indicatif::ProgressBar,
    /// What stands before the number of the epoch.
    title: String,
    quiet: bool,
    epochs: usize,
    drawn: Option<Instant>,
}

impl Default for ProgressBar {
    fn default() -> Self {
        Self::new()
    }
}

impl ProgressBar {
    /// One on standard error.
    pub fn new() -> Self {
        let bar = indicatif::ProgressBar::hidden();
        Self { bar, title: String::new(), quiet: false, epochs: 0, drawn: None }
    }

    /// With these words before the number of the epoch.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into() + " ";
        self
    }

    /// Says nothing, if `quiet`.
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Redraws the line, on a terminal, with the batches of the epoch that are done.
    fn draw(&mut self, epoch: usize, done: u64, said: String) {
        self.bar.set_prefix(format!("{}epoch {epoch}/{}", self.title, self.epochs));
        self.bar.set_message(said);
        self.bar.set_position(done);
        self.drawn = Some(Instant::now());
    }
}

impl Callback for ProgressBar {
    fn on_train_begin(&mut self, log: &TrainLog) -> Result<()> {
        let target = match self.quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let length = log.epochs.saturating_mul(log.batches) as u64;
        self.bar = indicatif::ProgressBar::with_draw_target(Some(length), target)
            .with_finish(ProgressFinish::Abandon);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:20}  {msg}") {
            self.bar.set_style(style.progress_chars("█▌░"));
        }
        (self.epochs, self.drawn) = (log.epochs, None);
        Ok(())
    }

    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if !self.bar.is_hidden() && self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAWN) {
            let before = log.epoch.saturating_sub(1).saturating_mul(log.batches);
            let done = before.saturating_add(log.batch) as u64;
            self.draw(log.epoch, done, said(log.epoch_loss, &log.metrics, None));
        }
        Signal::Continue
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        let held_out = log.validation.as_ref().map(|validation| validation.loss);
        let every = self.epochs.div_ceil(10).max(1);
        if !self.bar.is_hidden() {
            let of_epoch = self.bar.length().unwrap_or(0).checked_div(self.epochs as u64);
            let done = of_epoch.unwrap_or(0).saturating_mul(log.epoch as u64);
            self.draw(log.epoch, done, said(log.loss, &log.metrics, held_out));
        } else if !self.quiet && (log.epoch.is_multiple_of(every) || log.epoch == self.epochs) {
            let said = said(log.loss, &log.metrics, held_out);
            eprintln!("{}epoch {}/{}  {said}", self.title, log.epoch, self.epochs);
        }
        Signal::Continue
    }

    fn on_train_end(&mut self) -> Signal {
        self.bar.abandon();
        Signal::Continue
    }
}

/// The figures of an epoch.
fn said(loss: f64, metrics: &[(Metric, f64)], held_out: Option<f64>) -> String {
    let metrics =
        metrics.iter().map(|(metric, value)| format!("  {} {}", metric.name(), shown(*value)));
    let held_out = held_out.map(|loss| format!("  held out {}", shown(loss)));
    format!("loss {}{}{}", shown(loss), metrics.collect::<String>(), held_out.unwrap_or_default())
}

/// A number with four digits.
fn shown(number: f64) -> String {
    let size = number.abs();
    match size == 0.0 || (1e-3..1e5).contains(&size) {
        true => format!("{number:.4}"),
        false => format!("{number:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let metrics = [(Metric::Accuracy, 0.987_654)];
        assert_eq!(said(0.123_456, &metrics, None), "loss 0.1235  accuracy 0.9877");
        assert_eq!(said(1.5e-7, &[], Some(0.0)), "loss 1.500e-7  held out 0.0000");
        assert_eq!(shown(f64::NAN), "NaN");
    }
}

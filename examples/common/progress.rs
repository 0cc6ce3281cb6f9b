//! A progress bar, as a callback of `fit`.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use wgrad::train::{BatchLog, Callback, EpochLog, Signal};

/// Shows how far training is, with the loss and the metrics. Where there is no terminal to redraw a
/// bar on, it prints a line for about every tenth of the epochs instead.
pub struct Progress {
    bar: ProgressBar,
    epochs: usize,
}

impl Progress {
    /// A bar for `epochs` epochs.
    pub fn new(epochs: usize) -> Self {
        let bar = ProgressBar::new(1).with_finish(ProgressFinish::Abandon);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {percent:>3} %  {msg}") {
            bar.set_style(style.progress_chars("█▌░"));
        }
        Self { bar, epochs }
    }
}

impl Callback for Progress {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if !self.bar.is_hidden() {
            let (epoch, batches) = (log.epoch, log.batches);
            self.bar.set_length((self.epochs * batches) as u64);
            self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
            let mut words = vec![format!("loss {:.4}", log.epoch_loss)];
            words.extend(log.metrics.iter().map(|(m, value)| format!("{} {value:.4}", m.name())));
            self.bar.set_message(words.join("  "));
            self.bar.set_position(((epoch - 1) * batches + log.batch) as u64);
        }
        Signal::Continue
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        let every = self.epochs.div_ceil(10).max(1);
        if self.bar.is_hidden() && (log.epoch.is_multiple_of(every) || log.epoch == self.epochs) {
            let metrics = log.metrics.iter().map(|(m, value)| format!("  {} {value:.4}", m.name()));
            let metrics: String = metrics.collect();
            println!("epoch {}/{}  loss {:.4}{metrics}", log.epoch, self.epochs, log.loss);
        }
        Signal::Continue
    }
}

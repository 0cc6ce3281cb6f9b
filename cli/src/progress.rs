//! What is said while a model trains.

use std::fmt::Display;

use wgrad::train::{BatchLog, Callback, EpochLog, ProgressBar, Signal, TrainLog};

use crate::interrupt;

/// Says things on standard error, unless it is to be quiet.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    quiet: bool,
}

impl Voice {
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    pub fn say(self, text: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{}", text.as_ref());
        }
    }

    /// Says each line of what was met, if anything was.
    pub fn note(self, met: &impl Display) {
        met.to_string().lines().for_each(|line| self.say(format!("note: {line}")));
    }

    /// A line that is redrawn on a terminal, and a line for every tenth of the epochs elsewhere.
    pub fn epochs(self, what: &str) -> Live {
        let bar = ProgressBar::new().titled(what).quiet(self.quiet);
        Live { bar, deaf: interrupt::asked(), ended: false }
    }
}

/// A line that shows how training goes, and ends it when Ctrl-C is pressed.
pub struct Live {
    bar: ProgressBar,
    /// Whether Ctrl-C was pressed before: what is trained then is what is to be kept.
    deaf: bool,
    /// Whether it has ended the training.
    ended: bool,
}

/// What a training says of itself that Ctrl-C has ended: it is not as long as it was to be.
const ENDED: &str = "ended by Ctrl-C";

impl Callback for Live {
    fn on_train_begin(&mut self, log: &TrainLog) -> wgrad::Result<()> {
        self.bar.on_train_begin(log)
    }

    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        self.bar.on_batch_end(log)
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        self.bar.on_epoch_end(log);
        self.ended = interrupt::asked() && !self.deaf;
        if self.ended { Signal::Stop } else { Signal::Continue }
    }

    fn on_train_end(&mut self) -> Signal {
        self.bar.on_train_end()
    }

    fn state(&self) -> String {
        if self.ended { ENDED.into() } else { String::new() }
    }

    fn resume(&mut self, state: &str) -> wgrad::Result<()> {
        match state {
            ENDED => {
                let rule = "one that was broken off; begin anew without --resume";
                Err(wgrad::Error::argument("training that is resumed", ENDED, rule))
            }
            _ => Ok(()),
        }
    }
}

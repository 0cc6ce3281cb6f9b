//! What is said while a model trains.

use std::fmt::Display;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use wgrad::train::{Callback, EpochLog, Signal};

use crate::interrupt;
use crate::score::Figure;

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

    /// A line that is redrawn for each epoch on a terminal, and a line for every tenth of the epochs
    /// elsewhere.
    pub fn epochs(self, what: &str, epochs: usize) -> Live {
        let target = match self.quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(epochs as u64), target)
            .with_finish(ProgressFinish::AndLeave);
        let template = "{prefix} epoch {pos}/{len} {bar:20}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▌░"));
        }
        bar.set_prefix(what.to_owned());
        let deaf = interrupt::asked();
        Live { bar, voice: self, what: what.to_owned(), epochs, deaf, ended: false }
    }
}

/// A line that shows how training goes, and ends it when Ctrl-C is pressed.
pub struct Live {
    bar: ProgressBar,
    voice: Voice,
    what: String,
    epochs: usize,
    /// Whether Ctrl-C was pressed before: what is trained then is what is to be kept.
    deaf: bool,
    /// Whether it has ended the training.
    ended: bool,
}

/// What a training says of itself that Ctrl-C has ended: it is not as long as it was to be.
const ENDED: &str = "ended by Ctrl-C";

impl Callback for Live {
    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        let held = log.validation.as_ref().map(|v| format!("  held out {}", Figure(v.loss)));
        let said = format!("loss {}{}", Figure(log.loss), held.unwrap_or_default());
        let every = self.epochs.div_ceil(10).max(1);
        if !self.bar.is_hidden() {
            self.bar.set_message(said);
            self.bar.set_position(log.epoch as u64);
        } else if log.epoch.is_multiple_of(every) || log.epoch == self.epochs {
            self.voice.say(format!("{} epoch {}/{}  {said}", self.what, log.epoch, self.epochs));
        }
        self.ended = interrupt::asked() && !self.deaf;
        if self.ended { Signal::Stop } else { Signal::Continue }
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

//! What ends the command early, and with which exit code.

use std::io;
use std::process::ExitCode;

use wgrad::data::{DataError, TableError};

use crate::interrupt::INTERRUPTED;

/// Why the command ends without having done what it was asked for.
#[derive(Debug)]
pub struct Failure {
    message: Option<String>,
    code: u8,
    /// What of wgrad's went wrong, if that was it.
    #[cfg(feature = "mpi")]
    error: Option<Box<wgrad::Error>>,
    /// Whether the same command may go well a little later.
    #[cfg(feature = "mpi")]
    passes: bool,
}

/// What the command's own functions return.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Data, model or device are not what they must be.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Some(message.into()), 1)
    }

    /// Another command is in the way, or a file system: the same command may go well a little later.
    pub fn that_may_pass(message: impl Into<String>) -> Self {
        Self {
            #[cfg(feature = "mpi")]
            passes: true,
            ..Self::new(message)
        }
    }

    fn of(message: Option<String>, code: u8) -> Self {
        Self {
            message,
            code,
            #[cfg(feature = "mpi")]
            error: None,
            #[cfg(feature = "mpi")]
            passes: false,
        }
    }

    /// Options do not go together.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::of(Some(message.into()), 2)
    }

    /// Ended by Ctrl-C; what was kept has been said. The code is that of a process which the signal ends.
    pub fn interrupted() -> Self {
        Self::of(None, INTERRUPTED)
    }

    /// Of a training with these targets, which are no columns to leave out.
    pub fn of_training(error: DataError, targets: &[String]) -> Self {
        match &error {
            DataError::Table(TableError::OddNumber { column, .. }) if targets.contains(column) => {
                Self::new(error.to_string())
            }
            _ => error.into(),
        }
    }

    /// Why, in words.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// The same for a process of a job, which is at its end: with an exit code that says whether to start it again helps.
    #[cfg(feature = "mpi")]
    pub fn in_job(mut self) -> Self {
        self.code = match (&self.error, self.code) {
            (Some(error), _) => wgrad_mpi::exit_code(error),
            (None, 1) if !self.passes => 2,
            (None, code) => code,
        };
        self
    }

    /// The same for a process of a job, of which this command knows none.
    #[cfg(not(feature = "mpi"))]
    pub fn in_job(self) -> Self {
        self
    }

    /// Says why, and gives the exit code.
    pub fn end(self) -> ExitCode {
        if let Some(message) = self.message {
            eprintln!("error: {message}");
        }
        ExitCode::from(self.code)
    }
}

impl From<wgrad::Error> for Failure {
    fn from(error: wgrad::Error) -> Self {
        let message = error.to_string();
        match error {
            wgrad::Error::Data(error) => error.into(),
            #[cfg(feature = "mpi")]
            other => Self { error: Some(Box::new(other)), ..Self::new(message) },
            #[cfg(not(feature = "mpi"))]
            _ => Self::new(message),
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let remedy = match &error {
            DataError::Table(TableError::TextColumns { columns, .. }) => {
                format!("\n  to leave out: --ignore '{}'", columns.join(","))
            }
            DataError::Table(TableError::OddNumber { column, .. }) => {
                format!("\n  or train without the column: --ignore '{column}'")
            }
            // It is a number, and f32 ends before it.
            DataError::Table(TableError::NotFinite { value, .. })
                if value.parse().is_ok_and(f64::is_finite) =>
            {
                "\n  or write the column in another unit, in which its numbers are smaller".into()
            }
            DataError::Table(TableError::UnknownColumn { .. }) => {
                "\n  columns are named as the first line does; without such a line, by position from 0"
                    .into()
            }
            _ => String::new(),
        };
        Self::new(format!("{error}{remedy}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Who reads the output has seen enough: nothing to complain of.
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::of(None, 0),
            _ => Self::new(format!("cannot write the output: {error}")),
        }
    }
}

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
}

/// What the command's own functions return.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Data, model or device are not what they must be.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: 1 }
    }

    /// Options do not go together.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: 2 }
    }

    /// Ended by Ctrl-C; what was kept has been said. The code is that of a process which the signal ends.
    pub fn interrupted() -> Self {
        Self { message: None, code: INTERRUPTED }
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
        match error {
            wgrad::Error::Data(error) => error.into(),
            other => Self::new(other.to_string()),
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
            io::ErrorKind::BrokenPipe => Self { message: None, code: 0 },
            _ => Self::new(format!("cannot write the output: {error}")),
        }
    }
}

use std::{fmt, process::ExitCode};

/// Why a command has not done what it should, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The program that runs has refused it.
    Refused(String),
    /// What is to be asked, or how, is not known.
    Wrong(String),
    /// The program could not be asked.
    Unreachable(String),
}

impl Problem {
    /// The code to exit with.
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) => 1,
            Self::Wrong(_) => 2,
            Self::Unreachable(_) => 3,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(text) | Self::Wrong(text) | Self::Unreachable(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Problem {}

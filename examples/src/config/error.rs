//! What is wrong in a file, and where.

use std::{error::Error, fmt};

use serde_saphyr::Location;

use super::{excerpt::excerpt, noted::NamedTokens};

/// Everything that is wrong in one configuration file.
///
/// `Display` gives each problem in two parts: `FILE:LINE:COLUMN: what is wrong, and what would be right`, and below it
/// the line with a caret. Lines with secrets are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: String,
    problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    /// Line and column, counted from 1; none for what concerns the whole file.
    place: Option<(usize, usize)>,
    message: String,
    excerpt: Option<String>,
}

impl ConfigError {
    /// A problem with the file as a whole: it cannot be read.
    pub(super) fn whole(file: &str, message: impl Into<String>) -> Self {
        let problem = Problem {
            place: None,
            message: message.into(),
            excerpt: None,
        };
        Self {
            file: file.to_owned(),
            problems: vec![problem],
        }
    }

    /// How many problems there are; at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.problems.len()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let Some((line, column)) = problem.place {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", problem.message)?;
            if let Some(excerpt) = &problem.excerpt {
                write!(f, "\n{excerpt}")?;
            }
        }
        Ok(())
    }
}

impl Error for ConfigError {}

/// Gathers the problems of one file, so that an operator sees all of them at once.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
    tokens: NamedTokens,
}

impl<'a> Checker<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            text,
            problems: Vec::new(),
            tokens: NamedTokens::default(),
        }
    }

    /// Where tokens that have names are noted.
    pub(super) const fn tokens(&self) -> &NamedTokens {
        &self.tokens
    }

    /// Adds a problem of what stands at `location`.
    pub(super) fn wrong(&mut self, location: Location, message: impl fmt::Display) {
        let place = place(location);
        self.problems.push(Problem {
            place,
            message: one_line(&message.to_string()),
            excerpt: place.and_then(|(line, column)| excerpt(self.text, line, column)),
        });
    }

    /// Tells the log what is not wrong, and probably not meant either.
    pub(super) fn warn(&self, location: Location, message: impl fmt::Display) {
        tracing::warn!("{}:{}: {message}", self.file, location.line());
    }

    /// The value, or none and a problem at `location`.
    pub(super) fn take<T>(&mut self, location: Location, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|error| self.wrong(location, error)).ok()
    }

    /// The value, if nothing was wrong.
    ///
    /// # Errors
    ///
    /// What was wrong, from the top of the file to its end.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => {
                self.problems.sort_by_key(|problem| problem.place);
                Err(ConfigError {
                    file: self.file.to_owned(),
                    problems: self.problems,
                })
            }
        }
    }
}

/// The first and the last line of a message: what lies between them in those of regular expressions is a picture.
fn one_line(message: &str) -> String {
    match message.trim_end().split_once('\n') {
        None => message.to_owned(),
        Some((first, rest)) => format!(
            "{} {}",
            first.trim_end(),
            rest.lines().last().unwrap_or_default().trim()
        ),
    }
}

fn place(location: Location) -> Option<(usize, usize)> {
    let line = usize::try_from(location.line()).ok().filter(|&line| line > 0)?;
    Some((line, usize::try_from(location.column()).unwrap_or(1).max(1)))
}

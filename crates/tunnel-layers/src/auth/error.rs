use std::{borrow::Cow, error::Error, fmt};

/// A way of authenticating that cannot be: what is wrong, and what would be right. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfigError {
    part: &'static str,
    problem: Cow<'static, str>,
}

impl AuthConfigError {
    pub(super) fn new(part: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self {
            part,
            problem: problem.into(),
        }
    }

    /// Nobody could be let in, which nobody wants.
    pub(super) fn empty(part: &'static str) -> Self {
        Self::new(
            part,
            "there are none, so that nobody could be let in: add one, or leave authentication out",
        )
    }

    /// The same, in this file.
    #[cfg(any(feature = "auth-basic", feature = "auth-jwt"))]
    pub(super) fn in_file(self, path: &std::path::Path) -> Self {
        Self::new(self.part, format!("{}: {}", path.display(), self.problem))
    }

    /// The text of a file that has at most so many bytes.
    #[cfg(any(feature = "auth-basic", feature = "auth-jwt"))]
    pub(super) fn text_of(part: &'static str, path: &std::path::Path, most: u64) -> Result<String, Self> {
        let failed = |problem: String| Self::new(part, problem).in_file(path);
        let size = std::fs::metadata(path)
            .map_err(|error| failed(error.to_string()))?
            .len();
        if size > most {
            return Err(failed(format!("the file is larger than {most} bytes")));
        }
        std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
    }

    /// What of it is wrong, in a few words.
    #[must_use]
    pub const fn part(&self) -> &'static str {
        self.part
    }
}

impl fmt::Display for AuthConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.problem)
    }
}

impl Error for AuthConfigError {}

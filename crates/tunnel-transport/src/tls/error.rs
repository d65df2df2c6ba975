use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Certificates, keys or settings that cannot be used; the text says which file it is, what is wrong, and what would be right.
///
/// It shows nothing of what a key file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    file: Option<PathBuf>,
    message: String,
}

impl TlsError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            file: None,
            message: message.into(),
        }
    }

    pub(super) fn of(file: Option<&Path>, message: impl Into<String>) -> Self {
        Self {
            file: file.map(Path::to_owned),
            message: message.into(),
        }
    }

    /// The file that is wrong; none if it was given as bytes, or if the settings are wrong.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}

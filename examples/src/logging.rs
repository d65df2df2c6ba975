//! The log of a program, whose filter can be changed while it runs.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::fields::Fields;

/// The filter of the log. Clones are the same.
#[derive(Clone)]
pub struct LogFilter(Arc<Inner>);

struct Inner {
    text: Mutex<String>,
    set: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
}

/// Logs to the standard error: what `RUST_LOG` asks for, else `default`, such as `info`.
///
/// # Panics
///
/// Somebody has begun to log already.
pub fn log(default: &str) -> LogFilter {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let asked = asked.filter(|text| EnvFilter::try_new(text).is_ok());
    let text = asked.unwrap_or_else(|| default.to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&text))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .fmt_fields(Fields)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    LogFilter(Arc::new(Inner {
        text: Mutex::new(text),
        set: Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())),
    }))
}

impl LogFilter {
    /// The text of the filter.
    #[must_use]
    pub fn get(&self) -> String {
        self.0.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs what this asks for from now on: a level (`error`, `warn`, `info`, `debug`, `trace`, `off`), and targets with levels of
    /// their own, with commas between them, as in `RUST_LOG`.
    ///
    /// # Errors
    ///
    /// What is wrong in it. Nothing changes then.
    pub fn set(&self, text: &str) -> Result<(), String> {
        let filter = parse(text)?;
        // Held meanwhile, so that the text is that of the filter.
        let mut current = self.0.text.lock().unwrap_or_else(PoisonError::into_inner);
        (self.0.set)(filter)?;
        text.trim().clone_into(&mut current);
        Ok(())
    }
}

/// A word that is no level would be taken for the name of a target, and all else would fall silent.
fn parse(text: &str) -> Result<EnvFilter, String> {
    let is_blank = text.trim().is_empty();
    if is_blank {
        return Err("it is empty: write a level such as info, or off".to_owned());
    }
    for part in text.split(',').map(str::trim) {
        let is_target = part.contains(['=', '[']);
        // An empty word would be a level.
        if part.is_empty() || (!is_target && part.parse::<LevelFilter>().is_err()) {
            return Err(format!(
                "`{part}` is no level: write error, warn, info, debug, trace or off, or a target with a level such as \
                 tunnel_transport=debug"
            ));
        }
    }
    EnvFilter::builder()
        .parse(text.trim())
        .map_err(|error| error.to_string())
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogFilter").field(&self.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_targets_with_levels() {
        for right in [
            "info",
            "off",
            "WARN",
            "info,tunnel_transport=debug",
            "[span{a=b}]=trace",
            " debug ",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in ["", " ", "verbose", "info,hyper", "a=loud", "info,,debug", "6"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

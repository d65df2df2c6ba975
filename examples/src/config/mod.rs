//! The configuration files of the operator's programs.
//!
//! A file is read in two steps: YAML into raw values, where unknown and double keys are errors, and raw values into what
//! the program runs with, where every text is parsed. All problems of the second step are told at once. Nothing is
//! bound or dialled, so `--check` does exactly what a start does first.

mod admin;
mod agent;
mod agents;
mod auth;
mod balance;
mod calls;
mod concurrency;
mod dns;
mod document;
mod error;
mod excerpt;
mod gateway;
mod groups;
mod grpc;
mod grpc_web;
mod guards;
mod hash;
mod health;
mod heartbeat;
mod key;
mod limits;
mod listener;
mod local;
mod noted;
mod observe;
mod outliers;
mod pairs;
mod protocol;
mod pushed;
mod rates;
mod reload;
mod retry;
mod rule_info;
mod rules;
mod secret;
mod text_or;
mod timeouts;
mod tls;
mod traces;
mod units;
mod upstream;
mod websocket;
mod yaml;

#[cfg(test)]
mod tests;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use tunnel_transport::{files::Files, upstream::AllowList};

pub(crate) use self::pushed::Pushed;
pub use self::{
    admin::Admin,
    agent::AgentConfig,
    balance::Balance,
    calls::Calls,
    document::Changes,
    error::ConfigError,
    gateway::{Access, GatewayConfig},
    guards::Guards,
    key::By,
    limits::PortLimits,
    listener::Listener,
    local::Local,
    noted::NamedTokens,
    observe::{AccessLogSettings, LogTo, MetricsSettings, Observe},
    tls::PortTls,
    traces::Traces,
};

/// What a file refers to outside of itself.
#[derive(Clone, Copy)]
struct Surroundings<'a> {
    /// Gives the value of an environment variable.
    env: &'a dyn Fn(&str) -> Option<String>,
    /// The directory that relative paths start from: the one of the file.
    directory: &'a Path,
    /// Where what is read is noted, so that changes are noticed.
    files: Option<&'a Files>,
    /// Where upstreams may be, if somebody else has named them; then they name no files either.
    allow: Option<&'a AllowList>,
}

impl Surroundings<'_> {
    /// The path of a file that is about to be read.
    fn reads(&self, path: &str) -> PathBuf {
        let path = self.directory.join(path);
        if let Some(files) = self.files {
            files.note(&path);
        }
        path
    }
}

impl GatewayConfig {
    /// Reads and checks a gateway's file.
    ///
    /// # Errors
    ///
    /// What is wrong in it, with lines.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_noting(path, &Files::new())
    }

    /// The same, and notes the files that it reads, whether they are right or not: all but those of TLS, which are watched already.
    ///
    /// # Errors
    ///
    /// What is wrong in it, with lines.
    pub fn load_noting(path: &Path, files: &Files) -> Result<Self, ConfigError> {
        load(path, gateway::parse, files)
    }
}

impl AgentConfig {
    /// Reads and checks an agent's file.
    ///
    /// # Errors
    ///
    /// What is wrong in it, with lines.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_noting(path, &Files::new())
    }

    /// The same, and notes the files that it reads, whether they are right or not: all but those of TLS, which are watched already.
    ///
    /// # Errors
    ///
    /// What is wrong in it, with lines.
    pub fn load_noting(path: &Path, files: &Files) -> Result<Self, ConfigError> {
        load(path, agent::parse, files)
    }
}

fn load<T>(
    path: &Path,
    parse: fn(&str, &str, &Surroundings<'_>) -> Result<T, ConfigError>,
    files: &Files,
) -> Result<T, ConfigError> {
    let file = path.display().to_string();
    files.note(path);
    let text = fs::read_to_string(path)
        .map_err(|error| ConfigError::whole(&file, format!("the file cannot be read: {error}")))?;
    let around = Surroundings {
        env: &|name| std::env::var(name).ok(),
        directory: path.parent().unwrap_or(Path::new("")),
        files: Some(files),
        allow: None,
    };
    parse(&file, &text, &around)
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

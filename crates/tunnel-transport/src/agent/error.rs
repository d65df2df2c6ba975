//! What goes wrong between an agent and its gateway.

use std::time::Duration;

use tunnel_core::BoxError;

use crate::generated::error_message::Code;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AgentError {
    kind: Kind,
    message: String,
    pub(super) retry_after: Option<Duration>,
    #[source]
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Config,
    Connect,
    Refused,
    Lost,
}

impl AgentError {
    /// Whether the settings are wrong: nothing was tried.
    #[must_use]
    pub fn is_config(&self) -> bool {
        self.kind == Kind::Config
    }

    /// Whether the gateway said that it does not want this agent: trying again soon does not help.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }

    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    pub(super) fn connect(message: impl Into<String>) -> Self {
        Self::new(Kind::Connect, message)
    }

    pub(super) fn lost(message: impl Into<String>) -> Self {
        Self::new(Kind::Lost, message)
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a failed call means.
    pub(super) fn from_status(what: &str, status: &tonic::Status) -> Self {
        let kind = match status.code() {
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied | tonic::Code::InvalidArgument => {
                Kind::Refused
            }
            tonic::Code::Unimplemented | tonic::Code::NotFound => Kind::Refused,
            _ => Kind::Connect,
        };
        let text = match (status.code(), status.message()) {
            (tonic::Code::Unimplemented | tonic::Code::NotFound, _) => "this is no gateway's port for agents",
            (_, "") => status.code().description(),
            (_, text) => text,
        };
        Self::new(kind, format!("{what}: {text}"))
    }

    /// What the gateway said instead of opening the session.
    pub(super) fn from_message(error: &crate::generated::ErrorMessage) -> Self {
        let kind = match error.code() {
            Code::Unauthenticated | Code::GroupNotAllowed | Code::UnsupportedRevision | Code::Invalid => {
                Kind::Refused
            }
            _ => Kind::Lost,
        };
        let mut this = Self::new(kind, format!("the gateway refused the agent: {}", error.message));
        let after = Duration::from_millis(error.retry_after_ms.into());
        this.retry_after = Some(after).filter(|after| !after.is_zero());
        this
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            source: None,
        }
    }
}

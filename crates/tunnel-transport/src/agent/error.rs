//! What goes wrong between an agent and its gateway.

use std::{fmt, time::Duration};

use tunnel_core::{BoxError, error::cause_ref};

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
    /// This process has a session with that gateway already.
    Same,
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

    /// The certificates or keys are wrong; the text of the source is in the message.
    #[cfg(feature = "tls")]
    pub(super) fn tls(error: crate::tls::TlsError) -> Self {
        Self::config(error.to_string()).with_source(error)
    }

    /// Whether the gateway has a session of this process already.
    pub(super) fn is_same(&self) -> bool {
        self.kind == Kind::Same
    }

    pub(super) fn same(message: impl Into<String>) -> Self {
        Self::new(Kind::Same, message)
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

    /// What it means that the call which opens a session failed.
    pub(super) fn from_status(status: tonic::Status) -> Self {
        use tonic::Code::{InvalidArgument, NotFound, PermissionDenied, Unauthenticated, Unimplemented};
        let text = match (status.code(), status.message()) {
            (Unimplemented | NotFound, _) => "this is no gateway's port for agents",
            (code, "") => code.description(),
            (_, text) => text,
        };
        match status.code() {
            Unauthenticated | PermissionDenied | InvalidArgument | Unimplemented | NotFound => {
                Self::new(Kind::Refused, format!("the gateway refused the agent: {text}"))
            }
            _ => Self::connect(format!("the gateway opened no session: {text}")).with_source(status),
        }
    }

    /// Says more of a connection without TLS that broke before the gateway had said anything.
    pub(super) fn at(mut self, gateway: &http::Uri) -> Self {
        let source = self.source.as_deref();
        let broke = source.is_some_and(|source| cause_ref::<hyper::Error>(source).is_some());
        if self.kind == Kind::Connect && gateway.scheme() == Some(&http::uri::Scheme::HTTP) && broke {
            self.message
                .push_str(" (if that port speaks TLS, write https instead of http)");
        }
        self
    }

    /// What the gateway said instead of opening the session.
    pub(super) fn from_message(error: &crate::generated::ErrorMessage) -> Self {
        let kind = match error.code() {
            Code::Unauthenticated | Code::GroupNotAllowed | Code::UnsupportedRevision | Code::Invalid => {
                Kind::Refused
            }
            Code::AlreadyConnected => Kind::Same,
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

/// An error and its sources, in one line.
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

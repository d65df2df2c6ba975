use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;
use tower_layer::Layer;
use tunnel_core::auth::Authenticator;

use super::{Auth, AuthConfigError, Policies, forward::PrincipalHeader};

/// Asks callers who they are; see the [module](super).
///
/// Its services, and their clones, share the authenticators and what those keep.
pub struct AuthLayer<A> {
    pub(super) settings: Settings<A>,
}

pub(super) struct Settings<A> {
    pub(super) policies: Arc<Policies<A>>,
    pub(super) header: Option<Arc<PrincipalHeader>>,
    pub(super) strip: bool,
    pub(super) grace: Option<Duration>,
}

impl<A: Authenticator> AuthLayer<A> {
    /// A layer that lets in whom this authenticator takes, except by rules that are public.
    ///
    /// It knows no policy by name: a rule that names one is answered 500.
    pub fn new(authenticator: A) -> Self {
        Self::policies(Policies::one(authenticator))
    }

    /// A layer that lets in whom the policy of the rule takes.
    #[must_use]
    pub fn policies(policies: Policies<A>) -> Self {
        Self {
            settings: Settings {
                policies: Arc::new(policies),
                header: None,
                strip: false,
                grace: None,
            },
        }
    }

    /// Tells the service inside who calls, in this header: the principal's name, of which all bytes but visible ASCII, and
    /// `%` and `,`, become the escapes of RFC 3986. What a caller sends under that name is taken away, on public rules too,
    /// in trailers, and also if it writes underscores for hyphens.
    ///
    /// # Errors
    ///
    /// The header means something to HTTP or to the tunnel.
    pub fn principal_header(mut self, name: HeaderName) -> Result<Self, AuthConfigError> {
        self.settings.header = Some(Arc::new(PrincipalHeader::new(name)?));
        Ok(self)
    }

    /// Takes `authorization` away from requests whose caller was found out, so that the credentials for the gateway do not
    /// reach the service inside. By default they go on.
    #[must_use]
    pub fn strip_credentials(mut self) -> Self {
        self.settings.strip = true;
        self
    }

    /// Ends what is still open when its caller's credentials have been expired for `grace`: responses, their bodies, and upgraded
    /// streams; see [the module](super#what-outlives-its-credentials). By default exchanges live as long as they like.
    ///
    /// Where [`Jwt`](super) grants a leeway, give at least as much, or tokens that only it keeps alive open nothing. It needs
    /// tokio's timer for callers whose credentials expire.
    #[must_use]
    pub fn end_at_expiry(mut self, grace: Duration) -> Self {
        self.settings.grace = Some(grace);
        self
    }
}

impl<S, A> Layer<S> for AuthLayer<A> {
    type Service = Auth<S, A>;

    fn layer(&self, inner: S) -> Auth<S, A> {
        Auth::new(inner, self.settings.clone())
    }
}

impl<A> Clone for AuthLayer<A> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
        }
    }
}

impl<A> Clone for Settings<A> {
    fn clone(&self) -> Self {
        Self {
            policies: self.policies.clone(),
            header: self.header.clone(),
            strip: self.strip,
            grace: self.grace,
        }
    }
}

impl<A> fmt::Debug for AuthLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("settings", &self.settings)
            .finish()
    }
}

impl<A> fmt::Debug for Settings<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("policies", &self.policies)
            .field("header", &self.header)
            .field("strip", &self.strip)
            .field("grace", &self.grace)
            .finish()
    }
}

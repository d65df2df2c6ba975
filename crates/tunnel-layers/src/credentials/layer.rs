use std::{any::type_name, fmt, sync::Arc};

use tower_layer::Layer;

use super::{Credentials, FixedCredentials, InvalidCredentials, WithCredentials};

/// Shows credentials with every request that goes out; see the [module](super).
pub struct CredentialsLayer<P> {
    provider: Arc<P>,
}

impl CredentialsLayer<FixedCredentials> {
    /// Shows this bearer token.
    ///
    /// # Errors
    ///
    /// As [`FixedCredentials::bearer`].
    pub fn bearer(token: &str) -> Result<Self, InvalidCredentials> {
        FixedCredentials::bearer(token).map(Self::new)
    }

    /// Shows this user name and password.
    ///
    /// # Errors
    ///
    /// As [`FixedCredentials::basic`].
    pub fn basic(user: &str, password: &str) -> Result<Self, InvalidCredentials> {
        FixedCredentials::basic(user, password).map(Self::new)
    }
}

impl<P: Credentials> CredentialsLayer<P> {
    /// Shows what this provider knows. All services that the layer makes share it.
    pub fn new(provider: P) -> Self {
        Self {
            provider: Arc::new(provider),
        }
    }
}

impl<S, P> Layer<S> for CredentialsLayer<P> {
    type Service = WithCredentials<S, P>;

    fn layer(&self, inner: S) -> WithCredentials<S, P> {
        WithCredentials::new(inner, self.provider.clone())
    }
}

impl<P> Clone for CredentialsLayer<P> {
    fn clone(&self) -> Self {
        Self {
            provider: self.provider.clone(),
        }
    }
}

impl<P> fmt::Debug for CredentialsLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsLayer")
            .field("provider", &type_name::<P>())
            .finish()
    }
}

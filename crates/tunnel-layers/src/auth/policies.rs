use std::{any::type_name, collections::HashMap, fmt, sync::Arc};

use tunnel_core::{
    Access, Routed, TunnelError,
    auth::{Authenticator, BoxAuthenticator},
};

use super::AuthConfigError;

/// Authenticators by the names that rules know them by, and what holds for rules that name none.
///
/// Until [`default_policy`](Self::default_policy) or [`public_by_default`](Self::public_by_default) says what that is,
/// requests of such rules are answered 500: a rule that was forgotten is not open to everybody.
///
/// ```
/// use tunnel_core::auth::Authenticator;
/// use tunnel_layers::auth::{AuthLayer, BearerToken, BearerTokens, MutualTls, Policies};
///
/// let tokens = BearerTokens::new([BearerToken::new("ci", "0123456789abcdef")?])?;
/// let machines = MutualTls::new(["uri:spiffe://prod/*".parse()?])?;
/// let policies = Policies::new([("tokens", tokens.boxed()), ("machines", machines.boxed())])?
///     .default_policy("tokens")?;
/// let layer = AuthLayer::policies(policies);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Policies<A = BoxAuthenticator> {
    default: Default<A>,
    named: HashMap<Arc<str>, Arc<A>>,
}

enum Default<A> {
    Unset,
    Public,
    Policy(Arc<A>),
}

/// Whom to ask about a request.
pub(super) enum Choice<'a, A> {
    Nobody,
    Ask(&'a A),
    /// A defect of the configuration.
    Unknown(TunnelError),
}

impl<A: Authenticator> Policies<A> {
    /// These policies.
    ///
    /// # Errors
    ///
    /// There is none, or two have the same name.
    pub fn new<N: Into<Arc<str>>>(
        policies: impl IntoIterator<Item = (N, A)>,
    ) -> Result<Self, AuthConfigError> {
        let mut named = HashMap::new();
        for (name, authenticator) in policies {
            let name: Arc<str> = name.into();
            if named.insert(name.clone(), Arc::new(authenticator)).is_some() {
                let problem = format!("there are two with the name {name:?}");
                return Err(AuthConfigError::new("policies", problem));
            }
        }
        if named.is_empty() {
            return Err(AuthConfigError::empty("policies"));
        }
        Ok(Self {
            default: Default::Unset,
            named,
        })
    }

    /// One policy without a name, which holds for all rules.
    pub(super) fn one(authenticator: A) -> Self {
        Self {
            default: Default::Policy(Arc::new(authenticator)),
            named: HashMap::new(),
        }
    }

    /// Lets this policy hold for rules that name none, and for requests without a rule.
    ///
    /// # Errors
    ///
    /// There is no policy with this name.
    pub fn default_policy(mut self, name: &str) -> Result<Self, AuthConfigError> {
        let policy = self.named.get(name).ok_or_else(|| unknown(name))?;
        self.default = Default::Policy(policy.clone());
        Ok(self)
    }

    /// Lets everybody in by rules that name no policy, and where there is no rule.
    #[must_use]
    pub fn public_by_default(mut self) -> Self {
        self.default = Default::Public;
        self
    }

    /// Checks that every policy that rules ask for is here: `policies.check(rules.policies())`.
    ///
    /// # Errors
    ///
    /// The first name that is not here.
    pub fn check<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<(), AuthConfigError> {
        match names.into_iter().find(|name| !self.named.contains_key(*name)) {
            Some(name) => Err(unknown(name)),
            None => Ok(()),
        }
    }

    pub(super) fn choose(&self, routed: Option<&Routed>) -> Choice<'_, A> {
        let found = match routed.map(|routed| &routed.access) {
            Some(Access::Public) => return Choice::Nobody,
            Some(Access::Policy(name)) => self.named.get(name),
            Some(Access::Default) | None => match &self.default {
                Default::Public => return Choice::Nobody,
                Default::Policy(policy) => Some(policy),
                Default::Unset => None,
            },
        };
        match found {
            Some(policy) => Choice::Ask(policy),
            None => Choice::Unknown(TunnelError::internal(
                "the rule does not say who may call: name a policy that AuthLayer knows, or give it a default",
            )),
        }
    }
}

fn unknown(name: &str) -> AuthConfigError {
    AuthConfigError::new("policies", format!("there is none with the name {name:?}"))
}

impl<A> fmt::Debug for Policies<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.named.keys().collect();
        names.sort();
        f.debug_struct("Policies")
            .field(
                "default",
                &match self.default {
                    Default::Unset => "none",
                    Default::Public => "public",
                    Default::Policy(_) => "a policy",
                },
            )
            .field("named", &names)
            .field("authenticator", &type_name::<A>())
            .finish()
    }
}

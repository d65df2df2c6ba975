//! What a rule says about who may call.

use std::sync::Arc;

use tunnel_core::Access;

use super::{
    compiled::check_name,
    error::Fault,
    rule::{Action, Rule},
};

/// Who may call. By default it is whom the default of the authenticating layer takes.
impl Rule {
    /// Lets everybody in. [`AuthLayer`](crate::auth) asks for no credentials then.
    pub fn public(mut self) -> Self {
        self.access = Access::Public;
        self
    }

    /// Lets in whom the policy with this name takes: 1 to 128 visible ASCII characters, one of those that the
    /// authenticating layer was given. A rule that answers itself can have none, because that layer stands further in.
    pub fn policy(mut self, name: impl Into<Arc<str>>) -> Self {
        self.access = Access::Policy(name.into());
        self
    }
}

/// That a policy has a name, and that the layer which knows it gets to see the request.
pub(super) fn check_access(access: &Access, action: &Action) -> Result<(), Fault> {
    let Access::Policy(name) = access else {
        return Ok(());
    };
    check_name("policy", name)?;
    match action {
        Action::Direct(_) => Err(Fault::new(
            "policy",
            "a rule that answers itself does so before anybody is asked for credentials: leave the policy out, or send the \
             request to a group",
        )),
        Action::Group(_) | Action::Upstream(_) => Ok(()),
    }
}

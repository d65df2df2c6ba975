//! Credentials that are taken back while a session lives.

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tunnel_core::SessionId;

use super::{AgentCredentials, AgentIdentity, AuthRejection, Gateway, registry::Entry};

/// Looks at the credentials of a session again and again, and ends when they are no longer good for it.
pub(super) async fn revoked(
    gateway: &Gateway,
    credentials: AgentCredentials,
    session: SessionId,
) -> AuthRejection {
    let period = gateway.0.recheck;
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match gateway.0.auth.authenticate(credentials.clone()).await {
            Err(rejection) if rejection.is_temporary() => {
                tracing::warn!(session.id = %session, error = %rejection, "an agent's credentials could not be checked");
            }
            Err(rejection) => return rejection,
            Ok(identity) => {
                if let Some(entry) = gateway.0.registry.find(session)
                    && !allows(&identity, &entry)
                {
                    return AuthRejection::new(
                        "the credentials no longer allow what the agent has registered",
                    );
                }
            }
        }
    }
}

fn allows(identity: &AgentIdentity, entry: &Entry) -> bool {
    // Its name is part of what keeps others out of the session.
    identity.name == entry.credentials
        && entry.groups.iter().all(|group| identity.groups.allows(group))
        && entry
            .services
            .iter()
            .all(|service| identity.services.allows(service))
}

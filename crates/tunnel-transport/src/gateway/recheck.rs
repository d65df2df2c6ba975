//! Credentials that are taken back, or replaced, while a session lives.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tunnel_core::SessionId;

use super::{AgentCredentials, AgentIdentity, AuthRejection, Gateway, registry::Entry};
use crate::entry::Certificate;

/// The least time after a look at credentials that an agent has shown of its own accord: a look may cost a call to somebody else, or
/// a hash.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at the newest credentials of a session again and again, as soon as there are others, and when the gateway is told to; and at the certificate of its
/// connection. Ends when they are no longer good for it; the rejection is temporary where the agent may come again at once.
pub(super) async fn revoked(
    gateway: &Gateway,
    mut newest: watch::Receiver<AgentCredentials>,
    mut looked: watch::Receiver<u64>,
    certificate: Option<Certificate>,
    session: SessionId,
) -> AuthRejection {
    let period = gateway.0.recheck;
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let are_new = tokio::select! {
            _ = ticks.tick() => false,
            Ok(()) = newest.changed() => true,
            // The sender lives in the gateway.
            _ = looked.changed() => false,
        };
        if let Some(Err(error)) = certificate.as_ref().map(Certificate::verify) {
            // Its files may have a new one already. If not, the handshake says so.
            return AuthRejection::temporary(format!(
                "the agent's certificate is not valid any more: {error}"
            ));
        }
        let credentials = newest.borrow_and_update().clone();
        match gateway.authenticate(credentials).await {
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
        if are_new {
            sleep(PAUSE).await;
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
        && entry.hosts.iter().all(|host| identity.hosts.allows(host))
}

//! Tokens that have names, noted while a file is read: those that were revoked stay so while they are the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use super::units::Secret;

/// The tokens of a file by their names, and the names that are revoked. Clones are the same.
#[derive(Clone, Default)]
pub struct NamedTokens {
    /// Several may have one name: those of agents and those of callers are named apart.
    of_agents: Arc<RwLock<Tokens>>,
    of_callers: Arc<RwLock<Tokens>>,
    /// The names of callers' tokens that are taken back; those of agents are known to the gateway.
    revoked: Arc<RwLock<BTreeSet<String>>>,
}

type Tokens = BTreeMap<String, Vec<Secret>>;

impl NamedTokens {
    pub(super) fn note_agent(&self, name: &str, secret: &Secret) {
        note(&self.of_agents, name, secret);
    }

    pub(super) fn note_caller(&self, name: &str, secret: &Secret) {
        note(&self.of_callers, name, secret);
    }

    /// The names, of agents' tokens and of callers'.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = read(&self.of_agents).keys().cloned().collect();
        names.extend(read(&self.of_callers).keys().cloned());
        names.into_iter().collect()
    }

    /// Refuses callers that show a token with this name from now on. Tells whether there is one.
    pub fn revoke(&self, name: &str) -> bool {
        let is_known = read(&self.of_callers).contains_key(name);
        if is_known {
            self.revoked_mut().insert(name.to_owned());
        }
        is_known
    }

    /// The names of callers' tokens that are revoked.
    #[must_use]
    pub fn revoked(&self) -> Vec<String> {
        read(&self.revoked).iter().cloned().collect()
    }

    /// Whether the tokens with this name are the same in both files.
    #[must_use]
    pub fn is_same(&self, name: &str, old: &Self) -> bool {
        read(&self.of_agents).get(name) == read(&old.of_agents).get(name)
            && read(&self.of_callers).get(name) == read(&old.of_callers).get(name)
    }

    /// Takes over what was revoked and is the same. With `callers` those who look at tokens are the old ones too, and so is what they
    /// look at.
    pub(super) fn keep(&mut self, old: &Self, callers: bool) {
        if callers {
            self.revoked = old.revoked.clone();
            return;
        }
        let (new_tokens, old_tokens) = (read(&self.of_callers), read(&old.of_callers));
        let revoked = read(&old.revoked);
        let same = revoked
            .iter()
            .filter(|name| new_tokens.get(*name) == old_tokens.get(*name));
        self.revoked_mut().extend(same.cloned());
    }

    pub(super) fn is_revoked(&self, name: &str) -> bool {
        let revoked = read(&self.revoked);
        !revoked.is_empty() && revoked.contains(name)
    }

    fn revoked_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeSet<String>> {
        self.revoked.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(tokens: &RwLock<Tokens>, name: &str, secret: &Secret) {
    let mut tokens = tokens.write().unwrap_or_else(PoisonError::into_inner);
    tokens.entry(name.to_owned()).or_default().push(secret.clone());
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for NamedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedTokens")
            .field("names", &self.names())
            .field("revoked", &self.revoked())
            .finish()
    }
}

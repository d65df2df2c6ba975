use std::{collections::HashMap, sync::Arc};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::tls::identity::Loaded;

/// Several may have the same name, such as one with an RSA key beside one with an ECDSA key; the client's algorithms choose.
type Candidates = Vec<Arc<CertifiedKey>>;

/// Chooses the certificate for the name that a client asks for: the exact name, else the wildcard, else the default.
#[derive(Debug, Default)]
pub(super) struct BySni {
    exact: HashMap<String, Candidates>,
    /// By what stands behind `*.`.
    wildcard: HashMap<String, Candidates>,
    /// The first is the default.
    all: Candidates,
}

impl BySni {
    pub(super) fn add(&mut self, loaded: Loaded) {
        let Loaded { certified, names, .. } = loaded;
        for name in names {
            let candidates = match name.strip_prefix("*.") {
                Some(parent) => self.wildcard.entry(parent.to_owned()).or_default(),
                None => self.exact.entry(name).or_default(),
            };
            candidates.push(certified.clone());
        }
        self.all.push(certified);
    }

    fn named(&self, name: &str) -> Option<&Candidates> {
        let name = name.to_lowercase();
        let exact = self.exact.get(&name);
        exact.or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable = |candidates: &&Arc<CertifiedKey>| {
            candidates.key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let named = hello.server_name().and_then(|name| self.named(name));
        let found = named.and_then(|named| named.iter().find(usable));
        // A client that can use none of them is told so by the handshake.
        found.or_else(|| self.all.iter().find(usable)).cloned()
    }
}

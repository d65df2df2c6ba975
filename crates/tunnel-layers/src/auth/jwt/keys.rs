//! The keys of issuers.

use std::{fmt, path::Path};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;

use crate::auth::AuthConfigError;

/// The most keys of one issuer: a token that names none is tried with each.
pub const MAX_KEYS: usize = 32;

/// The shortest secret for HMAC, in bytes (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The largest file of keys, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The keys by which tokens are verified. Each is good for its own algorithms only: a public key never verifies an HMAC,
/// whatever a token says of itself.
///
/// `Debug` shows how many there are.
#[derive(Clone, Default)]
pub struct JwtKeys(Vec<Key>);

#[derive(Clone)]
pub(super) struct Key {
    id: Option<Box<str>>,
    /// What it is good for.
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl JwtKeys {
    /// No keys yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file: a JWK Set if it begins with `{`, else public keys in PEM. It blocks; call it before the runtime has
    /// anything to do.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is larger than 1 MiB, or has no key or one that cannot be used.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, AuthConfigError> {
        let path = path.as_ref();
        let text = AuthConfigError::text_of("keys", path, MAX_FILE_BYTES)?;
        let keys = match text.trim_start().starts_with('{') {
            true => Self::new().jwks(text.as_bytes()),
            false => Self::new().pem(&text),
        };
        keys.map_err(|error| error.in_file(path))
    }

    /// Adds the public keys in this text: RSA, P-256, P-384 or Ed25519, as `PUBLIC KEY` or `RSA PUBLIC KEY`. They have no id,
    /// so that tokens are tried with them whatever key they name.
    ///
    /// # Errors
    ///
    /// There is none, there are too many, or one is private, a certificate, or of another kind.
    pub fn pem(mut self, text: &str) -> Result<Self, AuthConfigError> {
        let blocks = pem_blocks(text)?;
        if blocks.is_empty() {
            return Err(AuthConfigError::empty("keys"));
        }
        for block in blocks {
            self.push(pem_key(block)?)?;
        }
        Ok(self)
    }

    /// Adds a secret for HMAC, which the issuer knows as well, so that whoever can verify can also issue.
    ///
    /// # Errors
    ///
    /// It has fewer than [`MIN_SECRET_BYTES`] bytes, or is a key in PEM, or there are too many keys.
    pub fn secret(mut self, id: Option<&str>, secret: &[u8]) -> Result<Self, AuthConfigError> {
        self.push(secret_key(id, secret)?)?;
        Ok(self)
    }

    /// Adds the keys of a JWK Set (RFC 7517). Those that are for encryption or of an unknown kind are left out.
    ///
    /// # Errors
    ///
    /// It is no JWK Set, no key is left, or there are too many.
    pub fn jwks(self, json: &[u8]) -> Result<Self, AuthConfigError> {
        self.jwk_set(json, true)
    }

    /// The same for what comes over the network: secrets are left out, because who publishes them has none.
    pub(super) fn public_jwks(json: &[u8]) -> Result<Self, AuthConfigError> {
        Self::new().jwk_set(json, false)
    }

    fn jwk_set(mut self, json: &[u8], secrets: bool) -> Result<Self, AuthConfigError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json)
            .map_err(|_| AuthConfigError::new("keys", "this is no JWK Set: it has no list `keys`"))?;
        let before = self.0.len();
        for jwk in set.keys {
            // RFC 7517, section 5: what is not understood is ignored.
            let Ok(jwk) = serde_json::from_value::<Jwk>(jwk) else {
                continue;
            };
            if let Some(key) = jwk_key(&jwk, secrets) {
                self.push(key)?;
            }
        }
        if self.0.len() == before {
            let problem = "the JWK Set has none that verifies signatures by an algorithm that is known";
            return Err(AuthConfigError::new("keys", problem));
        }
        Ok(self)
    }

    fn push(&mut self, key: Key) -> Result<(), AuthConfigError> {
        if self.0.len() >= MAX_KEYS {
            return Err(AuthConfigError::new(
                "keys",
                format!("there are more than {MAX_KEYS}"),
            ));
        }
        self.0.push(key);
        Ok(())
    }

    /// Those that could have made a signature: by this algorithm, and with this id if both have one.
    pub(super) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| {
            key.algorithms.contains(&algorithm)
                && match (id, &key.id) {
                    (Some(id), Some(own)) => id == &**own,
                    (None, _) | (_, None) => true,
                }
        })
    }

    /// The algorithms of which none of the keys is good for any.
    pub(super) fn serves(&self, algorithm: Algorithm) -> bool {
        self.candidates(algorithm, None).next().is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Each block with its lines of begin and end.
fn pem_blocks(text: &str) -> Result<Vec<&str>, AuthConfigError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        let block = &rest[begin..];
        let end = block
            .find("-----END ")
            .and_then(|end| block[end + 9..].find("-----").map(|dashes| end + 9 + dashes + 5))
            .ok_or_else(|| AuthConfigError::new("keys", "a block of PEM has no end"))?;
        blocks.push(&block[..end]);
        rest = &block[end..];
    }
    Ok(blocks)
}

fn pem_key(block: &str) -> Result<Key, AuthConfigError> {
    let label = block["-----BEGIN ".len()..]
        .split("-----")
        .next()
        .unwrap_or_default();
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        label if label.contains("PRIVATE") => {
            let problem = "one is private: give the public half, and let only the issuer have the other";
            return Err(AuthConfigError::new("keys", problem));
        }
        label => {
            let label: String = label.chars().take(40).collect();
            let problem =
                format!("{label:?} is no public key: write `openssl x509 -pubkey` or `openssl pkey -pubout`");
            return Err(AuthConfigError::new("keys", problem));
        }
    }
    let bytes = block.as_bytes();
    let key = DecodingKey::from_rsa_pem(bytes)
        .or_else(|_| DecodingKey::from_ec_pem(bytes))
        .or_else(|_| DecodingKey::from_ed_pem(bytes))
        .map_err(|_| AuthConfigError::new("keys", "one is not RSA, P-256, P-384 or Ed25519, or is broken"))?;
    Ok(Key {
        id: None,
        algorithms: key.family().algorithms().to_vec(),
        key,
    })
}

fn secret_key(id: Option<&str>, secret: &[u8]) -> Result<Key, AuthConfigError> {
    if secret.len() < MIN_SECRET_BYTES {
        let problem = format!("a secret has fewer than {MIN_SECRET_BYTES} bytes: use `openssl rand -hex 32`");
        return Err(AuthConfigError::new("keys", problem));
    }
    if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
        let problem =
            "a secret is a key in PEM, which others know: it is for RSA, ECDSA or EdDSA, not for HMAC";
        return Err(AuthConfigError::new("keys", problem));
    }
    Ok(Key {
        id: id.map(Into::into),
        algorithms: AlgorithmFamily::Hmac.algorithms().to_vec(),
        key: DecodingKey::from_secret(secret),
    })
}

/// None for a key that does not verify signatures, or not by what we know.
fn jwk_key(jwk: &Jwk, secrets: bool) -> Option<Key> {
    let common = &jwk.common;
    let verifies = |operations: &Vec<KeyOperations>| operations.contains(&KeyOperations::Verify);
    let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature))
        && common.key_operations.as_ref().is_none_or(verifies);
    if !is_for_signatures {
        return None;
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms().to_vec(),
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        AlgorithmParameters::OctetKey(_) if secrets => AlgorithmFamily::Hmac.algorithms().to_vec(),
        _ => return None,
    };
    if let Some(only) = &common.key_algorithm {
        let only = signature_algorithm(*only)?;
        algorithms.retain(|&algorithm| algorithm == only);
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let is_short = key.family() == AlgorithmFamily::Hmac
        && key.try_get_as_bytes().map_or(0, <[u8]>::len) < MIN_SECRET_BYTES;
    if algorithms.is_empty() || is_short {
        return None;
    }
    Some(Key {
        id: common.key_id.as_deref().map(Into::into),
        algorithms,
        key,
    })
}

fn signature_algorithm(algorithm: KeyAlgorithm) -> Option<Algorithm> {
    Some(match algorithm {
        KeyAlgorithm::HS256 => Algorithm::HS256,
        KeyAlgorithm::HS384 => Algorithm::HS384,
        KeyAlgorithm::HS512 => Algorithm::HS512,
        KeyAlgorithm::ES256 => Algorithm::ES256,
        KeyAlgorithm::ES384 => Algorithm::ES384,
        KeyAlgorithm::RS256 => Algorithm::RS256,
        KeyAlgorithm::RS384 => Algorithm::RS384,
        KeyAlgorithm::RS512 => Algorithm::RS512,
        KeyAlgorithm::PS256 => Algorithm::PS256,
        KeyAlgorithm::PS384 => Algorithm::PS384,
        KeyAlgorithm::PS512 => Algorithm::PS512,
        KeyAlgorithm::EdDSA => Algorithm::EdDSA,
        _ => return None,
    })
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtKeys({})", self.0.len())
    }
}

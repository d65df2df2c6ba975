//! What is checked of a token.

use std::{collections::HashSet, time::Duration};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, errors::ErrorKind};

use super::{
    Verdict,
    claims::{Claims, Mapping},
    keys::JwtKeys,
};
use crate::auth::challenge::BearerChallenge;

/// What tokens have to be.
#[derive(Clone, Debug)]
pub(super) struct Demands {
    /// The algorithms that are allowed, each with what is checked of its tokens: the library takes one family at a time.
    pub(super) validations: Vec<(Algorithm, Validation)>,
    /// Whether `iss` is checked.
    pub(super) has_issuer: bool,
    pub(super) token_type: Option<Box<str>>,
    pub(super) mapping: Mapping,
    pub(super) challenge: BearerChallenge,
}

/// What the keys that are known make of a token.
pub(super) enum Outcome {
    Verdict(Verdict),
    /// None of them could have made the signature: another one might.
    UnknownKey,
}

impl Demands {
    pub(super) fn validation(
        algorithm: Algorithm,
        issuers: &[String],
        audiences: &[String],
        leeway: Duration,
    ) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = leeway.as_secs();
        validation.validate_nbf = true;
        validation.required_spec_claims = HashSet::from(["exp".to_owned()]);
        if issuers.is_empty() {
            validation.iss = None;
        } else {
            validation.set_issuer(issuers);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        if audiences.is_empty() {
            validation.validate_aud = false;
        } else {
            validation.set_audience(audiences);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        validation
    }

    /// Checks a token against these keys.
    pub(super) fn check(&self, token: &str, keys: &JwtKeys) -> Outcome {
        let Ok(header) = decode_header(token) else {
            return self.invalid("the token is no JWT, or its algorithm is not known");
        };
        if let Some(reason) = self.refuse_header(&header) {
            return self.invalid(reason);
        }
        let Some((_, validation)) = self
            .validations
            .iter()
            .find(|(allowed, _)| *allowed == header.alg)
        else {
            return self.invalid("the token's algorithm is not allowed");
        };
        let mut is_known = false;
        for key in keys.candidates(header.alg, header.kid.as_deref()) {
            is_known = true;
            match decode::<Claims>(token, &key.key, validation) {
                Ok(token) => return self.judge(&token.claims),
                Err(error) => match error.kind() {
                    // Made by another key, or for another size of this one.
                    ErrorKind::InvalidSignature | ErrorKind::InvalidKeyFormat => {}
                    kind => return self.invalid(reason(kind)),
                },
            }
        }
        match is_known {
            true => self.invalid("the token's signature is not valid"),
            false => Outcome::UnknownKey,
        }
    }

    pub(super) fn unknown_key(&self) -> Verdict {
        Err(self
            .challenge
            .invalid("the token was made by a key that is not known"))
    }

    fn refuse_header(&self, header: &Header) -> Option<&'static str> {
        // RFC 7515, section 4.1.11: we understand no extension, so each that is critical makes the token invalid.
        if header.crit.is_some() {
            return Some("the token needs an extension that is not known");
        }
        if header.enc.is_some() || header.zip.is_some() {
            return Some("the token is encrypted or compressed, not signed");
        }
        let wanted = self.token_type.as_deref()?;
        let is = |typ: &str| {
            // RFC 7515, section 4.1.9: `application/` may be left out.
            let typ = typ.strip_prefix("application/").unwrap_or(typ);
            typ.eq_ignore_ascii_case(wanted)
        };
        (!header.typ.as_deref().is_some_and(is)).then_some("the token is of another type")
    }

    /// What the library leaves open.
    fn judge(&self, claims: &Claims) -> Outcome {
        // It takes a list of issuers, of which one may be ours; RFC 7519, section 4.1.1 knows one.
        if self.has_issuer && !claims.get("iss").is_some_and(serde_json::Value::is_string) {
            return self.invalid("the token's issuer is not a text");
        }
        match self.mapping.principal(claims) {
            Some(principal) => Outcome::Verdict(Ok(principal)),
            None => self.invalid("the token does not say whose it is"),
        }
    }

    fn invalid(&self, message: &'static str) -> Outcome {
        Outcome::Verdict(Err(self.challenge.invalid(message)))
    }
}

fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => "the token is meant for somebody else",
        ErrorKind::InvalidIssuer => "the token's issuer is not trusted",
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => "the token does not say when it expires",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks its issuer or its audience",
        _ => "the token cannot be read",
    }
}

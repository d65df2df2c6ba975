use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, header};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use serde_json::{Value, json};
use tunnel_core::auth::Refusal;

use super::*;

mod cases;
mod keys;
mod properties;
mod published;
mod remembered;
mod tokens;

const RSA: &str = include_str!("../testdata/rsa.pem");
const EC: &str = include_str!("../testdata/ec.pem");
const ED: &str = include_str!("../testdata/ed.pem");
const JWKS: &str = include_str!("../testdata/jwks.json");
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://id.example.com/";

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(include_bytes!("../testdata/rsa.key")).unwrap()
}

fn ec() -> EncodingKey {
    EncodingKey::from_ec_pem(include_bytes!("../testdata/ec.key")).unwrap()
}

fn secret() -> EncodingKey {
    EncodingKey::from_secret(SECRET.as_bytes())
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "api", "sub": "alice", "exp": now() + 300})
}

/// The usual claims with some of them changed; null takes one away.
fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    let all = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    claims
}

/// Header and claims as they are written, signed as it is said.
fn raw(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    // The usual choice of a backend is made when an authenticator is built.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let message = [header, claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let signature = sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn rs256(claims: &Value) -> String {
    raw(
        r#"{"alg":"RS256","kid":"rsa"}"#,
        &claims.to_string(),
        &rsa(),
        Algorithm::RS256,
    )
}

fn builder(keys: JwtKeys) -> JwtBuilder {
    Jwt::builder(keys)
        .algorithm(Algorithm::RS256)
        .issuer(ISSUER)
        .audience("api")
}

fn by_rsa() -> Jwt {
    builder(JwtKeys::new().pem(RSA).unwrap()).build().unwrap()
}

async fn ask(jwt: &Jwt, token: &str) -> Result<Principal, Rejection> {
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    jwt.authenticate(&AuthRequest::of(&parts)).await
}

async fn why(jwt: &Jwt, token: &str) -> String {
    match ask(jwt, token).await {
        Ok(principal) => format!("taken as {}", principal.name()),
        Err(rejection) => {
            let challenge = rejection.challenges()[0].to_str().unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
            assert_eq!(rejection.refusal(), Refusal::Invalid);
            rejection.message().to_owned()
        }
    }
}

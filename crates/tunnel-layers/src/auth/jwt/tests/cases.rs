//! Every way in which a token can be wrong.

use super::*;

pub(super) const NO_JWT: &str = "the token is no JWT, or its algorithm is not known";
pub(super) const NOT_ALLOWED: &str = "the token's algorithm is not allowed";
pub(super) const SIGNATURE: &str = "the token's signature is not valid";
pub(super) const EXPIRED: &str = "the token has expired";
pub(super) const NO_EXPIRY: &str = "the token does not say when it expires";
pub(super) const AUDIENCE: &str = "the token is meant for somebody else";
pub(super) const ISSUER_UNKNOWN: &str = "the token's issuer is not trusted";
pub(super) const LACKS: &str = "the token lacks its issuer or its audience";
pub(super) const UNREADABLE: &str = "the token cannot be read";
pub(super) const EXTENSION: &str = "the token needs an extension that is not known";
pub(super) const KEY: &str = "the token was made by a key that is not known";
pub(super) const NAMELESS: &str = "the token does not say whose it is";

pub(super) fn header(header: &str) -> String {
    raw(header, &claims().to_string(), &rsa(), Algorithm::RS256)
}

pub(super) fn changed(changes: &Value) -> String {
    rs256(&claims_with(changes))
}

fn without_signature(header: &str) -> String {
    let parts = [header, &claims().to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{}.", parts.join("."))
}

/// The public key, as an HMAC's secret: what a server with one list of keys and algorithms falls for.
fn by_public_key(algorithm: Algorithm, name: &str) -> String {
    let key = EncodingKey::from_secret(RSA.as_bytes());
    raw(
        &format!(r#"{{"alg":"{name}"}}"#),
        &claims().to_string(),
        &key,
        algorithm,
    )
}

fn cut(token: &str, part: usize, with: impl Fn(&str) -> String) -> String {
    let parts = token.split('.').enumerate();
    let parts: Vec<_> = parts
        .map(|(index, text)| {
            if index == part {
                with(text)
            } else {
                text.to_owned()
            }
        })
        .collect();
    parts.join(".")
}

/// What is wrong with each, and what is said of it.
fn cases() -> Vec<(&'static str, String, &'static str)> {
    let good = rs256(&claims());
    let twice = format!(
        r#"{{"iss":"{ISSUER}","aud":"api","sub":"a","exp":1,"exp":{}}}"#,
        now() + 300
    );
    vec![
        ("nothing", good.clone(), "taken as alice"),
        ("alg none", without_signature(r#"{"alg":"none"}"#), NO_JWT),
        ("alg None", without_signature(r#"{"alg":"None"}"#), NO_JWT),
        ("alg none with a signature", header(r#"{"alg":"none"}"#), NO_JWT),
        ("no alg", header(r#"{"typ":"JWT"}"#), NO_JWT),
        ("alg of another type", header(r#"{"alg":["RS256"]}"#), NO_JWT),
        ("alg not known", header(r#"{"alg":"ES512"}"#), NO_JWT),
        ("alg twice", header(r#"{"alg":"none","alg":"RS256"}"#), NO_JWT),
        (
            "HMAC by the public key",
            by_public_key(Algorithm::HS256, "HS256"),
            NOT_ALLOWED,
        ),
        (
            "HMAC that says it is RSA",
            by_public_key(Algorithm::HS256, "RS256"),
            SIGNATURE,
        ),
        (
            "an algorithm of the key that is not allowed",
            raw(
                r#"{"alg":"RS512"}"#,
                &claims().to_string(),
                &rsa(),
                Algorithm::RS512,
            ),
            NOT_ALLOWED,
        ),
        (
            "signed by another algorithm than it says",
            header(r#"{"alg":"PS256"}"#),
            NOT_ALLOWED,
        ),
        (
            "signed by a key for something else",
            raw(
                r#"{"alg":"ES256"}"#,
                &claims().to_string(),
                &ec(),
                Algorithm::ES256,
            ),
            NOT_ALLOWED,
        ),
        ("no signature", without_signature(r#"{"alg":"RS256"}"#), SIGNATURE),
        (
            "a signature of something else",
            cut(&good, 1, |_| {
                URL_SAFE_NO_PAD.encode(claims_with(&json!({"sub": "root"})).to_string())
            }),
            SIGNATURE,
        ),
        (
            "half a signature",
            cut(&good, 2, |text| text[..text.len() / 2 - 3].to_owned()),
            SIGNATURE,
        ),
        (
            "a signature that is no base64",
            cut(&good, 2, |text| format!("{}+/", &text[..10])),
            UNREADABLE,
        ),
        (
            "a header that is no base64",
            cut(&good, 0, |text| format!("{text}~")),
            NO_JWT,
        ),
        (
            "a header that is no JSON",
            cut(&good, 0, |_| URL_SAFE_NO_PAD.encode("hello")),
            NO_JWT,
        ),
        (
            "claims that are no JSON",
            raw(r#"{"alg":"RS256"}"#, "hello", &rsa(), Algorithm::RS256),
            UNREADABLE,
        ),
        (
            "claims that are a list",
            raw(r#"{"alg":"RS256"}"#, "[]", &rsa(), Algorithm::RS256),
            UNREADABLE,
        ),
        (
            "a claim twice",
            raw(r#"{"alg":"RS256"}"#, &twice, &rsa(), Algorithm::RS256),
            UNREADABLE,
        ),
        ("two parts", good.rsplit_once('.').unwrap().0.to_owned(), NO_JWT),
        ("four parts", format!("{good}.x"), NO_JWT),
        ("five parts, as an encrypted one", format!("{good}.x.y"), NO_JWT),
        ("one part", "x".to_owned(), NO_JWT),
        ("expired", changed(&json!({"exp": now() - 31})), EXPIRED),
        ("expired long ago", changed(&json!({"exp": 0})), EXPIRED),
        (
            "expired within the leeway",
            changed(&json!({"exp": now() - 20})),
            "taken as alice",
        ),
        ("no exp", changed(&json!({"exp": null})), NO_EXPIRY),
        ("exp as text", changed(&json!({"exp": "4102444800"})), NO_EXPIRY),
        ("exp before the epoch", changed(&json!({"exp": -1})), NO_EXPIRY),
        (
            "exp with a fraction",
            changed(&json!({"exp": 4_102_444_800.5})),
            "taken as alice",
        ),
        (
            "not valid yet",
            changed(&json!({"nbf": now() + 60})),
            "the token is not valid yet",
        ),
        (
            "not valid yet, within the leeway",
            changed(&json!({"nbf": now() + 20})),
            "taken as alice",
        ),
        ("nbf as text", changed(&json!({"nbf": "0"})), UNREADABLE),
        ("another audience", changed(&json!({"aud": "web"})), AUDIENCE),
        (
            "other audiences",
            changed(&json!({"aud": ["web", "apis"]})),
            AUDIENCE,
        ),
        (
            "our audience among others",
            changed(&json!({"aud": ["web", "api"]})),
            "taken as alice",
        ),
        ("no audience", changed(&json!({"aud": null})), LACKS),
        (
            "an empty list of audiences",
            changed(&json!({"aud": []})),
            AUDIENCE,
        ),
        ("an audience of another type", changed(&json!({"aud": 7})), LACKS),
        (
            "another issuer",
            changed(&json!({"iss": "https://id.example.com"})),
            ISSUER_UNKNOWN,
        ),
        ("no issuer", changed(&json!({"iss": null})), LACKS),
        (
            "issuers in a list",
            changed(&json!({"iss": [ISSUER]})),
            "the token's issuer is not a text",
        ),
        ("no subject", changed(&json!({"sub": null})), NAMELESS),
        ("an empty subject", changed(&json!({"sub": ""})), NAMELESS),
        ("crit", header(r#"{"alg":"RS256","crit":["exp"]}"#), EXTENSION),
        (
            "crit of nothing",
            header(r#"{"alg":"RS256","crit":[]}"#),
            EXTENSION,
        ),
        (
            "crit with b64",
            header(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#),
            EXTENSION,
        ),
        (
            "zip",
            header(r#"{"alg":"RS256","zip":"DEF"}"#),
            "the token is encrypted or compressed, not signed",
        ),
    ]
}

#[tokio::test]
async fn every_token_is_judged_and_told_why() {
    let jwt = by_rsa();
    let cases = cases();
    assert!(cases.len() > 45);
    for (name, token, expected) in cases {
        assert_eq!(why(&jwt, &token).await, expected, "{name}");
    }
}

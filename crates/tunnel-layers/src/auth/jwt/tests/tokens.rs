use super::*;

const NO_JWT: &str = "the token is no JWT, or its algorithm is not known";
const NOT_ALLOWED: &str = "the token's algorithm is not allowed";
const SIGNATURE: &str = "the token's signature is not valid";
const EXPIRED: &str = "the token has expired";
const NO_EXPIRY: &str = "the token does not say when it expires";
const AUDIENCE: &str = "the token is meant for somebody else";
const ISSUER_UNKNOWN: &str = "the token's issuer is not trusted";
const LACKS: &str = "the token lacks its issuer or its audience";
const UNREADABLE: &str = "the token cannot be read";
const EXTENSION: &str = "the token needs an extension that is not known";
const KEY: &str = "the token was made by a key that is not known";
const NAMELESS: &str = "the token does not say whose it is";

fn header(header: &str) -> String {
    raw(header, &claims().to_string(), &rsa(), Algorithm::RS256)
}

fn changed(changes: &Value) -> String {
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

#[tokio::test]
async fn a_key_that_a_token_brings_is_not_believed() {
    let jwk: Value = serde_json::from_str(JWKS).unwrap();
    let jwt = builder(JwtKeys::new().pem(RSA).unwrap()).build().unwrap();
    let other = EncodingKey::from_ec_pem(include_bytes!("../testdata/other.key")).unwrap();
    for header in [
        json!({"alg": "ES256", "jwk": jwk["keys"][1]}),
        json!({"alg": "ES256", "jku": "https://evil.example/keys"}),
        json!({"alg": "ES256", "x5u": "https://evil.example/cert"}),
        json!({"alg": "ES256", "kid": "../../../../dev/null"}),
    ] {
        let token = raw(
            &header.to_string(),
            &claims().to_string(),
            &other,
            Algorithm::ES256,
        );
        assert_eq!(why(&jwt, &token).await, NOT_ALLOWED);
        let both = builder(JwtKeys::new().pem(RSA).unwrap().pem(EC).unwrap())
            .algorithm(Algorithm::ES256)
            .build()
            .unwrap();
        assert_eq!(why(&both, &token).await, SIGNATURE);
    }
}

#[tokio::test]
async fn a_token_comes_once_and_is_not_too_long() {
    let jwt = by_rsa();
    let token = rs256(&claims());
    let (parts, ()) = Request::get("/")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap()
        .into_parts();
    let twice = jwt.authenticate(&AuthRequest::of(&parts)).await;
    assert_eq!(twice.unwrap_err().refusal(), Refusal::Malformed);

    let long = changed(&json!({"filler": "x".repeat(8_000)}));
    assert_eq!(why(&jwt, &long).await, "the token is too long");
    let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
    let none = jwt.authenticate(&AuthRequest::of(&parts)).await;
    assert_eq!(none.unwrap_err().refusal(), Refusal::Missing);
    assert_eq!(
        why(&jwt, "a b").await,
        "the token has characters that no token has"
    );
}

#[tokio::test]
async fn a_key_with_an_id_verifies_tokens_that_name_it_or_none() {
    let keys = JwtKeys::new().jwks(JWKS.as_bytes()).unwrap();
    let jwt = builder(keys).build().unwrap();
    let with = |header: &str| raw(header, &claims().to_string(), &rsa(), Algorithm::RS256);
    for (header, expected) in [
        (r#"{"alg":"RS256","kid":"rsa"}"#, "taken as alice"),
        (r#"{"alg":"RS256"}"#, "taken as alice"),
        (r#"{"alg":"RS256","kid":"other"}"#, KEY),
        // A key for another algorithm.
        (r#"{"alg":"RS256","kid":"ec"}"#, KEY),
        (r#"{"alg":"RS256","kid":""}"#, KEY),
        (r#"{"alg":"RS256","kid":7}"#, NO_JWT),
    ] {
        assert_eq!(why(&jwt, &with(header)).await, expected, "{header}");
    }
}

#[tokio::test]
async fn tokens_of_another_implementation_are_read() {
    let keys = JwtKeys::new()
        .jwks(JWKS.as_bytes())
        .unwrap()
        .secret(Some("hmac"), SECRET.as_bytes())
        .unwrap();
    let all = [
        Algorithm::RS256,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::HS256,
    ];
    let builder = all.iter().fold(Jwt::builder(keys), |builder, &algorithm| {
        builder.algorithm(algorithm)
    });
    let jwt = builder.issuer(ISSUER).audience("api").build().unwrap();
    let tokens = include_str!("../testdata/pyjwt.txt");
    assert_eq!(tokens.lines().count(), all.len());
    for line in tokens.lines() {
        let (algorithm, token) = line.split_once(' ').unwrap();
        let principal = ask(&jwt, token).await.expect(algorithm);
        assert_eq!((principal.name(), principal.scheme()), ("alice", "jwt"));
        assert!(principal.has(Principal::SCOPE, "write") && principal.has(Principal::GROUPS, "staff"));
        assert_eq!(
            principal.expires(),
            Some(std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_102_444_800))
        );
        let other = by_rsa();
        let expected = if algorithm == "RS256" {
            "taken as alice"
        } else {
            NOT_ALLOWED
        };
        assert_eq!(why(&other, token).await, expected, "{algorithm}");
    }
}

/// RFC 7515, appendices A.1 to A.3: their signatures are good, and they expired in 2011.
#[tokio::test]
async fn the_examples_of_the_standard_are_read() {
    const CLAIMS: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let jwks = json!({"keys": [
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
        {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
         "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    ]});
    let jwt = Jwt::builder(JwtKeys::new().jwks(jwks.to_string().as_bytes()).unwrap())
        .algorithm(Algorithm::HS256)
        .algorithm(Algorithm::ES256)
        .issuer("joe")
        .any_audience()
        .build()
        .unwrap();
    let hs256 = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let es256 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    for token in [hs256, es256] {
        assert_eq!(why(&jwt, &token).await, EXPIRED);
        let last = token.len() - 3;
        let broken = format!(
            "{}{}{}",
            &token[..last],
            if &token[last..=last] == "A" { "B" } else { "A" },
            &token[last + 1..]
        );
        assert_eq!(why(&jwt, &broken).await, SIGNATURE);
    }
}

#[tokio::test]
async fn a_type_may_be_demanded() {
    let jwt = builder(JwtKeys::new().pem(RSA).unwrap())
        .token_type("at+jwt")
        .build()
        .unwrap();
    for (header_text, expected) in [
        (r#"{"alg":"RS256","typ":"at+jwt"}"#, "taken as alice"),
        (r#"{"alg":"RS256","typ":"application/AT+JWT"}"#, "taken as alice"),
        (r#"{"alg":"RS256","typ":"JWT"}"#, "the token is of another type"),
        (r#"{"alg":"RS256"}"#, "the token is of another type"),
    ] {
        assert_eq!(why(&jwt, &header(header_text)).await, expected, "{header_text}");
    }
}

#[tokio::test]
async fn nothing_of_a_token_is_printed() {
    let token = changed(&json!({"sub": "alice", "password": "hush-hush"}));
    let jwt = by_rsa();
    let (parts, ()) = Request::get("/")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap()
        .into_parts();
    let future = jwt.authenticate(&AuthRequest::of(&parts));
    for text in [
        format!("{future:?}"),
        format!("{jwt:?}"),
        format!("{:?}", future.await),
    ] {
        assert!(!text.contains(&token[..20]) && !text.contains("hush"), "{text}");
    }
    let broken = ask(&jwt, &format!("{token}x")).await.unwrap_err();
    assert!(!format!("{broken:?}").contains(&token[..20]));
}

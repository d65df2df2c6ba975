use proptest::prelude::*;

use super::{
    cases::{EXPIRED, KEY, NO_JWT, NOT_ALLOWED, SIGNATURE, changed, header as with_header},
    *,
};

/// What keys say of a token, without waiting for it.
fn is_taken(jwt: &Jwt, token: &str) -> bool {
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let verdict = futures_util::FutureExt::now_or_never(jwt.authenticate(&AuthRequest::of(&parts)));
    verdict.expect("given keys need no waiting").is_ok()
}

proptest! {
    #[test]
    fn nothing_but_a_token_is_taken(
        token in prop_oneof!["[A-Za-z0-9_.-]{0,80}", "eyJ[A-Za-z0-9_-]{0,60}\\.eyJ[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}"],
        at in any::<prop::sample::Index>(),
        bit in 0..6_u32,
    ) {
        let jwt = by_rsa();
        prop_assert!(!is_taken(&jwt, &token));
        // A good one, of which one character is another one.
        let good = include_str!("../testdata/pyjwt.txt").lines().next().unwrap();
        let good = good.strip_prefix("RS256 ").unwrap();
        prop_assert!(is_taken(&jwt, good));
        let mut bytes = good.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(bytes)
            && changed.bytes().all(|byte| byte.is_ascii_graphic())
        {
            prop_assert!(!is_taken(&jwt, &changed), "{}", changed);
        }
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
        assert_eq!(
            why(&jwt, &with_header(header_text)).await,
            expected,
            "{header_text}"
        );
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

use proptest::prelude::*;

use super::*;

fn part<T>(result: Result<T, AuthConfigError>) -> &'static str {
    result.err().expect("refused").part()
}

#[test]
fn what_is_no_public_key_is_refused() {
    let private = include_str!("../testdata/rsa.key");
    for text in [
        "",
        "hello",
        private,
        "-----BEGIN PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &format!("{RSA}{private}"),
    ] {
        let error = JwtKeys::new().pem(text).unwrap_err();
        assert_eq!(error.part(), "keys");
        assert!(!error.to_string().contains("AAAA"));
    }
    assert!(JwtKeys::new().pem(&format!("{RSA}\n{EC}{ED}")).is_ok());
    assert!(JwtKeys::new().pem(&EC.repeat(MAX_KEYS + 1)).is_err());
}

#[test]
fn weak_secrets_are_refused() {
    let secret = |secret: &str| JwtKeys::new().secret(None, secret.as_bytes());
    assert!(secret(SECRET).is_ok());
    assert!(secret(&SECRET[1..]).is_err());
    assert!(secret(RSA).is_err());
    assert!(secret(&format!("\n{EC}")).is_err());
}

#[test]
fn keys_of_a_set_that_do_not_verify_are_left_out() {
    let short = json!({"kty": "oct", "k": "c2hvcnQ"});
    let oct = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let ec: Value = serde_json::from_str::<Value>(JWKS).unwrap()["keys"][1].clone();
    let with = |name: &str, value: Value| {
        let mut key = ec.clone();
        key[name] = value;
        key
    };
    let none = [
        short,
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("RS256")),
        with("alg", json!("ES512")),
        with("crv", json!("P-521")),
        with("crv", json!("secp256k1")),
        with("kty", json!("XYZ")),
        with("x", json!("!")),
        json!("key"),
    ];
    let set = |keys: &[Value]| json!({"keys": keys}).to_string();
    for key in &none {
        assert_eq!(
            part(JwtKeys::new().jwks(set(std::slice::from_ref(key)).as_bytes())),
            "keys",
            "{key}"
        );
    }
    let mut some = none.to_vec();
    some.push(with("alg", json!("ES256")));
    let keys = JwtKeys::new().jwks(set(&some).as_bytes()).unwrap();
    assert!(keys.serves(Algorithm::ES256) && !keys.serves(Algorithm::ES384));

    // A secret that is published is none.
    let oct = set(&[oct]);
    assert!(
        JwtKeys::new()
            .jwks(oct.as_bytes())
            .unwrap()
            .serves(Algorithm::HS256)
    );
    assert!(JwtKeys::public_jwks(oct.as_bytes()).is_err());
    for text in ["", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]}"] {
        assert!(JwtKeys::new().jwks(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn files_are_read_as_what_they_are() {
    let path = |name: &str| format!("{}/src/auth/jwt/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    assert!(JwtKeys::read(path("rsa.pem")).unwrap().serves(Algorithm::PS384));
    assert!(JwtKeys::read(path("jwks.json")).unwrap().serves(Algorithm::EdDSA));
    let error = JwtKeys::read(path("rsa.key")).unwrap_err().to_string();
    assert!(error.contains("rsa.key") && error.contains("private"), "{error}");
    assert!(JwtKeys::read(path("nothing")).is_err());
}

#[test]
fn what_would_let_everybody_or_nobody_in_is_refused() {
    let keys = || JwtKeys::new().pem(RSA).unwrap();
    assert_eq!(part(builder(JwtKeys::new()).build()), "keys");
    assert_eq!(
        part(Jwt::builder(keys()).issuer("a").audience("b").build()),
        "algorithms"
    );
    assert_eq!(part(builder(keys()).algorithm(Algorithm::HS256).build()), "keys");
    assert_eq!(part(builder(keys()).any_issuer().build()), "issuer");
    assert_eq!(part(builder(keys()).any_audience().build()), "audience");
    let only = || Jwt::builder(keys()).algorithm(Algorithm::RS256);
    assert_eq!(part(only().audience("a").build()), "issuer");
    assert_eq!(part(only().issuer("a").build()), "audience");
    assert_eq!(part(builder(keys()).leeway(MAX_LEEWAY * 2).build()), "leeway");
    assert!(only().any_issuer().any_audience().build().is_ok());
}

proptest! {
    #[test]
    fn any_text_is_keys_or_not(
        text in prop_oneof![
            "\\PC{0,80}",
            "(-----BEGIN (RSA )?(PUBLIC|PRIVATE) KEY-----\n?[A-Za-z0-9+/=\n]{0,40}\n?(-----END PUBLIC KEY-----)?){1,3}",
            "\\{\"keys\":\\[\\{\"kty\":\"(RSA|EC|OKP|oct)\",\"(crv|n|e|x|k)\":\"[A-Za-z0-9_-]{0,50}\"\\}\\]\\}",
        ],
    ) {
        let _ = JwtKeys::new().pem(&text);
        let _ = JwtKeys::new().jwks(text.as_bytes());
        prop_assert!(JwtKeys::public_jwks(text.as_bytes()).is_err() || text.contains("\"kty\""));
    }
}

#[tokio::test]
async fn secrets_serve_their_own_algorithms_only() {
    let keys = JwtKeys::new()
        .secret(None, SECRET.as_bytes())
        .unwrap()
        .pem(RSA)
        .unwrap();
    let jwt = builder(keys).algorithm(Algorithm::HS256).build().unwrap();
    let claims = claims().to_string();
    let good = raw(r#"{"alg":"HS256"}"#, &claims, &secret(), Algorithm::HS256);
    assert_eq!(why(&jwt, &good).await, "taken as alice");
    // Both algorithms are allowed, and still the public key is no secret.
    let key = EncodingKey::from_secret(RSA.as_bytes());
    let forged = raw(r#"{"alg":"HS256"}"#, &claims, &key, Algorithm::HS256);
    assert_eq!(why(&jwt, &forged).await, "the token's signature is not valid");
}

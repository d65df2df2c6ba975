//! Tokens that are configured.

use super::*;

#[tokio::test]
async fn credentials_can_be_taken_back_while_they_are_in_use() {
    let of = |token| BearerTokens::new([BearerToken::new("ci", token).unwrap()]).unwrap();
    let tokens = Replaceable::new(of(TOKEN));
    let layer = AuthLayer::new(tokens.clone());
    let service = layer.layer(service_fn(inside));
    let ask = |token| service.clone().oneshot(with_token(request("/"), token));
    assert_eq!(ask(TOKEN).await.unwrap().status(), 200);
    tokens.replace(of("another-horse-battery-staple"));
    assert_eq!(ask(TOKEN).await.unwrap().status(), 401);
    assert_eq!(ask("another-horse-battery-staple").await.unwrap().status(), 200);
}

#[test]
fn weak_and_double_tokens_are_refused() {
    let part = |result: Result<BearerToken, AuthConfigError>| result.unwrap_err().part();
    assert_eq!(part(BearerToken::new("a", "short")), "bearer token");
    assert_eq!(
        part(BearerToken::new("a", "with a space in between")),
        "bearer token"
    );
    assert_eq!(part(BearerToken::new("a", &"a".repeat(9_000))), "bearer token");
    let token = || BearerToken::new("a", TOKEN).unwrap();
    let error = BearerTokens::new([token(), token()]).unwrap_err();
    assert!(!error.to_string().contains(TOKEN));
    assert!(BearerTokens::new([]).is_err() && MutualTls::new([]).is_err());
    assert!(BearerTokens::new((0..=MAX_TOKENS).map(|_| token())).is_err());
}

#[tokio::test]
async fn a_token_may_be_given_by_its_hash() {
    use sha2::{Digest, Sha256};
    let token = BearerToken::hashed("hashed", Sha256::digest(TOKEN).into());
    let layer = AuthLayer::new(BearerTokens::new([token]).unwrap());
    assert_eq!(
        who(ask(&layer, with_token(request("/"), TOKEN)).await).await,
        "hashed"
    );
}

use std::time::Duration;

use super::*;
use crate::auth::jwt::{remembered::Remembered, verify::Outcome};

const MINUTE: Duration = Duration::from_secs(60);

/// The keys' word that a token is this caller's, valid for `seconds`.
fn taken(name: &str, seconds: i64) -> Outcome {
    let now = std::time::SystemTime::now();
    let expires = match u64::try_from(seconds) {
        Ok(seconds) => now + Duration::from_secs(seconds),
        Err(_) => now - Duration::from_secs(seconds.unsigned_abs()),
    };
    Outcome::Verdict(Ok(Principal::new(name, "test").with_expiry(expires)))
}

/// Whose a token is, and whether the keys had to say it.
fn ask(remembered: &Remembered, token: &str, generation: u64, seconds: i64) -> (String, bool) {
    let mut asked = false;
    let outcome = remembered.or_check(token, generation, || {
        asked = true;
        taken(token, seconds)
    });
    match outcome {
        Outcome::Verdict(Ok(principal)) => (principal.name().to_owned(), asked),
        _ => panic!("every token is taken"),
    }
}

fn says(name: &str, asked: bool) -> (String, bool) {
    (name.to_owned(), asked)
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_verified_once_in_a_while() {
    let remembered = Remembered::new(MINUTE);
    assert_eq!(ask(&remembered, "a", 0, 600), says("a", true));
    assert_eq!(ask(&remembered, "a", 0, 600), says("a", false));
    assert_eq!(ask(&remembered, "b", 0, 600), says("b", true));
    tokio::time::advance(MINUTE).await;
    assert_eq!(ask(&remembered, "a", 0, 600), says("a", true));
}

#[tokio::test(start_paused = true)]
async fn no_longer_than_it_is_valid() {
    let remembered = Remembered::new(MINUTE);
    ask(&remembered, "a", 0, 10);
    assert_eq!(ask(&remembered, "a", 0, 10), says("a", false));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(ask(&remembered, "a", 0, 10), says("a", true));
    // What only the leeway keeps alive is not remembered.
    for _ in 0..2 {
        assert_eq!(ask(&remembered, "late", 0, -5), says("late", true));
    }
}

#[tokio::test(start_paused = true)]
async fn other_keys_have_to_say_it_again() {
    let remembered = Remembered::new(MINUTE);
    ask(&remembered, "a", 1, 600);
    assert_eq!(ask(&remembered, "a", 2, 600), says("a", true));
    assert_eq!(ask(&remembered, "a", 2, 600), says("a", false));
    // Whoever still looks at the old ones learns nothing from the new ones.
    assert_eq!(ask(&remembered, "a", 1, 600), says("a", true));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_not_remembered_and_zero_remembers_nothing() {
    let remembered = Remembered::new(MINUTE);
    let mut asked = 0;
    for _ in 0..2 {
        remembered.or_check("bad", 0, || {
            asked += 1;
            Outcome::Verdict(Err(Rejection::invalid("no")))
        });
        remembered.or_check("unknown", 0, || {
            asked += 1;
            Outcome::UnknownKey
        });
    }
    assert_eq!(asked, 4);
    let none = Remembered::new(Duration::ZERO);
    for _ in 0..2 {
        assert_eq!(ask(&none, "a", 0, 600), says("a", true));
    }
}

#[tokio::test]
async fn a_token_that_was_taken_and_one_like_it_are_two() {
    let jwt = by_rsa();
    let token = rs256(&claims());
    for _ in 0..3 {
        assert_eq!(why(&jwt, &token).await, "taken as alice");
    }
    // The same claims by a signature that is none.
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut forged = signature.as_bytes().to_vec();
    forged[0] = if forged[0] == b'A' { b'B' } else { b'A' };
    let forged = format!("{signed}.{}", String::from_utf8(forged).unwrap());
    assert_eq!(why(&jwt, &forged).await, cases::SIGNATURE);
    let text = format!("{jwt:?}");
    assert!(!text.contains(signature) && !text.contains("alice"), "{text}");
}

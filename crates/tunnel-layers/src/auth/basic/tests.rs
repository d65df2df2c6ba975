use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use futures_util::future::join_all;
use http::{Request, header};
use proptest::prelude::*;

use super::*;

const PASSWORD: &str = "correct horse: battery";

fn bcrypt(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn argon2id(password: &str) -> String {
    let params = Params::new(16, 1, 1, None).unwrap();
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    hasher
        .hash_password_with_salt(password.as_bytes(), b"salt of a test")
        .unwrap()
        .to_string()
}

fn users() -> Htpasswd {
    let text = format!(
        "# people\nalice:{}\r\n\nbob:{}\n",
        bcrypt(PASSWORD),
        argon2id(PASSWORD)
    );
    text.parse().unwrap()
}

fn value(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

async fn ask(basic: &Basic, authorization: &str) -> Verdict {
    let request = Request::get("/").header(header::AUTHORIZATION, authorization);
    let (parts, ()) = request.body(()).unwrap().into_parts();
    basic.authenticate(&AuthRequest::of(&parts)).await
}

#[tokio::test]
async fn a_user_with_its_password_is_taken() {
    let basic = Basic::new(users());
    for user in ["alice", "bob"] {
        let principal = ask(&basic, &value(user, PASSWORD)).await.unwrap();
        assert_eq!((principal.name(), principal.scheme()), (user, "basic"));
        // The second time without a check.
        assert_eq!(ask(&basic, &value(user, PASSWORD)).await.unwrap(), principal);
    }
}

#[tokio::test]
async fn others_are_not() {
    let basic = Basic::new(users()).realm("my app".parse().unwrap());
    for (user, password) in [
        ("alice", "wrong"),
        ("alice", ""),
        ("bob", "correct horse: batterY"),
        ("", PASSWORD),
        ("carol", PASSWORD),
        ("Alice", PASSWORD),
    ] {
        let rejection = ask(&basic, &value(user, password)).await.unwrap_err();
        assert_eq!(rejection.refusal(), Refusal::Invalid, "{user}");
        assert_eq!(rejection.message(), "the user name or the password is wrong");
        assert_eq!(
            rejection.challenges(),
            ["Basic realm=\"my app\", charset=\"UTF-8\""]
        );
    }
}

#[tokio::test]
async fn bcrypt_does_not_take_what_it_would_cut() {
    let long = "x".repeat(72);
    let file = format!("alice:{}", bcrypt(&long));
    let basic = Basic::new(file.parse().unwrap());
    for password in [long.clone(), format!("{long}y")] {
        assert!(ask(&basic, &value("alice", &password)).await.is_err());
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_invalid() {
    let basic = Basic::new(users());
    let long = BASE64.encode(format!("alice:{}", "x".repeat(2_000)));
    for text in [
        "Basic",
        "Basic !",
        "Basic YWxpY2U=",
        "Basic /w==",
        &format!("Basic {long}"),
    ] {
        assert_eq!(
            ask(&basic, text).await.unwrap_err().refusal(),
            Refusal::Invalid,
            "{text}"
        );
    }
    for text in ["", "Bearer YWxpY2U6eA==", "Basically YWxpY2U6eA=="] {
        assert_eq!(
            ask(&basic, text).await.unwrap_err().refusal(),
            Refusal::Missing,
            "{text}"
        );
    }
    let request = Request::get("/")
        .header(header::AUTHORIZATION, value("alice", PASSWORD))
        .header(header::AUTHORIZATION, value("alice", PASSWORD));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let twice = basic.authenticate(&AuthRequest::of(&parts)).await;
    assert_eq!(twice.unwrap_err().refusal(), Refusal::Malformed);
}

#[tokio::test]
async fn padding_may_be_left_out() {
    let basic = Basic::new(users());
    let value = value("bob", PASSWORD);
    assert!(value.ends_with('='));
    assert!(ask(&basic, value.trim_end_matches('=')).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_was_right_is_forgotten_after_a_while() {
    let basic = Basic::new(users()).remember(Duration::from_secs(10));
    let shown = parse(&value("bob", PASSWORD).as_bytes()[6..]).unwrap();
    let digest = basic.0.digest(&shown);
    assert!(basic.0.remembered.get(&digest).is_none());
    ask(&basic, &value("bob", PASSWORD)).await.unwrap();
    assert!(basic.0.remembered.get(&digest).is_some());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(basic.0.remembered.get(&digest).is_none());

    let always = basic.remember(Duration::ZERO);
    ask(&always, &value("bob", PASSWORD)).await.unwrap();
    assert!(always.0.remembered.get(&always.0.digest(&shown)).is_none());
}

#[tokio::test]
async fn too_many_at_a_time_are_told_to_come_again() {
    let basic = Basic::new(users());
    // Nothing is checked while somebody else has all the threads.
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let taken = basic.0.threads.acquire_many(threads as u32).await.unwrap();
    let told = AtomicUsize::new(0);
    let all = join_all((0..MAX_CHECKS + 5).map(|index| {
        let (basic, told) = (&basic, &told);
        async move {
            let verdict = ask(basic, &value("bob", &format!("guess {index}"))).await;
            let refusal = verdict.unwrap_err().refusal();
            if refusal == Refusal::Unavailable {
                told.fetch_add(1, Ordering::SeqCst);
            }
        }
    }));
    let release = async {
        tokio::task::yield_now().await;
        assert_eq!(told.load(Ordering::SeqCst), 5);
        drop(taken);
    };
    tokio::join!(all, release);
    assert_eq!(told.load(Ordering::SeqCst), 5);
}

#[test]
fn weak_hashes_are_refused_by_name() {
    for (hash, kind) in [
        ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "MD5 of Apache"),
        ("$1$abc$def", "MD5 of crypt"),
        ("{SHA}2PRZAyDhNDqRW2OUFwZQqPNdaSY=", "SHA-1"),
        ("{SSHA}xxxx", "SHA-1 with a salt"),
        ("rqXexS6ZhobKA", "DES"),
        ("_K1..crsmZxOLzfJH8iw", "DES"),
        (
            "$5$rounds=5000$usesomesillystri$KqJWpanXZHKq2BOB43TSaYhEWsQ1Lr5QNyPCDH/Tp.6",
            "SHA-256",
        ),
        ("$6$abc$def", "SHA-512"),
        (
            "$2x$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
            "broken bcrypt",
        ),
        (
            "$argon2i$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "Argon2i",
        ),
        (
            "$argon2d$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "Argon2d",
        ),
        ("hunter2", "in clear"),
        ("", "in clear"),
    ] {
        let error = format!("alice:{hash}")
            .parse::<Htpasswd>()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(kind) && error.contains("line 1") && error.contains("alice"),
            "{error}"
        );
        assert!(hash.is_empty() || !error.contains(hash), "{error}");
    }
}

#[test]
fn hashes_that_are_broken_or_cost_too_much_are_refused() {
    let good = argon2id(PASSWORD);
    for hash in [
        "$2y$05$short".to_owned(),
        "$2y$31$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC".to_owned(),
        "$2y$xx$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC".to_owned(),
        "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRé".to_owned(),
        "$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ".to_owned(),
        "$argon2id$".to_owned(),
        good.replace("v=19", "v=20"),
        good.replace("m=16", "m=4194304"),
        good.replace("t=1,", "t=1000,"),
    ] {
        assert!(format!("a:{hash}").parse::<Htpasswd>().is_err(), "{hash}");
    }
    assert!(format!("a:{good}").parse::<Htpasswd>().is_ok());
}

#[test]
fn files_that_let_nobody_in_or_say_two_things_are_refused() {
    let hash = argon2id(PASSWORD);
    for text in [
        "".to_owned(),
        "# nobody\n\n".to_owned(),
        "alice".to_owned(),
        format!(":{hash}"),
        format!("a\u{7}:{hash}"),
        format!("{}:{hash}", "a".repeat(256)),
        format!("a:{hash}\na:{hash}"),
    ] {
        assert!(text.parse::<Htpasswd>().is_err(), "{text:?}");
    }
}

#[test]
fn a_file_is_read_and_named_where_it_is_wrong() {
    let wrong = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let error = Htpasswd::read(wrong).unwrap_err().to_string();
    assert!(
        error.contains("Cargo.toml") && error.contains("line 1"),
        "{error}"
    );
    assert!(Htpasswd::read("/nowhere/htpasswd").is_err());
}

#[test]
fn no_secret_is_printed() {
    let basic = Basic::new(users());
    let text = format!("{basic:?} {:?}", basic.0.users);
    assert!(!text.contains('$') && !text.contains("alice"), "{text}");
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused_without_its_secrets(
        lines in prop::collection::vec(
            prop_oneof![
                "[a-z]{1,4}:[$./{}A-Za-z0-9=,]{20,70}",
                "[a-z]{1,4}:\\$(2[abxy]|argon2(id|i|d)|apr1|1|5|6)\\$[$./A-Za-z0-9=,]{20,70}",
                "\\PC{0,40}",
                "#.{0,10}",
            ],
            0..6,
        ),
    ) {
        let text = lines.join("\n");
        match text.parse::<Htpasswd>() {
            Ok(users) => prop_assert!(!users.is_empty()),
            Err(error) => {
                let error = error.to_string();
                for hash in lines.iter().filter_map(|line| line.split_once(':')).map(|(_, hash)| hash) {
                    prop_assert!(hash.len() < 20 || !error.contains(hash));
                }
            }
        }
    }

    #[test]
    fn credentials_come_out_as_they_went_in(user in "[^:\\p{C}]{0,60}", password in "\\PC{0,60}") {
        let encoded = BASE64.encode(format!("{user}:{password}"));
        let shown = parse(encoded.as_bytes()).unwrap();
        prop_assert_eq!(&*shown.user, user);
        prop_assert_eq!(&*shown.password, password.as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse(&bytes);
    }
}

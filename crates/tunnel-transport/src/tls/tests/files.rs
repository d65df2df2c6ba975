use std::fs;

use super::*;
use crate::tls::TlsError;

/// What is wrong with this certificate and key.
fn wrong(certificate: &str, key: &str) -> TlsError {
    let identity = Identity::new(Pem::bytes(certificate), Pem::bytes(key));
    let error = identity.check().expect_err("it is wrong");
    let built = ServerTls::builder().certificate(identity).build();
    assert_eq!(built.expect_err("it is wrong"), error);
    assert_eq!(error.file(), None);
    error
}

#[test]
fn what_is_wrong_is_told() {
    let (made, other) = (Made::new("a.test"), Made::new("b.test"));
    let cut = made.certificate.replace("-----END CERTIFICATE-----", "");
    let garbled = made.certificate.replacen('\n', "\n!!!", 1);
    let no_certificate = made.certificate.replace("CERTIFICATE", "PUBLIC KEY");
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let encrypted = made.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (certificate, key, expected) in [
        ("", &*made.key, "there is no certificate in it"),
        (&*made.key, &*made.key, "a private key and no certificate"),
        (&*cut, &*made.key, "no END line"),
        (&*garbled, &*made.key, "no valid base64"),
        (&*no_certificate, &*made.key, "there is no certificate in it"),
        (no_der, &*made.key, "the first certificate in it cannot be read"),
        (&*made.certificate, "", "there is no private key in it"),
        (
            &*made.certificate,
            &*made.certificate,
            "there is no private key in it",
        ),
        (&*made.certificate, no_key, "the private key in it cannot be used"),
        (&*made.certificate, &*encrypted, "openssl pkey"),
        (
            &*made.certificate,
            &*other.key,
            "does not belong to the first certificate",
        ),
    ] {
        let text = wrong(certificate, key).to_string();
        assert!(text.contains(expected), "{expected}: {text}");
        // Not a line of either.
        for secret in made
            .key
            .lines()
            .chain(other.key.lines())
            .filter(|line| !line.contains("KEY"))
        {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn the_chain_may_stand_before_and_behind_the_key() {
    let (made, other) = (Made::new("a.test"), Made::new("b.test"));
    let all = format!(
        "# a comment\n{}{}{}",
        made.certificate, made.key, other.certificate
    );
    Identity::new(Pem::bytes(&all), Pem::bytes(&all))
        .check()
        .expect("they belong together");
    let reversed = format!("{}{}", other.certificate, made.certificate);
    let text = wrong(&reversed, &made.key).to_string();
    assert!(
        text.contains("does not belong to the first certificate"),
        "{text}"
    );
}

#[test]
fn the_file_that_is_wrong_is_named() {
    let directory = Directory::new();
    let identity = Made::new("a.test").write(&directory);
    identity.check().expect("they belong together");
    let (certificate, key) = (directory.file("a.pem"), directory.file("a.key"));

    fs::write(&key, Made::new("b.test").key).expect("a file");
    let error = identity.check().expect_err("another key");
    assert_eq!(error.file(), Some(&*key));
    assert!(
        error
            .to_string()
            .ends_with(&format!("the first certificate in {}", certificate.display()))
    );

    fs::write(&certificate, vec![b' '; 1024 * 1024 + 1]).expect("a file");
    let error = identity.check().expect_err("too large");
    assert_eq!(error.file(), Some(&*certificate));

    fs::remove_file(&certificate).expect("it was there");
    let error = identity.check().expect_err("it is gone");
    assert_eq!(error.file(), Some(&*certificate));
    let directory = Identity::files(directory.path(), directory.path());
    assert!(
        directory
            .check()
            .expect_err("no file")
            .to_string()
            .contains("cannot be read")
    );
}

#[test]
fn servers_and_clients_need_what_they_need() {
    let made = Made::new("a.test");
    let error = ServerTls::builder().build().expect_err("no certificate");
    assert_eq!(error.to_string(), "a server needs a certificate");
    let server = || ServerTls::builder().certificate(made.identity());
    let error = server()
        .require_client_certificates([])
        .build()
        .expect_err("no CA");
    assert!(error.to_string().contains("without a CA"), "{error}");
    let error = server()
        .request_client_certificates([Pem::bytes(&made.key)])
        .build();
    assert!(error.expect_err("no CA").to_string().contains("no certificate"));
    for name in ["", "*", "a b.test", "*.*.test", "a.*.test", "127.0.0.1"] {
        let named = ServerTls::builder().certificate(made.identity().for_names([name]));
        let error = named.build().expect_err("no name").to_string();
        assert!(error.contains("no name of a server"), "{error}");
    }
    for name in ["", "a b.test", "*.test"] {
        let error = ClientTls::builder()
            .server_name(name)
            .build()
            .expect_err("no name");
        assert!(error.to_string().contains("no name of a server"), "{error}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let made = Made::new("a.test");
    let server = ServerTls::builder()
        .certificate(made.identity())
        .require_client_certificates([Pem::bytes(&made.certificate)]);
    let client = ClientTls::builder()
        .ca(Pem::bytes(&made.certificate))
        .client_certificate(made.identity());
    let texts = [
        format!("{server:?} {client:?}"),
        format!(
            "{:?} {:?}",
            server.build().expect("right"),
            client.build().expect("right")
        ),
        format!("{:?}", Identity::files("/etc/a.pem", "/etc/a.key")),
    ];
    for text in &texts {
        for line in made.key.lines() {
            assert!(!text.contains(line), "{text}");
        }
    }
    assert!(texts[2].contains("/etc/a.key"));
}

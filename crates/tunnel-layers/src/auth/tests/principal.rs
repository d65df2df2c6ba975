//! What is found out about a caller, and who learns it.

use super::*;
use crate::test_util::Step;

#[tokio::test]
async fn the_principal_goes_on_in_a_header_that_nobody_can_forge() {
    let name = HeaderName::from_static("x-caller");
    let layer = AuthLayer::new(tokens()).principal_header(name.clone()).unwrap();
    let forged = |mut request: Request<Scripted>| {
        for name in ["x-caller", "X_Caller"] {
            let name: HeaderName = name.parse().unwrap();
            request
                .headers_mut()
                .append(name, HeaderValue::from_static("root"));
        }
        request
    };
    let answer = ask(&layer, forged(with_token(request("/"), TOKEN))).await;
    let told: Vec<_> = answer.headers().get_all(&name).iter().collect();
    assert_eq!(told, ["ci"]);
    assert!(!answer.headers().contains_key("x_caller"));

    let answer = ask(&layer, by_rule(forged(request("/")), Access::Public)).await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key(&name) && !answer.headers().contains_key("x_caller"));
}

#[tokio::test]
async fn it_cannot_be_forged_in_trailers_either() {
    /// The names of the trailers that came; none if no section of them did.
    async fn trailers(request: Request<CleanBody<Scripted>>) -> Result<Response<String>, Infallible> {
        let collected = request.into_body().collect().await.unwrap();
        let names = collected.trailers().map(|trailers| {
            let names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
            names.join(" ")
        });
        let text = names.unwrap_or_else(|| "none".to_owned());
        assert_eq!(collected.to_bytes(), "data");
        Ok(Response::new(text))
    }
    let layer = AuthLayer::new(tokens());
    let guarded = layer
        .clone()
        .principal_header("x-caller".parse().unwrap())
        .unwrap();
    for (layer, names, expected) in [
        (
            &guarded,
            &["x-caller", "x_caller", "x-checksum"][..],
            "x-checksum",
        ),
        (&guarded, &["x-checksum", "grpc-status"], "x-checksum grpc-status"),
        (&guarded, &["X-Caller"], "none"),
        (&layer, &["x-caller"], "x-caller"),
    ] {
        for access in [Access::Default, Access::Public] {
            let mut fields = HeaderMap::new();
            for name in names {
                fields.append(
                    name.parse::<HeaderName>().unwrap(),
                    HeaderValue::from_static("root"),
                );
            }
            let body = Scripted::new([Step::Data("data"), Step::Trailers(fields)]);
            let request = by_rule(with_token(request("/"), TOKEN), access).map(|_| body);
            let answer = layer.layer(service_fn(trailers)).oneshot(request).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, expected);
        }
    }
}

#[tokio::test]
async fn credentials_go_on_unless_they_are_kept_back() {
    let layer = AuthLayer::new(tokens());
    let answer = ask(&layer, with_token(request("/"), TOKEN)).await;
    assert!(answer.headers()[header::AUTHORIZATION].is_sensitive());
    let layer = layer.strip_credentials();
    let answer = ask(&layer, with_token(request("/"), TOKEN)).await;
    assert!(!answer.headers().contains_key(header::AUTHORIZATION));
    // Those of a public rule are not for us.
    let public = by_rule(with_token(request("/"), TOKEN), Access::Public);
    assert!(
        ask(&layer, public)
            .await
            .headers()
            .contains_key(header::AUTHORIZATION)
    );
}

#[tokio::test]
async fn the_span_around_it_learns_who_calls() {
    use std::fmt::Write as _;
    use tracing_subscriber::{layer::SubscriberExt as _, registry};

    /// Keeps what is recorded after a span was made.
    #[derive(Clone, Default)]
    struct Recorded(Arc<std::sync::Mutex<String>>);

    impl tracing::field::Visit for Recorded {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            write!(self.0.lock().unwrap(), "{field}={value:?} ").unwrap();
        }
    }

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Recorded {
        fn on_record(
            &self,
            _: &tracing::span::Id,
            values: &tracing::span::Record<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            values.record(&mut self.clone());
        }
    }

    let recorded = Recorded::default();
    let _default = tracing::subscriber::set_default(registry().with(recorded.clone()));
    let service =
        crate::trace_id::TraceIdLayer::new().layer(AuthLayer::new(tokens()).layer(service_fn(inside)));
    let answer = service.oneshot(with_token(request("/"), TOKEN)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = recorded.0.lock().unwrap().clone();
    assert!(
        text.contains("enduser.id=\"ci\"") && !text.contains(TOKEN),
        "{text}"
    );
}

#[tokio::test]
async fn a_certificate_is_known_by_its_names() {
    let layer = AuthLayer::new(
        MutualTls::new([
            "uri:spiffe://prod/*".parse().unwrap(),
            "dns:*.example".parse().unwrap(),
        ])
        .unwrap(),
    );
    let with = |names: &[SubjectAltName]| {
        let mut request = request("/");
        request
            .extensions_mut()
            .insert(TlsIdentity::new(names.iter().cloned()));
        request
    };
    let (dns, uri) = (
        SubjectAltName::Dns("B.example".into()),
        SubjectAltName::Uri("spiffe://prod/web".into()),
    );
    assert_eq!(
        who(ask(&layer, with(&[dns.clone(), uri.clone()])).await).await,
        "b.example"
    );
    assert_eq!(who(ask(&layer, with(&[uri])).await).await, "spiffe://prod/web");
    let answer = ask(&layer, with(&[SubjectAltName::Dns("b.c.example".into())])).await;
    assert_eq!(
        (answer.status().as_u16(), cause(&answer)),
        (403, Some(Cause::Forbidden))
    );
    assert_eq!(ask(&layer, with(&[])).await.status(), 403);

    let answer = ask(&layer, request("/")).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(
        challenges(answer.headers()),
        ["ClientCertificate realm=\"tunnel\""]
    );
    // What a header says of a certificate is nothing.
    let mut forged = request("/");
    forged.headers_mut().insert(
        "x-forwarded-client-cert",
        HeaderValue::from_static("URI=spiffe://prod/web"),
    );
    assert_eq!(ask(&layer, forged).await.status(), 401);
}

//! Health checks of an upstream.

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_transport::upstream::HealthCheck;

use super::{
    error::Checker,
    text_or::TextOr,
    units::{Count, Length, Time},
};

/// `health:` of an upstream: one of `http`, `tcp` and `grpc`, and when it is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHealth {
    http: Option<Spanned<TextOr<RawHttp>>>,
    #[serde(default)]
    tcp: bool,
    grpc: Option<Spanned<RawGrpc>>,
    interval: Option<Time>,
    timeout: Option<Time>,
    healthy_after: Option<Count>,
    unhealthy_after: Option<Count>,
    jitter: Option<Spanned<Length>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    path: Spanned<String>,
    host: Option<Spanned<String>>,
    #[serde(default)]
    status: Vec<Spanned<u16>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGrpc {
    #[serde(default)]
    service: String,
    #[serde(default)]
    watch: bool,
}

impl RawHealth {
    pub(super) fn check(&self, place: Location, checker: &mut Checker<'_>) -> Option<HealthCheck> {
        let mut check = match (&self.http, self.tcp, &self.grpc) {
            (Some(http), false, None) => http_check(http, checker)?,
            (None, true, None) => HealthCheck::tcp(),
            (None, false, Some(grpc)) => {
                let check = HealthCheck::grpc(&grpc.value.service);
                if grpc.value.watch { check.watch() } else { check }
            }
            _ => {
                let message = "write one of `http: /healthz`, `tcp: true` and `grpc: {service: NAME}`";
                checker.wrong(place, message);
                return None;
            }
        };
        if let Some(time) = self.interval {
            check = check.interval(time.0);
        }
        if let Some(time) = self.timeout {
            check = check.timeout(time.0);
        }
        if let Some(count) = self.healthy_after {
            check = check.healthy_after(count.0);
        }
        if let Some(count) = self.unhealthy_after {
            check = check.unhealthy_after(count.0);
        }
        if let Some(jitter) = &self.jitter {
            let percent = u8::try_from(jitter.value.0)
                .ok()
                .filter(|percent| *percent <= 100);
            let percent = percent.ok_or("this is in percent of the interval: write a number from 0 to 100");
            check = check.jitter(f64::from(checker.take(jitter.referenced, percent)?) / 100.0);
        }
        Some(check)
    }
}

fn http_check(raw: &Spanned<TextOr<RawHttp>>, checker: &mut Checker<'_>) -> Option<HealthCheck> {
    let http = match &raw.value {
        TextOr::Text(path) => return checker.take(raw.referenced, HealthCheck::http(path)),
        TextOr::Map(http) => http,
    };
    let mut check = checker.take(http.path.referenced, HealthCheck::http(&http.path.value))?;
    for status in &http.status {
        let code = status.value;
        let right = (200..600).contains(&code).then_some(code);
        let right = right.ok_or_else(|| format!("{code} is no final status: write a number from 200 to 599"));
        check = check.status(checker.take(status.referenced, right).map(|code| code..=code)?);
    }
    match &http.host {
        Some(host) => checker.take(host.referenced, check.host(&host.value)),
        None => Some(check),
    }
}

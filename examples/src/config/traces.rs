//! Where traces go: `traces:` of a gateway's or an agent's file.

use http::Uri;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::error::Checker;

/// Which traces are told, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// The collector, which takes OTLP over gRPC.
    pub otlp: String,
    /// The share of new traces that are sampled, from 0 to 1.
    pub sample: f64,
    /// Who tells them; none for the name of the program.
    pub service_name: Option<String>,
    /// Whether they have the paths of requests.
    pub paths: bool,
    /// Whether traces from outside are continued.
    pub trust: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTraces {
    otlp: Spanned<String>,
    sample: Option<Spanned<f64>>,
    service_name: Option<Spanned<String>>,
    #[serde(default)]
    paths: bool,
    trust: Option<Spanned<bool>>,
}

impl RawTraces {
    /// `Some(None)` where the file says nothing of traces.
    pub(super) fn check(
        raw: Option<&Spanned<Self>>,
        is_gateway: bool,
        checker: &mut Checker<'_>,
    ) -> Option<Option<Traces>> {
        match raw {
            Some(raw) => raw.value.check_one(raw.referenced, is_gateway, checker).map(Some),
            None => Some(None),
        }
    }

    fn check_one(&self, place: Location, is_gateway: bool, checker: &mut Checker<'_>) -> Option<Traces> {
        let mut right = true;
        let mut wrong = |place, text: &str| {
            checker.wrong(place, text);
            right = false;
        };
        if !cfg!(feature = "otel") {
            let text = "this program was built without the export of traces: build it with `--features otel`, or leave `traces` out";
            wrong(place, text);
        }
        if !is_collector(&self.otlp.value) {
            let text =
                "the address of a collector is such as http://collector:4317, or https://, without a path";
            wrong(self.otlp.referenced, text);
        }
        if let Some(sample) = &self.sample
            && !(0.0..=1.0).contains(&sample.value)
        {
            wrong(
                sample.referenced,
                "a share is a number from 0, nothing, to 1, everything",
            );
        }
        if let Some(name) = &self.service_name
            && name.value.trim().is_empty()
        {
            wrong(
                name.referenced,
                "a service has a name: write one, or leave the key out",
            );
        }
        if let Some(trust) = &self.trust
            && !is_gateway
        {
            let text = "`trust` is for gateways: an agent continues what its gateway says";
            wrong(trust.referenced, text);
        }
        right.then(|| Traces {
            otlp: self.otlp.value.clone(),
            sample: self.sample.as_ref().map_or(1.0, |sample| sample.value),
            service_name: self.service_name.as_ref().map(|name| name.value.clone()),
            paths: self.paths,
            trust: self.trust.as_ref().is_none_or(|trust| trust.value),
        })
    }
}

fn is_collector(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    is_known
        && uri.host().is_some_and(|host| !host.is_empty())
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none()
}

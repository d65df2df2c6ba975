//! Which pages may call by gRPC-Web.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_layers::grpc_web::Cors;

use super::{error::Checker, units::Time};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrpcWeb {
    origins: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    credentials: bool,
    max_age: Option<Time>,
}

impl RawGrpcWeb {
    pub(super) fn check(&self, checker: &mut Checker<'_>) -> Option<Cors> {
        let origins = &self.origins.value;
        let is_any = |origin: &Spanned<String>| origin.value == "*";
        if origins.is_empty() {
            let message = "no page could call: name one such as `origins: [https://app.example.com]`, or leave \
                           `grpc_web` out if only pages of the same site call";
            checker.wrong(self.origins.referenced, message);
            return None;
        }
        if origins.iter().any(is_any) && (origins.len() > 1 || self.credentials) {
            let message = "`*` stands for every page: it stands alone, and never with `credentials: true`";
            checker.wrong(self.origins.referenced, message);
            return None;
        }
        let cors = if is_any(&origins[0]) {
            Cors::any_origin()
        } else {
            let names = origins.iter().map(|origin| origin.value.as_str());
            let cors = if self.credentials {
                Cors::origins_with_credentials(names)
            } else {
                Cors::origins(names)
            };
            checker.take(self.origins.referenced, cors)?
        };
        Some(match self.max_age {
            Some(age) => cors.max_age(age.0),
            None => cors,
        })
    }
}

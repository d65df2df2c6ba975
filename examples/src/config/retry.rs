//! When a request is sent once more although it may have been carried out.

use http::StatusCode;
use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::{
    RetryBudget, RetryPolicy,
    grpc::CODES,
    retry::{MAX_ATTEMPTS, MAX_BACKOFF, MAX_REPLAY},
};

use super::{
    error::Checker,
    rules::parse_method,
    units::{Count, Length, Size, Time},
    yaml,
};

/// `retry:` of a rule. What is left out has its default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetry {
    attempts: Spanned<Count>,
    methods: Option<Vec<Spanned<String>>>,
    statuses: Option<Vec<Spanned<u16>>>,
    #[serde(default)]
    grpc: Vec<Spanned<String>>,
    max_body: Option<Spanned<Size>>,
    budget: Option<RawBudget>,
    backoff: Option<Spanned<RawBackoff>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudget {
    percent: Length,
    per_second: Length,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBackoff {
    first: Time,
    cap: Option<Time>,
}

impl RawRetry {
    pub(super) fn check(&self, checker: &mut Checker<'_>) -> Option<RetryPolicy> {
        let attempts = Some(self.attempts.value.0).filter(|count| (2..=MAX_ATTEMPTS).contains(count));
        let wrong = format!("the first attempt counts: write a number from 2 to {MAX_ATTEMPTS}");
        let mut policy = RetryPolicy::new(checker.take(self.attempts.referenced, attempts.ok_or(wrong))?);
        if let Some(methods) = &self.methods {
            policy = policy.methods(each(methods, |name| parse_method(name), checker)?);
        }
        if let Some(statuses) = &self.statuses {
            policy = policy.statuses(each(statuses, |status| parse_status(*status), checker)?);
        }
        policy = policy.grpc_codes(each(&self.grpc, |name| parse_code(name), checker)?);
        if let Some(bytes) = &self.max_body {
            let size = Some(bytes.value.0 as usize).filter(|size| *size <= MAX_REPLAY);
            let wrong = "each exchange of this rule may hold that much: write 1MiB or less";
            policy = policy.max_body(checker.take(bytes.referenced, size.ok_or(wrong))?);
        }
        if let Some(RawBudget { percent, per_second }) = self.budget {
            policy = policy.budget(RetryBudget::new(percent.0, per_second.0));
        }
        if let Some(backoff) = &self.backoff {
            let RawBackoff { first, cap } = backoff.value;
            let cap = cap.map_or(MAX_BACKOFF.min(first.0.saturating_mul(10)), |cap| cap.0);
            if first.0 > cap || cap > MAX_BACKOFF {
                let message = "`first` is at most `cap`, and `cap` at most 10s";
                checker.wrong(backoff.referenced, message);
                return None;
            }
            policy = policy.backoff(first.0, cap);
        }
        Some(policy)
    }
}

/// Each of a list; a wrong one is found at its place.
fn each<T, V>(
    list: &[Spanned<T>],
    parse: impl Fn(&T) -> Result<V, String>,
    checker: &mut Checker<'_>,
) -> Option<Vec<V>> {
    let parsed = list
        .iter()
        .map(|one| checker.take(one.referenced, parse(&one.value)));
    parsed.collect()
}

fn parse_status(status: u16) -> Result<StatusCode, String> {
    let parsed = StatusCode::from_u16(status).ok();
    parsed
        .filter(|status| (400..600).contains(&status.as_u16()))
        .ok_or_else(|| format!("{status} is no failure: write a number from 400 to 599"))
}

fn parse_code(name: &str) -> Result<u32, String> {
    let found = (1..).zip(&CODES[1..]).find(|(_, code)| **code == name);
    found
        .map(|(number, _)| number)
        .ok_or_else(|| yaml::unknown("code of gRPC", name, &CODES[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_numbers() {
        assert_eq!(parse_code("UNAVAILABLE"), Ok(14));
        assert_eq!(parse_code("CANCELLED"), Ok(1));
        assert!(parse_code("OK").is_err() && parse_code("unavailable").is_err());
    }
}

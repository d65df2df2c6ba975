//! Who fails gets nothing for a while.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_layers::balance::Outliers;

use super::{
    error::Checker,
    text_or::TextOr,
    units::{Count, Length, Time},
    yaml,
};

/// `outliers:` of a balancing. What is left out has its default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutliers {
    consecutive_failures: Option<Length>,
    min_success: Option<Spanned<Length>>,
    min_exchanges: Option<Count>,
    interval: Option<Time>,
    ejection: Option<Time>,
    max_ejection: Option<Spanned<Time>>,
    max_ejected: Option<Spanned<Length>>,
}

/// `default`, `none`, or a mapping. The inner option is none for `none`.
pub(super) fn check(
    raw: &Spanned<TextOr<RawOutliers>>,
    checker: &mut Checker<'_>,
) -> Option<Option<Outliers>> {
    match &raw.value {
        TextOr::Text(word) => match word.as_str() {
            "default" => Some(Some(Outliers::default())),
            "none" => Some(None),
            _ => {
                checker.wrong(raw.referenced, yaml::unknown("word", word, &["default", "none"]));
                None
            }
        },
        TextOr::Map(outliers) => outliers.check(checker).map(Some),
    }
}

impl RawOutliers {
    fn check(&self, checker: &mut Checker<'_>) -> Option<Outliers> {
        let default = Outliers::default();
        let ejection = self.ejection.map_or(default.ejection, |time| time.0);
        let max_ejection = match &self.max_ejection {
            None => default.max_ejection.max(ejection),
            Some(time) if time.value.0 >= ejection => time.value.0,
            Some(time) => {
                checker.wrong(time.referenced, "this is less than the first `ejection`");
                return None;
            }
        };
        Some(Outliers {
            consecutive_failures: self
                .consecutive_failures
                .map_or(default.consecutive_failures, |count| count.0),
            min_success_percent: percent(self.min_success.as_ref(), default.min_success_percent, checker)?,
            min_exchanges: self.min_exchanges.map_or(default.min_exchanges, |count| count.0),
            interval: self.interval.map_or(default.interval, |time| time.0),
            ejection,
            max_ejection,
            max_ejected: percent(self.max_ejected.as_ref(), default.max_ejected, checker)?,
        })
    }
}

/// A number from 0 to 100.
fn percent(raw: Option<&Spanned<Length>>, default: u8, checker: &mut Checker<'_>) -> Option<u8> {
    let Some(raw) = raw else { return Some(default) };
    let percent = u8::try_from(raw.value.0).ok().filter(|percent| *percent <= 100);
    checker.take(
        raw.referenced,
        percent.ok_or("this is in percent: write a number from 0 to 100"),
    )
}

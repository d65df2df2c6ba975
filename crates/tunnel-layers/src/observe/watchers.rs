use tunnel_core::Notes;

use super::Ended;
#[cfg(feature = "access_log")]
use crate::access_log::Line;
#[cfg(feature = "metrics")]
use crate::metrics::Meter;

/// What is made of an exchange.
#[derive(Default)]
pub(crate) struct Watchers {
    #[cfg(feature = "metrics")]
    pub(crate) meter: Option<Meter>,
    #[cfg(feature = "access_log")]
    pub(crate) line: Option<Box<Line>>,
}

impl Watchers {
    /// Whether everything is asked for that layers further in find out, and not only what counting needs.
    pub(super) const fn want_all(&self) -> bool {
        #[cfg(feature = "access_log")]
        return self.line.is_some();
        #[cfg(not(feature = "access_log"))]
        false
    }

    /// The exchange begins, and nothing has been noted of it.
    #[inline]
    pub(super) fn begin(&mut self) {
        #[cfg(feature = "metrics")]
        if let Some(meter) = &mut self.meter {
            meter.begins();
        }
    }

    /// More may be known now than before: called while the response is waited for, and when its head is there.
    #[inline]
    pub(super) fn progressed(&mut self, notes: &Notes) {
        #[cfg(feature = "metrics")]
        if let Some(meter) = &mut self.meter {
            meter.progressed(notes);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = notes;
    }

    /// It is over. Called once, whatever happens.
    pub(super) fn ended(&mut self, ended: &Ended<'_>) {
        #[cfg(feature = "metrics")]
        if let Some(meter) = &mut self.meter {
            meter.ended(ended);
        }
        #[cfg(feature = "access_log")]
        if let Some(line) = &self.line {
            line.ended(ended);
        }
    }
}

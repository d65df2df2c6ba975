#[cfg(not(feature = "metrics"))]
use std::marker::PhantomData;
#[cfg(feature = "metrics")]
use std::sync::Arc;

use tunnel_core::Notes;

use super::{Ended, Wire};
#[cfg(feature = "access_log")]
use crate::access_log::Line;
#[cfg(feature = "metrics")]
use crate::metrics::{Meter, Meters};

/// What is to be made of an exchange.
#[derive(Default)]
pub(crate) struct Asked<'a> {
    #[cfg(feature = "metrics")]
    pub(crate) meters: Option<&'a Arc<Meters>>,
    #[cfg(feature = "access_log")]
    pub(crate) line: Option<Box<Line>>,
    #[cfg(not(feature = "metrics"))]
    pub(crate) of: PhantomData<&'a ()>,
}

impl Asked<'_> {
    /// Whether everything is asked for that layers further in find out, and not only what counting needs.
    pub(super) const fn wants_all(&self) -> bool {
        #[cfg(feature = "access_log")]
        return self.line.is_some();
        #[cfg(not(feature = "access_log"))]
        false
    }
}

/// What is made of an exchange.
#[derive(Default)]
pub(crate) struct Watchers {
    #[cfg(feature = "metrics")]
    meter: Option<Meter>,
    #[cfg(feature = "access_log")]
    line: Option<Box<Line>>,
}

impl Watchers {
    /// What is asked for of another exchange, which begins.
    #[inline]
    pub(super) fn restart(&mut self, asked: Asked<'_>, wire: Wire) {
        #[cfg(feature = "metrics")]
        match (&mut self.meter, asked.meters) {
            (Some(meter), Some(meters)) if meter.is_of(meters) => meter.restart(wire),
            (meter, meters) => *meter = meters.map(|meters| Meter::new(Arc::clone(meters), wire)),
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (wire, asked.of);
        #[cfg(feature = "access_log")]
        {
            self.line = asked.line;
        }
    }

    /// The exchange begins, and nothing has been noted of it.
    #[inline]
    pub(super) fn begin(&mut self) {
        #[cfg(feature = "metrics")]
        if let Some(meter) = &mut self.meter {
            meter.begins();
        }
    }

    /// Nothing is left of the exchange, but which layer it was that counted it.
    #[inline]
    pub(super) fn clear(&mut self) {
        #[cfg(feature = "access_log")]
        {
            self.line = None;
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

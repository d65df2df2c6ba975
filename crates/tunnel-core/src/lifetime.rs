//! What lives as long as an exchange does.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use http::Extensions;

/// What layers hold for the life of an exchange: permits, spans, log lines.
///
/// It stands in the request's extensions. A layer [holds](Self::hold) a guard in it, keeps a clone of it in its response
/// body, and drops that clone when the body ends; an upgraded stream keeps a clone as well. The guards are dropped with
/// the last clone: at the end of the upgraded stream if there is one, else at the end of the response body.
///
/// ```
/// # use tunnel_core::Lifetime;
/// struct Permit(std::sync::mpsc::Sender<&'static str>);
/// impl Drop for Permit {
///     fn drop(&mut self) {
///         self.0.send("released").unwrap();
///     }
/// }
/// let (sender, released) = std::sync::mpsc::channel();
/// let mut request = http::Request::new(());
/// let lifetime = Lifetime::of(request.extensions_mut());
/// lifetime.hold(Permit(sender));
/// drop(request);
/// assert!(released.try_recv().is_err());
/// drop(lifetime);
/// assert_eq!(released.try_recv(), Ok("released"));
/// ```
#[derive(Clone, Default)]
pub struct Lifetime(Arc<Mutex<Held>>);

type Guard = Box<dyn Any + Send>;

/// The guards, in the order in which they came, and are dropped.
#[derive(Default)]
struct Held {
    /// As many as most exchanges have: a span and a place.
    first: [Option<Guard>; 2],
    more: Vec<Guard>,
}

impl Held {
    fn push(&mut self, guard: Guard) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(guard),
            None => self.more.push(guard),
        }
    }

    fn len(&self) -> usize {
        self.first.iter().flatten().count() + self.more.len()
    }
}

impl Lifetime {
    /// The lifetime of the request with these extensions; puts one there if there is none yet.
    pub fn of(extensions: &mut Extensions) -> Self {
        extensions.get_or_insert_default::<Self>().clone()
    }

    /// Keeps `guard` until the exchange ends.
    pub fn hold(&self, guard: impl Any + Send) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(guard));
    }
}

impl fmt::Debug for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Lifetime").field("held", &held).finish()
    }
}

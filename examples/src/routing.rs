//! Where an agent sends what comes through the tunnel: by the rules of its own file, and by those that its gateway has pushed.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tunnel_layers::swap::{Swap, SwapHandle};
use tunnel_transport::{PushedConfig, Upstream, upstream::AllowList};

use crate::{
    config::{ConfigError, Pushed},
    upstreams::Upstreams,
};

/// The routing of an agent, which is made anew when its file or its gateway says so, and then replaced as a whole: a request keeps
/// the one that it began with. Clones are the same.
#[derive(Clone)]
pub struct Routing(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    service: Swap<Upstreams>,
    newest: SwapHandle<Upstreams>,
}

#[derive(Default)]
struct State {
    own: Upstreams,
    pushed: Pushed,
}

impl Routing {
    /// By the agent's own rules.
    #[must_use]
    pub fn new(own: Upstreams) -> Self {
        let (service, newest) = Swap::new(own.clone());
        let pushed = Pushed::default();
        Self(Arc::new(Inner {
            state: Mutex::new(State { own, pushed }),
            service,
            newest,
        }))
    }

    /// Who answers.
    #[must_use]
    pub fn service(&self) -> Swap<Upstreams> {
        self.0.service.clone()
    }

    /// Puts other rules in the place of the agent's own.
    pub fn replace_own(&self, own: Upstreams) {
        let mut state = self.state();
        state.own = own;
        self.0.newest.replace(state.upstreams());
    }

    /// Puts other rules in the place of those that the gateway has pushed.
    ///
    /// # Errors
    ///
    /// What is wrong in them, or not allowed. Nothing changes then.
    pub fn push(&self, config: &PushedConfig, allow: &AllowList) -> Result<(), ConfigError> {
        let mut pushed = Pushed::parse(&String::from_utf8_lossy(&config.text), allow)?;
        let mut state = self.state();
        pushed.keep(&state.pushed);
        state.pushed = pushed;
        self.0.newest.replace(state.upstreams());
        Ok(())
    }

    /// The upstreams that are asked now, by their names: `default`, or what their route matches.
    #[must_use]
    pub fn named(&self) -> Vec<(String, Upstream)> {
        self.state().upstreams().named()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn upstreams(&self) -> Upstreams {
        match self.pushed.own_is_forbidden {
            true => self.pushed.upstreams.clone(),
            false => self.own.over(&self.pushed.upstreams),
        }
    }
}

impl fmt::Debug for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routing").finish_non_exhaustive()
    }
}

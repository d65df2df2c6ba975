//! The credit of a process.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::DEFAULT_BUDGET;

/// The credit that a process may have granted at one time. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct CreditBudget(Arc<Budget>);

struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl CreditBudget {
    /// A budget of `limit` bytes. It is exceeded only by [`MIN_CREDIT`](super::MIN_CREDIT) for each exchange beyond it, and by what
    /// peers were promised before it ran short.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Budget {
            limit,
            used: AtomicUsize::new(0),
        }))
    }

    /// The bytes granted now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most that may be granted at a time.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    pub(super) fn is_short(&self) -> bool {
        self.used() > self.0.limit
    }

    pub(super) fn charge(&self, bytes: usize) -> Charge {
        if bytes > 0 {
            self.0.used.fetch_add(bytes, Ordering::Relaxed);
        }
        Charge {
            budget: self.clone(),
            bytes,
        }
    }

    pub(super) fn try_charge(&self, bytes: usize) -> Option<Charge> {
        let mut charge = self.charge(0);
        charge.try_grow(bytes).then_some(charge)
    }
}

impl Default for CreditBudget {
    fn default() -> Self {
        Self::new(DEFAULT_BUDGET)
    }
}

impl fmt::Debug for CreditBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreditBudget")
            .field("limit", &self.0.limit)
            .field("used", &self.used())
            .finish()
    }
}

/// What one direction has taken out of the budget; goes back when it drops.
#[derive(Debug)]
pub(super) struct Charge {
    budget: CreditBudget,
    bytes: usize,
}

impl Charge {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the budget is short.
    pub(super) fn is_short(&self) -> bool {
        self.budget.is_short()
    }

    pub(super) fn try_grow(&mut self, bytes: usize) -> bool {
        let Budget { limit, used } = &*self.budget.0;
        let fits = |now: usize| now.checked_add(bytes).filter(|sum| sum <= limit);
        let grown = used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        // What has ended has nothing left to give back.
        if less > 0 {
            self.budget.0.used.fetch_sub(less, Ordering::Relaxed);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

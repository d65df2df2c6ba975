//! Placeholder for admission.

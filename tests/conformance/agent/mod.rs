//! A real agent against scripted gateways.

//! What every layer promises, whatever stands around it: readiness, clones, drops, bodies, silence about secrets, and that
//! it works around an axum `Router`, a tonic service and a bare `service_fn`, among tower's own layers, in any order.

mod around;
mod body;
mod http;
mod inner;
mod order;
mod seam;
mod traces;

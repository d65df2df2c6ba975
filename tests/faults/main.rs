//! What goes wrong, end to end over real sockets: clients that leave, agents and upstreams that die, readers that stand
//! still, floods of tiny frames, cancels at random points, retries, drains. After each test nothing may be left.

mod app;
mod broken;
mod cancel;
mod drip;
mod http1;
mod http2;
mod leave;
mod restart;
mod retry;
mod silence;
mod silent;
mod stalled;
mod stampede;
mod table;
mod weather;
mod world;

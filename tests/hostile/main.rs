//! Clients that are slow, flood, or send junk, against both ports of a gateway, with TLS and without. Each attack must end with
//! the connection closed, and whoever uses the gateway in the meantime must not notice.

mod accept;
mod addresses;
mod floods;
mod frame;
mod heads;
mod parsers;
mod slow;
mod world;

//! The layers in tonic's server: around all of its services, and around one that keeps its name.

use std::net::SocketAddr;

use tokio::task::JoinSet;
use tonic::{
    server::NamedService,
    transport::{Server as TonicServer, server::{Router, TcpIncoming}},
};
use tower::{Layer as _, ServiceBuilder};
use tunnel_layers::{deadline::DeadlineLayer, rescue::RescueLayer, trace_id::TraceIdLayer};
use tunnel_tests::tunnel::{address, listener};

use crate::{
    pb::{Empty, test_service_server::TestServiceServer},
    requests::{assert_status, ending, unary},
    server::Server,
    world::{client, within},
};

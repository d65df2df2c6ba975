//! `grpc.reflection` on the agents' port.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorProto;
use tonic::Code;
use tonic_reflection::pb::{v1, v1alpha};
use tunnel_tests::wait::within_limit;

use super::port::{Port, channel};

const SERVICES: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "tunnel.v1.TunnelService",
];

/// Asks the reflection of one version, and gives the message of its answer.
macro_rules! ask {
    ($version:ident, $port:expr, $question:ident($text:expr)) => {{
        use $version::{
            server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
        };
        let request = $version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::$question($text.to_owned())),
        };
        let mut client = ServerReflectionClient::new(channel($port.addr).await);
        let answers = client
            .server_reflection_info(futures_util::stream::iter([request]))
            .await;
        let answer = answers.unwrap().into_inner().message().await;
        answer.map(|answer| answer.unwrap().message_response.unwrap())
    }};
}

macro_rules! lists_and_describes {
    ($version:ident, $port:expr) => {{
        use $version::server_reflection_response::MessageResponse;
        let Ok(MessageResponse::ListServicesResponse(list)) = ask!($version, $port, ListServices("*")) else {
            panic!("no list")
        };
        let names: BTreeSet<_> = list.service.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(SERVICES));
        for service in SERVICES {
            let answer = ask!($version, $port, FileContainingSymbol(service));
            let Ok(MessageResponse::FileDescriptorResponse(files)) = answer else {
                panic!("{service} is not described")
            };
            let file = FileDescriptorProto::decode(&*files.file_descriptor_proto[0]).unwrap();
            let package = service.rsplit_once('.').unwrap().0;
            assert_eq!(file.package(), package);
        }
        let unknown = ask!($version, $port, FileContainingSymbol("no.Such"));
        assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    }};
}

#[tokio::test]
async fn both_versions_list_and_describe_what_stands_on_the_port() {
    within_limit(async {
        let port = Port::open().await;
        lists_and_describes!(v1, port);
        lists_and_describes!(v1alpha, port);
    })
    .await;
}

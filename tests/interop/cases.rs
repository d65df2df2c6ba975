//! What any client can do with any server, here with tonic's client. `python/client.py` has the same cases, under the same
//! names.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use futures_util::stream;
use http::uri::PathAndQuery;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_prost::ProstCodec;

use crate::{
    pb::{Empty, OutputRequest, UnaryRequest, unimplemented_service_client::UnimplementedServiceClient},
    requests::{Named, assert_status, ending, fed, input, next, output, sizes, unary},
    server::HANG,
    world::{PLACES, World, channel, client, within},
};

/// A case: it panics when it fails.
pub(crate) type Case = fn(SocketAddr) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// What needs escapes in `grpc-message`.
const SPECIAL: &str = "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608} 100%\t\n";

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// All cases, by name.
        pub(crate) const CASES: &[(&str, Case)] = &[$((stringify!($name), |addr| Box::pin($name(addr)))),*];

        mod each {
            $(#[tokio::test]
            async fn $name() {
                super::everywhere(stringify!($name), |addr| Box::pin(super::$name(addr))).await;
            })*
        }
    };
}

cases![
    empty_unary,
    large_unary,
    client_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    all_status_codes,
    unimplemented_method,
    unimplemented_service,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
    message_sizes,
    headers_before_messages,
    server_ends_first,
    half_close,
];

/// Runs a case at every place with tonic's server.
async fn everywhere(name: &str, case: Case) {
    for place in PLACES {
        within(&format!("{name} {place:?}"), async {
            let world = World::new(place).await;
            case(world.addr).await;
            world.settled().await;
        })
        .await;
    }
}

async fn empty_unary(addr: SocketAddr) {
    let answer = client(addr).await.empty_call(Empty {}).await;
    assert_eq!(answer.expect("it succeeds").into_inner(), Empty {});
}

async fn large_unary(addr: SocketAddr) {
    let answer = client(addr).await.unary_call(unary(271_828, 314_159)).await;
    assert_eq!(answer.expect("it succeeds").into_inner().payload.len(), 314_159);
}

async fn client_streaming(addr: SocketAddr) {
    let messages = stream::iter([27_182, 8, 1_828, 45_904].map(input));
    let answer = client(addr).await.streaming_input_call(messages).await;
    assert_eq!(answer.expect("it succeeds").into_inner().size, 74_922);
}

async fn server_streaming(addr: SocketAddr) {
    let wanted = [31_415, 9, 2_653, 58_979];
    let request = output(0, &wanted);
    let answer = client(addr).await.streaming_output_call(request).await;
    let got = sizes(answer.expect("it succeeds").into_inner()).await;
    assert_eq!(got.expect("it ends well"), wanted.map(|size| size as usize));
}

async fn ping_pong(addr: SocketAddr) {
    let (requests, messages) = fed();
    let answer = client(addr).await.full_duplex_call(messages).await;
    let mut answers = answer.expect("it succeeds").into_inner();
    for (request, response) in [(27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979)] {
        requests
            .send(output(request, &[response]))
            .await
            .expect("the call goes on");
        assert_eq!(next(&mut answers).await, response as usize);
    }
    drop(requests);
    assert_eq!(sizes(answers).await.expect("it ends well"), [0; 0]);
}

async fn empty_stream(addr: SocketAddr) {
    let mut client = client(addr).await;
    let answer = client
        .full_duplex_call(stream::iter(Vec::<OutputRequest>::new()))
        .await;
    let answers = answer.expect("it succeeds").into_inner();
    assert_eq!(sizes(answers).await.expect("it ends well"), [0; 0]);
}

async fn custom_metadata(addr: SocketAddr) {
    let mut client = client(addr).await;
    let answer = client.unary_call(with_metadata(unary(1, 1))).await;
    // tonic gives trailing metadata of a unary call beside the initial ones.
    let metadata = answer.expect("it succeeds").metadata().clone();
    assert_initial(&metadata);
    assert_trailing(&metadata);

    let messages = stream::iter([output(1, &[1])]);
    let answer = client.full_duplex_call(with_metadata(messages)).await;
    let answer = answer.expect("it succeeds");
    assert_initial(answer.metadata());
    let mut answers = answer.into_inner();
    assert_eq!(next(&mut answers).await, 1);
    assert!(answers.message().await.expect("it ends well").is_none());
    let trailing = answers.trailers().await.expect("it ended well");
    assert_trailing(&trailing.expect("there are some"));
}

fn with_metadata<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    for key in ["x-echo-initial", "x-echo-trailing"] {
        metadata.append(key, MetadataValue::from_static("first"));
        metadata.append(key, MetadataValue::from_static("second"));
    }
    for key in ["x-echo-initial-bin", "x-echo-trailing-bin"] {
        for bytes in BINARY {
            metadata.append_bin(key, MetadataValue::from_bytes(bytes));
        }
    }
    request
}

/// Values that no header could have as they are.
const BINARY: [&[u8]; 3] = [&[0xab, 0xab, 0xab], &[0, 0xff, b','], &[]];

fn assert_initial(metadata: &MetadataMap) {
    assert_metadata(metadata, "x-echo-initial", "x-echo-initial-bin");
}

fn assert_trailing(metadata: &MetadataMap) {
    assert_metadata(metadata, "x-echo-trailing", "x-echo-trailing-bin");
}

fn assert_metadata(metadata: &MetadataMap, text: &'static str, binary: &'static str) {
    let texts: Vec<_> = metadata.get_all(text).iter().collect();
    assert_eq!(texts, ["first", "second"], "{metadata:?}");
    let values = metadata.get_all_bin(binary);
    let values: Vec<_> = values
        .iter()
        .map(|value| value.to_bytes().expect("base64"))
        .collect();
    assert_eq!(values, BINARY, "{metadata:?}");
}

async fn status_code_and_message(addr: SocketAddr) {
    assert_ends_with(addr, Code::Unknown, "test status message").await;
}

async fn special_status_message(addr: SocketAddr) {
    assert_ends_with(addr, Code::Unknown, SPECIAL).await;
}

async fn all_status_codes(addr: SocketAddr) {
    for code in 1..=16 {
        assert_ends_with(addr, Code::from_i32(code), &format!("code {code}")).await;
    }
    // The seventeenth is OK.
    empty_unary(addr).await;
}

/// A unary call, and one that streams after it has sent a message, end like this.
async fn assert_ends_with(addr: SocketAddr, code: Code, message: &str) {
    let mut client = client(addr).await;
    let request = UnaryRequest {
        status: Some(ending(code, message)),
        ..unary(1, 1)
    };
    assert_status(client.unary_call(request).await, code, message);

    for responses in [&[1][..], &[]] {
        let request = OutputRequest {
            status: Some(ending(code, message)),
            ..output(1, responses)
        };
        let answer = client.full_duplex_call(stream::iter([request])).await;
        // A server may end a call without a message by trailers only.
        let result = match answer {
            Ok(answer) => {
                let mut answers = answer.into_inner();
                for _ in responses {
                    assert_eq!(next(&mut answers).await, 1);
                }
                answers.message().await
            }
            Err(status) => Err(status),
        };
        assert_status(result, code, message);
    }
}

async fn unimplemented_method(addr: SocketAddr) {
    let mut grpc = Grpc::new(channel(addr).await);
    grpc.ready().await.expect("the connection is there");
    let path = PathAndQuery::from_static("/tunnel.interop.v1.TestService/UnimplementedCall");
    let result = grpc
        .unary(
            Request::new(Empty {}),
            path,
            ProstCodec::<Empty, Empty>::default(),
        )
        .await;
    assert_eq!(result.expect_err("no server has it").code(), Code::Unimplemented);
}

async fn unimplemented_service(addr: SocketAddr) {
    let mut client = UnimplementedServiceClient::new(channel(addr).await);
    let result = client.unimplemented_call(Empty {}).await;
    assert_eq!(result.expect_err("no server has it").code(), Code::Unimplemented);
}

async fn cancel_after_begin(addr: SocketAddr) {
    let (mut client, call) = (client(addr).await, Named::new());
    let (requests, messages) = fed();
    let mut caller = client.clone();
    let mut request = call.request(messages);
    let value = MetadataValue::from_static("1");
    request.metadata_mut().insert(HANG, value);
    let running = tokio::spawn(async move { caller.streaming_input_call(request).await });
    call.started(&mut client).await;
    running.abort();
    // hyper cancels a call whose head has come when both directions of it are dropped.
    drop(requests);
    call.canceled(&mut client).await;
}

async fn cancel_after_first_response(addr: SocketAddr) {
    let (mut client, call) = (client(addr).await, Named::new());
    let (requests, messages) = fed();
    let answer = client.full_duplex_call(call.request(messages)).await;
    let mut answers = answer.expect("it succeeds").into_inner();
    let request = OutputRequest {
        hang: true,
        ..output(27_182, &[31_415])
    };
    requests.send(request).await.expect("the call goes on");
    assert_eq!(next(&mut answers).await, 31_415);
    // As above.
    drop((answers, requests));
    call.canceled(&mut client).await;
}

async fn timeout_on_sleeping_server(addr: SocketAddr) {
    let (mut client, call) = (client(addr).await, Named::new());
    let mut request = call.request(UnaryRequest {
        hang: true,
        ..unary(27_182, 1)
    });
    request.set_timeout(Duration::from_millis(300));
    let status = client.unary_call(request).await.expect_err("it takes too long");
    // A client or a server of tonic's calls it CANCELLED, whichever clock was the first.
    let codes = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(codes.contains(&status.code()), "{status:?}");
    call.canceled(&mut client).await;
}

async fn message_sizes(addr: SocketAddr) {
    const MIB: usize = 1024 * 1024;
    let mut client = client(addr).await;
    for size in [0, 1, 4 * MIB - 1, 4 * MIB, 16 * MIB] {
        let answer = client.unary_call(unary(size, size as u32)).await;
        assert_eq!(answer.expect("it succeeds").into_inner().payload.len(), size);
    }
}

async fn headers_before_messages(addr: SocketAddr) {
    let (requests, messages) = fed();
    let mut request = Request::new(messages);
    let value = MetadataValue::from_static("seen");
    request.metadata_mut().insert("x-echo-initial", value);
    // The server has no message to send before it gets one.
    let answer = client(addr).await.full_duplex_call(request).await;
    let answer = answer.expect("it succeeds");
    assert_eq!(
        answer.metadata().get("x-echo-initial").expect("it is there"),
        "seen"
    );
    requests.send(output(1, &[5])).await.expect("the call goes on");
    drop(requests);
    assert_eq!(sizes(answer.into_inner()).await.expect("it ends well"), [5]);
}

async fn server_ends_first(addr: SocketAddr) {
    let mut client = client(addr).await;
    for (code, message) in [(Code::Ok, ""), (Code::Aborted, "enough")] {
        let (requests, messages) = fed();
        let answer = client.full_duplex_call(messages).await;
        let mut answers = answer.expect("it succeeds").into_inner();
        let last = OutputRequest {
            status: Some(ending(code, message)),
            ..output(1, &[7])
        };
        requests.send(last).await.expect("the call goes on");
        assert_eq!(next(&mut answers).await, 7);
        // The client's side is still open.
        match answers.message().await {
            Ok(end) => assert!(end.is_none() && code == Code::Ok, "it ended well"),
            Err(status) => assert_status(Err::<(), Status>(status), code, message),
        }
        drop(requests);
    }
}

async fn half_close(addr: SocketAddr) {
    let (requests, messages) = fed();
    let answer = client(addr).await.full_duplex_call(messages).await;
    let answers = answer.expect("it succeeds").into_inner();
    // All that is asked for comes after the client's end, and more than any window holds.
    let mut request = output(1, &[100_000]);
    request.responses[0].times = 20;
    requests.send(request).await.expect("the call goes on");
    drop(requests);
    assert_eq!(sizes(answers).await.expect("it ends well"), [100_000; 20]);
}

//! Exchanges without a task of hyper's, and where hyper takes over.

use std::sync::Mutex;

use tokio::io::duplex;

use super::*;
use crate::net::Dialer;

/// Serves one connection: for each request the pieces of its answer, one after the other, as the runtime sees them. Says how many bytes
/// came that are no head of a GET.
async fn serve(listener: TcpListener, answers: &[&[&str]]) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    for pieces in answers {
        assert!(
            head(&mut stream)
                .await
                .starts_with("GET /path?query HTTP/1.1\r\nhost: out.example\r\n")
        );
        for piece in *pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            settle().await;
        }
    }
    let mut more = Vec::new();
    // An error is an end, too.
    let _ = stream.read_to_end(&mut more).await;
    more.len()
}

#[tokio::test]
async fn answers_of_every_kind_come_through_and_each_request_is_written_once() {
    const WHOLE: &[&str] = &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"];
    let others: [&[&str]; 6] = [
        &["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 3\r\n\r\nabc"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", "abc"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na", "b", "c"],
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
        &["HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", WHOLE[0]],
        &["HTTP/1.1 200 Fine\r\ncontent-length: 3\r\n\r\nabc"],
    ];
    for other in others {
        let (listener, addr) = listen();
        let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
        let asks = async {
            for _ in 0..4 {
                let response = upstream.clone().oneshot(get()).await.unwrap();
                assert_eq!(text(response).await, "abc", "{other:?}");
                settle().await;
            }
            assert_eq!(upstream.connections(), 1, "{other:?}");
            upstream.close();
        };
        let answers = [WHOLE, WHOLE, other, WHOLE];
        let ((), more) = soon(async { tokio::join!(asks, serve(listener, &answers)) }).await;
        assert_eq!(more, 0, "{other:?}");
    }
}

#[tokio::test]
async fn an_answer_larger_than_what_is_read_at_once() {
    let origin = Origin::start(|_| async { Ok(Response::new(body(vec![b'x'; 300_000]))) });
    let upstream = origin.upstream(UpstreamProtocol::Http1);
    for _ in 0..3 {
        let response = soon(upstream.clone().oneshot(get())).await.unwrap();
        assert_eq!(text(response).await.len(), 300_000);
        settle().await;
    }
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn requests_with_and_without_a_body_share_a_connection() {
    let origin = Origin::start(|request: Request<Incoming>| async {
        Ok(Response::new(body(
            request.into_body().collect().await?.to_bytes(),
        )))
    });
    let upstream = origin.upstream(UpstreamProtocol::Http1);
    for text_of in ["", "hello", "", "world"] {
        let request = match text_of {
            "" => get().map(|empty| empty.map_err(|never| match never {}).boxed_unsync()),
            text => post(body(text)),
        };
        let response = soon(upstream.clone().oneshot(request)).await.unwrap();
        assert_eq!(text(response).await, text_of);
        settle().await;
    }
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn an_idle_connection_goes_as_soon_as_the_upstream_ends_it_or_says_something() {
    for last_word in ["", "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"] {
        let (listener, addr) = listen();
        let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            head(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            stream
        };
        let (response, mut stream) =
            soon(async { tokio::join!(upstream.clone().oneshot(get()), serve) }).await;
        assert_eq!(text(response.unwrap()).await, "ok");
        settle().await;
        assert_eq!(upstream.connections(), 1);
        match last_word {
            "" => drop(stream),
            words => {
                stream.write_all(words.as_bytes()).await.unwrap();
                // Closed from the other side, although this one goes on.
                assert!(!matches!(soon(stream.read(&mut [0; 1])).await, Ok(1..)));
            }
        }
        soon(async {
            while upstream.connections() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_new_connection_that_is_over_or_speaks_first_is_asked_nothing() {
    for first_word in [
        "",
        "x",
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
    ] {
        let open = Arc::new(Mutex::new(Vec::new()));
        let ends = Arc::clone(&open);
        let dialer = Dialer::new(move |_, _| {
            let ends = Arc::clone(&ends);
            async move {
                let (ours, mut theirs) = duplex(1024);
                theirs.write_all(first_word.as_bytes()).await?;
                if !first_word.is_empty() {
                    ends.lock().unwrap().push(theirs);
                }
                Ok(ours)
            }
        });
        let upstream = Upstream::builder("http://out.example")
            .dialer(dialer)
            .build()
            .unwrap();
        let error = soon(upstream.oneshot(get())).await.unwrap_err();
        assert_eq!(
            (error.cause(), error.sent()),
            (Cause::Upstream, Sent::No),
            "{first_word:?}"
        );
        let ends = std::mem::take(&mut *open.lock().unwrap());
        let mut asked = Vec::new();
        for mut end in ends {
            end.read_to_end(&mut asked).await.unwrap();
        }
        assert_eq!(asked, b"", "{first_word:?}");
    }
}

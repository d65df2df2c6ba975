//! Answers, good ones and all kinds of odd ones.

use http::Method;
use hyper::ext::ReasonPhrase;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use super::{super::head::Answer, *};

/// Checks that an answer which is taken here is the same to hyper. Says whether it is taken.
fn agree(answer: &[u8], method: &Method) -> Result<bool, TestCaseError> {
    let Ok(Answer { response, is_last }) = head::read(Bytes::copy_from_slice(answer), method) else {
        return Ok(false);
    };
    let mut request = Request::new(Upload::none());
    *request.method_mut() = method.clone();
    let Some(theirs) = by_hyper(request, answer) else {
        return Err(TestCaseError::fail("hyper takes no such answer"));
    };
    prop_assert_eq!(is_last, !theirs.is_kept);
    let theirs = theirs.answer;
    prop_assert_eq!(response.status(), theirs.status());
    prop_assert_eq!(response.version(), theirs.version());
    prop_assert_eq!(response.headers(), theirs.headers());
    prop_assert_eq!(response.body(), theirs.body());
    prop_assert!(theirs.extensions().get::<ReasonPhrase>().is_none());
    Ok(true)
}

/// Answers to a GET that are taken. Characters stand for the bytes of their numbers.
const GOOD: [&str; 7] = [
    "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nabc",
    "HTTP/1.1 404 Not Found\r\nx-a: 1\r\nX-A: \u{ff}\t2 \r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\nage:\ncontent-length:3\n\nabc",
    "\r\nHTTP/1.1 201 Created\r\nVary: \r\nSet-Cookie: a\r\nset-cookie: b\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 3\r\n\r\n",
];

fn bytes_of(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).expect("a byte"))
        .collect()
}

fn method() -> impl Strategy<Value = Method> {
    select(&[Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS][..])
}

/// Mostly the one, and now and then one of the others.
fn mostly(usual: &'static str, odd: &'static str) -> impl Strategy<Value = &'static str> {
    prop_oneof![12 => Just(usual), 1 => one_of(odd)]
}

fn status() -> impl Strategy<Value = &'static str> {
    const ODD: &str = "200|200 |200 ok|200  OK|200 OK |200 O\tK|200 \u{ff}|200 O\0K|205 Reset Content|100 Continue|\
        101 Switching Protocols|103 Early Hints|199 |299 Odd|500 Internal Server Error|600 |999 |099 |1000 OK|20 OK|\
        +20 OK|2\u{b2}0 OK";
    prop_oneof![3 => one_of("200 OK|204 No Content|304 Not Modified|404 Not Found"), 1 => one_of(ODD)]
}

/// What says the length of the body, which is `#`.
fn length() -> impl Strategy<Value = String> {
    const ODD: &str = "#| #|  \t# \t|0#| 0000000#| +#| -#| #,#| #, #| 1#| #0| #.0| 0x#| # #|| \r\n #| #\r| #\0| #;| \u{b2}|\
        18446744073709551615|18446744073709551616| 99999999| #\r\ncontent-length: #| #\r\ncontent-length: 1#";
    let name = mostly(
        "Content-Length:",
        "content-length:|CONTENT-LENGTH:|content-length :| content-length:|x:",
    );
    let end = mostly("\r\n", "\n|\r|\r\r\n");
    (name, mostly(" #", ODD), end).prop_map(|(name, value, end)| format!("{name}{value}{end}"))
}

fn field() -> impl Strategy<Value = String> {
    const NAMES: &str = "Server|server|x-a|X-A|Set-Cookie|ETag|age|Content-Type|Keep-Alive|Upgrade|TE|Trailer|\
        Proxy-Authenticate|Content-Encoding";
    const VALUES: &str = "1||a b|a\tb|\u{80}\u{ff}|  spaced\t|close|trailers|a, b|x: y";
    const CONNECTIONS: &str = "close|Close|keep-alive|Keep-Alive|keep-alive, close|close, x-a|x-a|x-a, server|upgrade||\
        close,|,close|close |keep-alive\t|te|\u{ff}|\u{ff}, close|clos|not-close";
    const CODINGS: &str = "chunked|Chunked|identity|gzip|gzip, chunked|chunked, gzip||\u{ff}";
    const ODD_NAMES: &str = "| x|\tx|x |x\t|x y|\u{fc}|\0|x\0y|x\r|(x)|x-a|Server|\r\n x";
    const ODD_VALUES: &str = "a\0b|a\rb|a\nb|a\r\n b|a\r\n\tb|\x7f|\x01|\r|\u{ff}|1|";
    let line = |(name, value)| format!("{name}: {value}\r\n");
    let name = mostly("Connection", "connection|CONNECTION|connection ");
    let coding = one_of(CODINGS).prop_map(|value| format!("Transfer-Encoding: {value}\r\n"));
    let odd = (
        one_of(ODD_NAMES),
        one_of(":|: |:\t| :|\t: ||=|::"),
        one_of(ODD_VALUES),
        mostly("\r\n", "\n|\r||\r\r\n|\n\r"),
    );
    prop_oneof![
        24 => (one_of(NAMES), one_of(VALUES)).prop_map(line),
        8 => (name, one_of(CONNECTIONS)).prop_map(line),
        1 => coding,
        3 => odd.prop_map(|(name, colon, value, end)| format!("{name}{colon}{value}{end}")),
        1 => (90..110_usize).prop_map(|count| "x: 1\r\n".repeat(count)),
    ]
}

/// Everything before the empty line.
fn lines() -> impl Strategy<Value = String> {
    let start = mostly("", "\r\n|\n|\r\n\n\r\n|\r| |\0|HTTP/1.1 100 Continue\r\n\r\n");
    let version = mostly(
        "HTTP/1.1",
        "HTTP/1.0|HTTP/1.2|HTTP/2|HTTP/2.0|http/1.1|HTTP/01.1|ICY|",
    );
    let fields = (vec(field(), 0..5), length(), any::<Index>());
    let fields = fields.prop_map(|(mut fields, length, at)| {
        fields.insert(at.index(fields.len() + 1), length);
        fields.concat()
    });
    let parts = (start, version, status(), mostly("\r\n", "\n|\r|\r\r\n|"), fields);
    parts.prop_map(|(start, version, status, end, fields)| format!("{start}{version} {status}{end}{fields}"))
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![1 => Just(Vec::new()), 2 => vec(any::<u8>(), 1..12)];
    let tail = mostly("", "x|\r\n|\0|HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let cut = prop_oneof![12 => Just(None), 1 => any::<Index>().prop_map(Some)];
    (lines(), body, tail, cut).prop_map(|(head, body, tail, cut)| {
        let mut answer = bytes_of(&head.replace('#', &body.len().to_string()));
        answer.extend(b"\r\n");
        answer.extend(body);
        answer.extend(tail.bytes());
        if let Some(cut) = cut {
            answer.truncate(cut.index(answer.len()));
        }
        answer
    })
}

/// What happens to a byte somewhere.
#[derive(Clone, Copy, Debug)]
enum Change {
    Replace(u8),
    Insert(u8),
    Remove,
    CutBefore,
}

fn change() -> impl Strategy<Value = Change> {
    let notable = select(b"\r\n\0\t :,;=0134aXx\x7f\x80\xff".to_vec());
    let byte = prop_oneof![3 => notable, 1 => any::<u8>()];
    prop_oneof![
        8 => byte.clone().prop_map(Change::Replace),
        8 => byte.prop_map(Change::Insert),
        4 => Just(Change::Remove),
        1 => Just(Change::CutBefore),
    ]
}

impl Change {
    fn make(self, bytes: &mut Vec<u8>, at: usize) {
        match self {
            Self::Replace(byte) => bytes[at] = byte,
            Self::Insert(byte) => bytes.insert(at, byte),
            Self::Remove => drop(bytes.remove(at)),
            Self::CutBefore => bytes.truncate(at),
        }
    }
}

#[test]
fn good_answers_are_taken() {
    for text in GOOD {
        assert!(agree(&bytes_of(text), &Method::GET).unwrap(), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn an_answer_that_is_taken_is_the_same_to_hyper(answer in answer(), method in method()) {
        agree(&answer, &method)?;
    }

    #[test]
    fn a_good_answer_with_small_changes_is_the_same_to_hyper(
        good in select(GOOD.to_vec()),
        changes in vec((change(), any::<Index>()), 1..3),
        method in method(),
    ) {
        let mut answer = bytes_of(good);
        for (change, at) in changes {
            if !answer.is_empty() {
                let at = at.index(answer.len());
                change.make(&mut answer, at);
            }
        }
        agree(&answer, &method)?;
    }
}

//! The future of [`GrpcWeb`](super::GrpcWeb).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;
use tunnel_core::BoxError;

use super::{
    WebBody,
    answering::Answering,
    failure::Failure,
    format,
    translate::{Aside, TranslateFuture, Untranslated},
};
use crate::reject::ResponseBody;

/// Resolves to the response, translated if the request was. Dropping it drops the call.
#[pin_project]
pub struct ResponseFuture<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
enum State<F> {
    Plain(#[pin] F),
    /// Boxed, because most calls are not translated.
    Translated(
        Pin<Box<tonic_web::ResponseFuture<TranslateFuture<F>>>>,
        Box<Answering>,
    ),
    /// Without a body.
    Answer(Option<Response<()>>),
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) const fn plain(future: F) -> Self {
        Self(State::Plain(future))
    }

    pub(super) fn translated(
        future: tonic_web::ResponseFuture<TranslateFuture<F>>,
        answering: Answering,
    ) -> Self {
        Self(State::Translated(Box::pin(future), Box::new(answering)))
    }

    /// The layer's own answer: in gRPC if it is one to a call.
    pub(super) fn answer(mut response: Response<()>, call: Option<Answering>) -> Self {
        if let Some(answering) = call {
            let content_type = format::web(response.headers(), answering.encoding());
            answering.translated(response.headers_mut(), content_type);
        }
        Self(State::Answer(Some(response)))
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Response<WebBody<ResponseBody<RB>>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Plain(future) => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(|body| WebBody::plain(ResponseBody::inner(body)))))
            }
            StateProj::Answer(response) => response.take().map_or(Poll::Pending, |response| {
                Poll::Ready(Ok(response.map(|()| WebBody::plain(ResponseBody::empty()))))
            }),
            StateProj::Translated(future, answering) => Poll::Ready(match ready!(future.as_mut().poll(cx)) {
                Ok(mut response) => {
                    // Always there: `TranslateFuture` has put it in.
                    let aside = response.extensions_mut().remove::<Aside>();
                    let failure = aside.map_or_else(Failure::default, |aside| {
                        answering.translated(response.headers_mut(), aside.content_type);
                        aside.failure
                    });
                    Ok(response.map(|body| WebBody::response(body, failure)))
                }
                Err(Untranslated::Plain(mut response)) => {
                    answering.plain(response.headers_mut());
                    Ok(response.map(WebBody::plain))
                }
                Err(Untranslated::Failed(error)) => Err(error),
            }),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Plain(_) => "ResponseFuture::Plain(..)",
            State::Translated(..) => "ResponseFuture::Translated(..)",
            State::Answer(_) => "ResponseFuture::Answer(..)",
        })
    }
}

//! What every service of this crate has in the same form.

/// Accessors to the wrapped service in the field `inner`, and, with the feature `grpc`, the name of a wrapped tonic service.
macro_rules! wraps_inner {
    ($service:ident<S $(, $other:ident)*>) => {
        impl<S $(, $other)*> $service<S $(, $other)*> {
            /// The wrapped service.
            pub const fn get_ref(&self) -> &S {
                &self.inner
            }

            /// The wrapped service.
            pub const fn get_mut(&mut self) -> &mut S {
                &mut self.inner
            }

            /// The wrapped service.
            pub fn into_inner(self) -> S {
                self.inner
            }
        }

        #[cfg(feature = "grpc")]
        impl<S: tonic::server::NamedService $(, $other)*> tonic::server::NamedService for $service<S $(, $other)*> {
            const NAME: &'static str = S::NAME;
        }
    };
}

/// The service of a layer that watches exchanges: `begin` takes a request, and gives what its body and its future keep.
#[cfg(any(feature = "access_log", feature = "metrics"))]
macro_rules! watches {
    ($service:ident<S>) => {
        impl<S, B, RB> tower_service::Service<http::Request<B>> for $service<S>
        where
            S: tower_service::Service<
                    http::Request<crate::observe::RequestBody<B>>,
                    Response = http::Response<RB>,
                >,
            S::Error: 'static,
            B: http_body::Body,
            RB: http_body::Body,
            RB::Error: 'static,
        {
            type Response = http::Response<crate::observe::ResponseBody<RB>>;
            type Error = S::Error;
            type Future = crate::observe::ResponseFuture<S::Future>;

            fn poll_ready(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), S::Error>> {
                self.inner.poll_ready(cx)
            }

            fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
                let (half, guard) = self.begin(&mut request);
                let request = request.map(|body| crate::observe::RequestBody::new(body, half));
                crate::observe::ResponseFuture::new(self.inner.call(request), guard)
            }
        }
    };
}

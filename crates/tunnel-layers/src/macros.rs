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

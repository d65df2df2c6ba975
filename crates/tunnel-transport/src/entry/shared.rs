//! What every request of an entry finds in its extensions.

use std::{mem, sync::Arc};

use http::Extensions;

/// The extensions that each request of an entry gets a clone of. One for all connections, so that it is at hand for each of them.
///
/// A clone has the room of the original, and this one has room for what connections say of themselves and for what the layers of a
/// full stack add, so that the map of a request does not grow three times on its way.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Extensions>);

/// Takes a place in a map, which never shrinks.
#[derive(Clone)]
struct Room<const N: usize>;

impl Shared {
    /// With what is in `first`.
    pub(super) fn new(first: &Extensions) -> Self {
        let mut extensions = first.clone();
        macro_rules! make_room {
            ($($n:literal)*) => {
                $(extensions.insert(Room::<$n>);)*
                $(extensions.remove::<Room<$n>>();)*
            };
        }
        make_room!(0 1 2 3 4 5 6 7 8 9);
        Self(Arc::new(extensions))
    }

    /// Adds it to what the codec has put into `extensions`, which stays.
    pub(super) fn put_into(&self, extensions: &mut Extensions) {
        let of_codec = mem::replace(extensions, Extensions::clone(&self.0));
        if !of_codec.is_empty() {
            extensions.extend(of_codec);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_get_what_is_shared_beside_what_the_codec_says() {
        let mut first = Extensions::new();
        first.insert(1_u8);
        first.insert(2_u16);
        let shared = Shared::new(&first);
        assert_eq!(shared.0.len(), 2, "no room is left behind");

        let mut extensions = Extensions::new();
        extensions.insert(3_u32);
        extensions.insert(4_u8);
        shared.put_into(&mut extensions);
        assert_eq!(extensions.get(), Some(&2_u16));
        assert_eq!(extensions.get(), Some(&3_u32));
        assert_eq!(
            extensions.get(),
            Some(&4_u8),
            "what the codec says of this request"
        );

        let mut extensions = Extensions::new();
        shared.put_into(&mut extensions);
        assert_eq!((extensions.get(), extensions.len()), (Some(&1_u8), 2));
    }
}

//! For any path and any host: no panic, and one form that is its own.

use proptest::prelude::*;

use super::super::canonical_path;
use super::*;

fn piece() -> impl Strategy<Value = String> {
    let fixed = proptest::sample::select(vec![
        "/", "//", ".", "..", "%2e", "%2E", "%2f", "%5C", "\\", ";", "%3b", "%", "%0", "%00", "%zz", "a",
        "B", "%41", "é", "%C3%A9", "{", "~", "@", "*", "%25",
    ]);
    fixed.prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn the_form_for_matching_is_its_own(pieces in proptest::collection::vec(piece(), 0..12), dots: bool, slashes: bool) {
        let path = format!("/{}", pieces.concat());
        let policy = Policy::new().allow_dot_segments(dots).allow_encoded_slashes(slashes);
        if let Ok(found) = canonical_path(&path, &policy) {
            prop_assert!(found.starts_with('/') && found.is_ascii());
            prop_assert!(!found.contains("//") && !found.contains([';', '\\']));
            prop_assert!(!found.split('/').any(|segment| matches!(segment, "." | "..")));
            let again = canonical_path(&found, &policy);
            prop_assert_eq!(again.unwrap(), found.as_ref());
        }
    }

    #[test]
    fn any_host_is_refused_or_has_one_form(host in "[a-zA-Z0-9.:@\\[\\]_-]{0,24}") {
        let parts = with(bare(Version::HTTP_11, "/"), &[("host", &host)]);
        if let Ok(parts) = try_with(parts, &peer(), &Policy::new()) {
            let authority = canonical(&parts).authority().unwrap().clone();
            prop_assert_eq!(authority.host(), canonical(&parts).host());
            prop_assert_eq!(authority.port_u16(), canonical(&parts).port());
            let again = admitted(with(bare(Version::HTTP_11, "/"), &[("host", authority.as_str())]));
            prop_assert_eq!(canonical(&again).authority().unwrap().as_str(), authority.as_str());
        }
    }
}

//! The live page: files in the binary, which show what the JSON says.
//!
//! The files are for everybody, since the form for the token is among them; everything that they show comes from `/api`, with
//! credentials. Nothing is loaded from elsewhere, no script stands in the HTML, and no text can become HTML: the policy of the page
//! forbids all three, whatever a name of an agent says.

use axum::{Router, routing::get};
use http::{HeaderName, header};

use super::Admin;

/// Stricter than that of the other answers: text that a script would write as HTML is refused by browsers that know of it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File {
            path: concat!("/page/", $name),
            kind: $kind,
            text: include_str!($name),
        }
    };
}

const INDEX: File = File {
    path: "/",
    kind: HTML,
    text: include_str!("index.html"),
};

const FILES: [File; 15] = [
    INDEX,
    file!("style.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    file!("agents.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("detail.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("main.js", SCRIPT),
    file!("map.js", SCRIPT),
    file!("panels.js", SCRIPT),
    file!("plot.js", SCRIPT),
    file!("rates.js", SCRIPT),
    file!("states.js", SCRIPT),
    file!("table.js", SCRIPT),
];

/// The routes of the page.
pub(super) fn router() -> Router<Admin> {
    FILES.into_iter().fold(Router::new(), |router, file| {
        let fields: [(HeaderName, &str); 2] = [
            (header::CONTENT_TYPE, file.kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
        ];
        router.route(file.path, get(move || async move { (fields, file.text) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names between quotes that stand behind this.
    fn names(text: &'static str, before: &'static str) -> impl Iterator<Item = &'static str> {
        text.match_indices(before).map(move |(at, _)| {
            let behind = &text[at + before.len()..];
            &behind[..behind.find('"').expect("a quote")]
        })
    }

    #[test]
    fn every_file_that_is_named_is_there_and_none_is_in_vain() {
        let mut wanted = vec!["/".to_owned()];
        for attribute in ["href=\"", "src=\""] {
            wanted.extend(names(INDEX.text, attribute).map(|name| format!("/{name}")));
        }
        for file in FILES.iter().filter(|file| file.kind == SCRIPT) {
            wanted.extend(names(file.text, "from \"./").map(|name| format!("/page/{name}")));
        }
        wanted.sort();
        wanted.dedup();
        let mut there: Vec<_> = FILES.iter().map(|file| file.path.to_owned()).collect();
        there.sort();
        assert_eq!(wanted, there);
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_no_text_becomes_html() {
        for file in FILES {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for forbidden in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " style=\"",
            ] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", file.path);
            }
        }
        assert_eq!(INDEX.text.matches("<script").count(), 1);
        assert_eq!(INDEX.text.matches("<style").count(), 0);
    }
}

//! The fields of log lines, as tracing-subscriber writes them, at a fraction of the cost.
//!
//! Each request has a span, whose fields are written although most requests log nothing. The default goes through `core::fmt`
//! with a style around each name, and lets the text grow eight bytes by eight; here the names and plain texts are copied.

use std::{
    error::Error,
    fmt::{self, Write as _},
    mem,
};

use tracing::{
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    field::{RecordFields, VisitOutput as _},
    fmt::{
        FormatFields, FormattedFields,
        format::{DefaultFields, DefaultVisitor, Writer},
    },
};

/// Enough for the span of a request with a short path.
const USUAL_BYTES: usize = 192;

/// Writes fields as [`DefaultFields`] does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        if writer.has_ansi_escapes() {
            return DefaultFields::new().format_fields(writer, fields);
        }
        let mut text = String::with_capacity(USUAL_BYTES);
        write(&mut text, fields)?;
        writer.write_str(&text)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &span::Record<'_>,
    ) -> fmt::Result {
        if !current.fields.is_empty() {
            current.fields.push(' ');
        }
        if current.as_writer().has_ansi_escapes() {
            return self.format_fields(current.as_writer(), fields);
        }
        write(&mut current.fields, fields)
    }
}

fn write(text: &mut String, fields: impl RecordFields) -> fmt::Result {
    let mut visitor = Visitor {
        text,
        is_first: true,
        result: Ok(()),
    };
    fields.record(&mut visitor);
    visitor.result
}

struct Visitor<'a> {
    text: &'a mut String,
    is_first: bool,
    result: fmt::Result,
}

impl Visitor<'_> {
    /// Begins a field.
    fn name(&mut self, field: &Field) {
        if !mem::replace(&mut self.is_first, false) {
            self.text.push(' ');
        }
        let name = field.name();
        self.text.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.text.push('=');
    }

    /// Messages and errors are for the one who knows what in them has to be escaped.
    fn by_default(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        let mut fields = FormattedFields::<DefaultFields>::new(mem::take(self.text));
        let is_first = mem::replace(&mut self.is_first, false);
        let mut visitor = DefaultVisitor::new(fields.as_writer(), is_first);
        record(&mut visitor);
        self.result = self.result.and(visitor.finish());
        *self.text = fields.fields;
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            return self.by_default(|visitor| visitor.record_str(field, value));
        }
        if !is_plain(value) {
            return self.record_debug(field, &value);
        }
        self.name(field);
        self.text.push('"');
        self.text.push_str(value);
        self.text.push('"');
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.by_default(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            return self.by_default(|visitor| visitor.record_debug(field, value));
        }
        self.name(field);
        self.result = self.result.and(write!(self.text, "{value:?}"));
    }
}

const MESSAGE: &str = "message";

/// Whether `Debug` shows this text as it is.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{error, field::Empty, info, info_span};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn log() {
        let request = info_span!(
            "exchange",
            trace.id = %"0af7651916cd43dd",
            http.request.method = ?http::Method::GET,
            url.path = "/a b",
            r#type = 7_u64,
            enduser.id = Empty,
            http.response.status_code = Empty,
        );
        let entered = request.enter();
        info!("nothing more");
        request.record("enduser.id", "\u{1b}[31m\"Ann\\\" \u{202e}\n");
        request.record("http.response.status_code", 200);
        let source = io::Error::other("the\u{1b}[0m source");
        let error: &(dyn Error + 'static) = &io::Error::other(source);
        error!(
            error,
            ok = true,
            ratio = 0.5,
            name = "é",
            "a \u{1b}[1m message {}",
            1
        );
        info!(error = %error, count = -1, wide = u128::MAX);
        drop(entered);
        info_span!("empty").in_scope(|| info!(only = "\u{7f}"));
    }

    fn lines<F>(fields: F) -> String
    where
        F: for<'writer> FormatFields<'writer> + Send + Sync + 'static,
    {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_writer(lines.clone())
            .fmt_fields(fields)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_are_those_of_the_default() {
        let (default, plain) = (lines(DefaultFields::new()), lines(Fields));
        assert_eq!(default.lines().count(), 4, "{default}");
        assert_eq!(plain, default);
        let span = "exchange{trace.id=0af7651916cd43dd http.request.method=GET url.path=\"/a b\" type=7}";
        assert!(plain.lines().next().unwrap().contains(span), "{plain}");
    }
}

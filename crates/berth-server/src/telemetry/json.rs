//! An event as one line of JSON, written field by field: a review's event cost more than its answer where
//! `tracing_subscriber`'s own format wrote it.

use std::fmt::{self, Debug, Display, Write};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// The fields of the event between its time and level, and its target. We open no spans, and none is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut writer)?;
        writer.write_str(r#"","level":""#)?;
        writer.write_str(event.metadata().level().as_str())?;
        writer.write_char('"')?;
        let mut fields = Fields {
            writer: &mut writer,
            written: Ok(()),
        };
        event.record(&mut fields);
        fields.written?;
        writer.write_str(r#","target":""#)?;
        writer.write_str(event.metadata().target())?;
        writer.write_str("\"}\n")
    }
}

/// Writes each field, until one fails.
struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    written: fmt::Result,
}

impl Fields<'_, '_> {
    fn value(&mut self, field: &Field, value: impl FnOnce(&mut dyn Write) -> fmt::Result) {
        let key = |out: &mut dyn Write| {
            out.write_str(",\"")?;
            out.write_str(field.name())?;
            out.write_str("\":")
        };
        if self.written.is_ok() {
            self.written = key(self.writer).and_then(|()| value(self.writer));
        }
    }

    fn bare(&mut self, field: &Field, value: impl Display) {
        self.value(field, |out| write!(out, "{value}"));
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.value(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value:?}")?;
            out.write_char('"')
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.value(field, |out| {
            out.write_char('"')?;
            Escaped(out).write_str(value)?;
            out.write_char('"')
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field, value);
        } else {
            self.bare(field, "null");
        }
    }
}

/// What is inside a JSON string.
struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((plain, special, after)) = split(rest) {
            self.0.write_str(plain)?;
            match special {
                '"' => self.0.write_str("\\\"")?,
                '\\' => self.0.write_str("\\\\")?,
                control => write!(self.0, "\\u{:04x}", u32::from(control))?,
            }
            rest = after;
        }
        self.0.write_str(rest)
    }
}

/// A text before and after the first character that has to be escaped.
fn split(text: &str) -> Option<(&str, char, &str)> {
    let special = |c: u8| c < b' ' || c == b'"' || c == b'\\';
    let (before, rest) = text.split_at(text.bytes().position(special)?);
    let mut rest = rest.chars();
    Some((before, rest.next()?, rest.as_str()))
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, PoisonError},
    };

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lines.extend_from_slice(bytes);
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

    fn logged(log: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Json)
            .with_writer(lines.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = lines.0.lock().unwrap().clone();
        text.split_inclusive(|byte| *byte == b'\n')
            .map(|line| {
                assert!(line.ends_with(b"\n"));
                serde_json::from_slice(line).expect("JSON")
            })
            .collect()
    }

    #[test]
    fn an_event_is_one_object_of_its_fields() {
        let nothing: Option<&str> = None;
        let mut events = logged(|| {
            tracing::warn!(
                text = "a \"b\" \\ \n\u{1f} é",
                flag = true,
                number = -7,
                seconds = 0.000_25,
                infinite = f64::INFINITY,
                shown = %"x\ty",
                debug = ?Some("q"),
                nothing,
                "two words"
            );
            tracing::info!("next");
        });
        assert_eq!(events.len(), 2);
        assert_eq!(events[1]["message"], "next");
        let time = events[0].as_object_mut().unwrap().remove("timestamp");
        assert!(time.is_some_and(|time| time.as_str().is_some_and(|time| time.ends_with('Z'))));
        let expected = json!({
            "level": "WARN", "message": "two words", "text": "a \"b\" \\ \n\u{1f} é", "flag": true, "number": -7,
            "seconds": 0.000_25, "infinite": null, "shown": "x\ty", "debug": "Some(\"q\")",
            "target": "berth::edge::telemetry::json::tests",
        });
        assert_eq!(events[0], expected);
    }
}

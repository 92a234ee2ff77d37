//! The formats in which a preview is printed.

use std::io::{self, BufWriter, Stdout, Write};

use comfy_table::presets::NOTHING;
use json_patch::Patch;
use serde::Serialize;

use super::{Shown, Text as DocumentText};
use berth_manifests::{
    diagnostic::{Diagnostic, Place},
    documents::Source,
    preview::PodPreview,
    workload::field,
};

/// A format: what is printed of each document, as it comes.
pub(super) trait Formatter {
    /// The documents of another source follow.
    fn source(&mut self, _source: &Source) -> io::Result<()> {
        Ok(())
    }

    /// Prints a document.
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()>;

    /// Prints what is held back, before something is said on standard error.
    fn flush(&mut self) -> io::Result<()>;

    /// Prints what comes last.
    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// The documents' own text.
pub(super) struct Text {
    out: BufWriter<Stdout>,
    /// Whether the text so far is one that another document can follow.
    at: At,
}

/// Where the text so far ends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum At {
    Start,
    LineStart,
    WithinLine,
    /// In another source than what comes.
    NextSource {
        within_line: bool,
    },
}

impl Text {
    pub(super) fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            at: At::Start,
        }
    }
}

impl Formatter for Text {
    fn source(&mut self, _: &Source) -> io::Result<()> {
        if self.at != At::Start {
            let within_line = matches!(
                self.at,
                At::WithinLine | At::NextSource { within_line: true }
            );
            self.at = At::NextSource { within_line };
        }
        Ok(())
    }

    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let mut text = match shown.text {
            DocumentText::Kept => &*shown.document.text,
            DocumentText::Edited(edited) => &*edited.text,
            DocumentText::Unwritable => return Ok(()),
        };
        if let At::NextSource { within_line } = self.at {
            text = text.trim_start_matches('\u{feff}');
            if within_line {
                writeln!(self.out)?;
            }
            if has_directive(text) {
                // a directive may only follow a document that has ended
                writeln!(self.out, "...")?;
            } else if !text.starts_with("---") {
                writeln!(self.out, "---")?;
            }
        }
        self.at = if text.ends_with('\n') {
            At::LineStart
        } else {
            At::WithinLine
        };
        self.out.write_all(text.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether a directive comes before a text's document, as `%YAML 1.1`.
fn has_directive(text: &str) -> bool {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let first = text.lines().find(is_content);
    first.is_some_and(|line| line.starts_with('%'))
}

/// One object.
pub(super) struct Json {
    out: BufWriter<Stdout>,
    begun: bool,
    diagnostics: Vec<DiagnosticEntry>,
}

impl Json {
    pub(super) fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            begun: false,
            diagnostics: Vec::new(),
        }
    }
}

impl Formatter for Json {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let source = shown.document.path.display().to_string();
        for pod in &shown.preview.pods {
            let before = if self.begun { "," } else { "{\"pods\": [" };
            self.begun = true;
            writeln!(self.out, "{before}")?;
            serde_json::to_writer(&mut self.out, &PodEntry::new(&source, pod))?;
        }
        let diagnostics = shown.preview.diagnostics.iter();
        self.diagnostics
            .extend(diagnostics.map(|it| DiagnosticEntry::new(&source, it)));
        Ok(())
    }

    // nobody reads half an object
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let before = if self.begun { "\n" } else { "{\"pods\": [" };
        write!(self.out, "{before}], \"findings\": ")?;
        serde_json::to_writer(&mut self.out, &self.diagnostics)?;
        writeln!(self.out, "}}")?;
        self.out.flush()
    }
}

/// A Pod as it is printed.
#[derive(Serialize)]
struct PodEntry<'p> {
    source: &'p str,
    path: &'p str,
    kind: &'p str,
    namespace: &'p str,
    name: &'p str,
    class: Option<&'p str>,
    result: &'p str,
    reason: &'p str,
    message: Option<String>,
    pool: Option<&'p str>,
    container: Option<&'p str>,
    warnings: Vec<String>,
    patch: &'p Patch,
}

impl<'p> PodEntry<'p> {
    fn new(source: &'p str, pod: &'p PodPreview) -> Self {
        Self {
            source,
            path: pod.template.path(),
            kind: &pod.kind,
            namespace: &pod.namespace,
            name: &pod.name,
            class: pod.class.as_deref(),
            result: pod.reason().verdict().as_str(),
            reason: pod.reason().as_str(),
            message: pod.message(),
            pool: pod.pool(),
            container: pod.container(),
            warnings: pod.warnings().iter().map(ToString::to_string).collect(),
            patch: &pod.patch,
        }
    }
}

/// A diagnostic as it is printed.
#[derive(Serialize)]
struct DiagnosticEntry {
    source: String,
    field: String,
    severity: &'static str,
    line: Option<usize>,
    column: Option<usize>,
    topic: Option<&'static str>,
    message: String,
    help: Option<String>,
}

impl DiagnosticEntry {
    fn new(source: &str, diagnostic: &Diagnostic) -> Self {
        let (line, column) = diagnostic.place.as_ref().map(Place::start).unzip();
        Self {
            source: source.to_owned(),
            field: diagnostic.field.clone(),
            severity: diagnostic.severity.as_str(),
            line,
            column,
            topic: diagnostic.code,
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
        }
    }
}

/// A line of JSON for each document that has Pods: what `kubectl patch --type=json` takes.
pub(super) struct JsonPatch {
    out: BufWriter<Stdout>,
}

impl JsonPatch {
    pub(super) fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
        }
    }
}

impl Formatter for JsonPatch {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        if shown.preview.pods.is_empty() {
            return Ok(());
        }
        serde_json::to_writer(&mut self.out, &shown.preview.patch)?;
        writeln!(self.out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Columns, a line for each Pod.
pub(super) struct Table {
    table: comfy_table::Table,
}

impl Table {
    pub(super) fn new() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        if let Some((terminal_size::Width(width), _)) =
            terminal_size::terminal_size_of(io::stdout())
        {
            table.set_width(width);
            table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        }
        table.set_header([
            "NAMESPACE",
            "KIND",
            "NAME",
            "PATH",
            "CLASS",
            "RESULT",
            "REASON",
            "POOL",
            "CONTAINER",
        ]);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { table }
    }
}

impl Formatter for Table {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        for pod in &shown.preview.pods {
            let path = field(pod.template.path());
            let or_dash = |text: Option<&str>| match text {
                None | Some("") => "-".to_owned(),
                Some(text) => text.to_owned(),
            };
            self.table.add_row([
                pod.namespace.clone(),
                pod.kind.clone(),
                or_dash(Some(&pod.name)),
                or_dash(Some(&path)),
                or_dash(pod.class.as_deref()),
                pod.reason().verdict().as_str().to_owned(),
                pod.reason().as_str().to_owned(),
                or_dash(pod.pool()),
                or_dash(pod.container()),
            ]);
        }
        Ok(())
    }

    // the columns' widths are known at the end
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if self.table.is_empty() {
            return Ok(());
        }
        writeln!(io::stdout(), "{}", self.table.trim_fmt())
    }
}

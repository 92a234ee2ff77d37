//! The forms in which a preview is printed.

use std::io::{self, BufWriter, Stdout, Write};

use comfy_table::presets::NOTHING;
use serde_json::{Value, json};

use super::Shown;
use crate::{
    core::{
        preview::{Finding, PodPreview},
        workload::field,
    },
    edge::documents::Source,
};

/// A form: what is printed of each document, as it comes.
pub(super) trait Form {
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

impl Form for Text {
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
        let mut text = shown
            .edited
            .map_or(&*shown.document.text, |edited| &*edited.text);
        if let At::NextSource { within_line } = self.at {
            text = text.trim_start_matches('\u{feff}');
            if within_line {
                writeln!(self.out)?;
            }
            if !text.starts_with("---") {
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

/// One object.
pub(super) struct Json {
    out: BufWriter<Stdout>,
    begun: bool,
    findings: Vec<Value>,
}

impl Json {
    pub(super) fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            begun: false,
            findings: Vec::new(),
        }
    }
}

impl Form for Json {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let source = shown.source.to_string();
        for pod in &shown.preview.pods {
            let before = if self.begun { "," } else { "{\"pods\": [" };
            self.begun = true;
            write!(self.out, "{before}\n{}", pod_json(&source, pod))?;
        }
        let findings = shown.preview.findings.iter();
        self.findings
            .extend(findings.map(|finding| finding_json(&source, finding)));
        Ok(())
    }

    // nobody reads half an object
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let before = if self.begun { "\n" } else { "{\"pods\": [" };
        writeln!(
            self.out,
            "{before}], \"findings\": {}}}",
            Value::from(self.findings.as_slice())
        )?;
        self.out.flush()
    }
}

fn pod_json(source: &str, pod: &PodPreview) -> Value {
    let warnings: Vec<String> = pod.warnings.iter().map(ToString::to_string).collect();
    json!({
        "source": source,
        "path": pod.site.template(),
        "kind": pod.kind,
        "namespace": pod.namespace,
        "name": pod.name,
        "class": pod.class,
        "result": pod.reason.verdict().as_str(),
        "reason": pod.reason.as_str(),
        "message": pod.message,
        "pool": pod.pool,
        "container": pod.container,
        "warnings": warnings,
        "patch": pod.patch,
    })
}

fn finding_json(source: &str, finding: &Finding) -> Value {
    json!({
        "source": source,
        "path": finding.path,
        "topic": finding.topic.as_str(),
        "message": finding.message,
        "help": finding.help,
    })
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

impl Form for JsonPatch {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        if shown.preview.pods.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "{}", json!(shown.preview.patch()))
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
        Self { table }
    }
}

impl Form for Table {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        for pod in &shown.preview.pods {
            let path = field(pod.site.template());
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
                pod.reason.verdict().as_str().to_owned(),
                pod.reason.as_str().to_owned(),
                or_dash(pod.pool.as_deref()),
                or_dash(pod.container.as_deref()),
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

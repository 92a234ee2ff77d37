//! What programs read: one object with every Pod, or a JSON Patch for each document.

use std::io::{self, BufWriter, Stdout, Write};

use json_patch::Patch;
use serde::Serialize;

use super::Formatter;
use crate::cli::{preview::shown::Shown, report::for_output};
use berth_manifests::{
    diagnostic::{Diagnostic, Place},
    preview::PodPreview,
};

/// One object.
pub(in crate::cli::preview) struct Json {
    out: BufWriter<Stdout>,
    begun: bool,
    diagnostics: Vec<DiagnosticEntry>,
}

impl Json {
    pub(in crate::cli::preview) fn new() -> Self {
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
            write_json(&mut self.out, &PodEntry::new(&source, pod))?;
        }
        self.diagnostics
            .extend(entries(&source, &shown.preview.diagnostics));
        Ok(())
    }

    fn unreadable(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        let place = diagnostic.place.as_ref();
        let source = place.map(|place| place.source.path.display().to_string());
        let source = source.unwrap_or_default();
        self.diagnostics
            .push(DiagnosticEntry::new(&source, diagnostic));
        Ok(())
    }

    // nobody reads half an object
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let before = if self.begun { "\n" } else { "{\"pods\": [" };
        write!(self.out, "{before}], \"findings\": ")?;
        write_json(&mut self.out, &self.diagnostics)?;
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
    denials: Vec<DiagnosticEntry>,
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
            denials: entries(source, &pod.denials),
            pool: pod.pool(),
            container: pod.container(),
            warnings: pod.warnings().iter().map(ToString::to_string).collect(),
            patch: &pod.patch,
        }
    }
}

fn entries(source: &str, diagnostics: &[Diagnostic]) -> Vec<DiagnosticEntry> {
    let diagnostics = diagnostics.iter();
    diagnostics
        .map(|it| DiagnosticEntry::new(source, it))
        .collect()
}

fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value)?;
    out.write_all(for_output(&text).as_bytes())
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
pub(in crate::cli::preview) struct JsonPatch {
    out: BufWriter<Stdout>,
    /// What comes before the next operation of the document; nothing as long as it has no Pod.
    before: Option<&'static str>,
}

impl JsonPatch {
    pub(in crate::cli::preview) fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            before: None,
        }
    }
}

impl Formatter for JsonPatch {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        if self.before.is_none() && !shown.preview.pods.is_empty() {
            write!(self.out, "[")?;
            self.before = Some("");
        }
        for operation in &shown.preview.patch.0 {
            let before = self.before.replace(",").unwrap_or_default();
            write!(self.out, "{before}")?;
            write_json(&mut self.out, operation)?;
        }
        match self.before.take_if(|_| shown.is_last) {
            Some(_) => writeln!(self.out, "]"),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

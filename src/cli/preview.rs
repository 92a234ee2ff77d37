//! `berth preview`.

use std::{io, path::PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{
    TableOptions,
    report::{ColorOption, Ended, FailOn, Failure, show, tell},
};
use berth_core::{names::INJECT_LABEL, view::View};
use berth_manifests::{
    diagnostic::{Diagnostic, Place, Severity, SourceText},
    documents::{self, Source},
    files::{self, Depth},
    preview::{Namespaces, Preview as Previewed, preview},
    table_files::TableFiles,
    yaml::{
        self, Node,
        edit::{Edited, edit},
    },
};
use formatter::Formatter;
use reporter::Reporter;

mod denial;
mod diff;
mod formatter;
mod reporter;
mod suppression;

const EXIT_CODES: &str = "\
Exit codes:
  0  the API server takes every Pod, also where berth changes it or warns
  1  a Pod is denied, or the API server would not take an object; a change with --exit-code; a warning with \
--fail-on warning
  2  the flags are wrong
  3  something cannot be read or written, or standard input is empty";

/// Show what berth would do to the Pods of manifests
///
/// Without a cluster, by the function that the server runs. Pods are found in every kind of workload, in lists and in
/// reviews. Data goes to standard output and prose to standard error, so that `berth preview -o yaml -f x.yaml |
/// kubectl apply -f -` works.
///
/// A comment with a reason silences a finding, on or above its line, or above its document:
/// `# berth-preview: allow SurgeNeedsGpu the pool has a spare GPU`
#[derive(Args, Debug)]
#[command(after_long_help = EXIT_CODES)]
pub(super) struct Preview {
    #[command(flatten)]
    table: TableOptions,
    /// A file of manifests, a folder of such files, or - for standard input; repeatable
    #[arg(
        short,
        long,
        value_name = "FILE|DIR|-",
        required_unless_present = "file"
    )]
    filename: Vec<PathBuf>,
    /// A file without -f, to say how it is named
    #[arg(hide = true, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Read the folders in a folder, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The namespace of documents that name none
    #[arg(short, long, value_name = "NAME", default_value = "default", value_parser = namespace)]
    namespace: String,
    /// A namespace that the webhook's configuration excludes, beside kube-system and kube-node-lease: berth's own;
    /// repeatable
    #[arg(long, value_name = "NAME", default_value = "berth", value_parser = namespace)]
    exclude_namespace: Vec<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "diff")]
    output: Format,
    /// Exit with 1 where something would change, as `kubectl diff` does
    #[arg(long)]
    exit_code: bool,
    /// From which severity on a finding makes the exit code 1; a denial always does
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    fail_on: FailOn,
    #[command(flatten)]
    color: ColorOption,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// What changes, as lines, and a sentence for each Pod
    Diff,
    /// The documents with the change
    Yaml,
    /// One object with every Pod
    Json,
    /// A JSON Patch for each document that has Pods
    Jsonpatch,
    /// A line for each Pod
    Table,
}

/// A document and what would happen to it.
struct Shown<'d> {
    /// The document's text.
    document: &'d SourceText,
    /// The document as it was read; absent where it is empty.
    root: Option<&'d Node>,
    value: &'d Value,
    preview: &'d Previewed,
    text: Text<'d>,
}

/// What becomes of a document's text.
#[derive(Clone, Copy)]
enum Text<'d> {
    /// It stays as it is.
    Kept,
    /// It is another.
    Edited(&'d Edited),
    /// No text was found that says what it should: none is better than a wrong one.
    Unwritable,
}

/// What was seen on the way.
#[derive(Debug, Default)]
struct Seen {
    unreadable: bool,
    changes: bool,
    severity: Option<Severity>,
    documents: usize,
    pods: usize,
}

/// One run over all sources.
struct Run<'t> {
    view: &'t View,
    namespaces: Namespaces,
    depth: Depth,
    format: Format,
    formatter: Box<dyn Formatter>,
    reporter: Reporter<'t>,
    seen: Seen,
}

fn namespace(text: &str) -> Result<String, String> {
    if berth_core::syntax::is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("not the name of a namespace: use only lower-case letters, digits and -".to_owned())
    }
}

impl Preview {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        self.color.apply();
        if let Some(file) = self.file.first() {
            let file = file.display();
            return Err(Failure::usage(format_args!(
                "a file of manifests is named with -f: berth preview -f {file}"
            )));
        }
        let view = View::from(TableFiles::from(self.table).load()?);
        let depth = if self.recursive {
            Depth::All
        } else {
            Depth::Folder
        };
        let mut run = Run {
            view: &view,
            namespaces: Namespaces::new(self.namespace, self.exclude_namespace),
            depth,
            format: self.output,
            formatter: self.output.formatter(),
            reporter: Reporter::new(view.table.class_label(), self.output == Format::Diff),
            seen: Seen::default(),
        };
        let sources = self.filename.iter();
        let sources = sources.flat_map(|path| documents::sources(path, depth));
        let sources: Vec<Result<Source, files::Error>> = sources.collect();
        sources.iter().flatten().for_each(|it| run.look_ahead(it));
        for source in sources {
            run.source(source)?;
        }
        run.formatter.end()?;
        run.reporter.end();
        run.seen.tell();
        run.seen.ended(self.exit_code, self.fail_on.into())
    }
}

impl Seen {
    fn document(&mut self, preview: &Previewed) {
        self.documents += 1;
        self.pods += preview.pods.len();
        self.changes |= preview.patched.is_some();
        self.severity = self.severity.max(preview.severity());
    }

    /// Says where there was nothing to preview: silence would look like success.
    fn tell(&self) {
        match (self.pods, self.documents) {
            (0, 0) if !self.unreadable => tell("no Pod found: there is no document"),
            (0, 1) if !self.unreadable => tell("no Pod found in 1 document"),
            (0, documents) if !self.unreadable => {
                tell(format_args!("no Pod found in {documents} documents"));
            }
            _ => {}
        }
    }

    fn ended(&self, changes_count: bool, fail_on: Severity) -> Result<Ended, Failure> {
        if self.unreadable {
            Err(Failure::told())
        } else if self.severity >= Some(fail_on) || (changes_count && self.changes) {
            Ok(Ended::Found)
        } else {
            Ok(Ended::Fine)
        }
    }
}

impl Run<'_> {
    /// Finds the Namespaces of a file that opt out: they may come after their Pods. What can be read once is not read.
    fn look_ahead(&mut self, source: &Source) {
        let file = match source {
            Source::File(path) if path.is_file() => source.documents(),
            _ => return,
        };
        let documents = file.into_iter().flatten().flatten();
        let may_opt_out =
            |it: &SourceText| it.text.contains("Namespace") && it.text.contains(INJECT_LABEL);
        for document in documents.filter(may_opt_out) {
            let roots = yaml::parse(&document.text).unwrap_or_default();
            let roots = roots.iter().map(Node::to_json);
            roots.for_each(|root| self.namespaces.learn(&root));
        }
    }

    fn source(&mut self, source: Result<Source, files::Error>) -> io::Result<()> {
        let opened = source.and_then(|source| Ok((source.documents()?, source)));
        let (documents, source) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(&error),
        };
        self.formatter.source(&source)?;
        let mut is_empty = source == Source::Stdin;
        for document in documents {
            is_empty = is_empty
                && document
                    .as_ref()
                    .is_ok_and(|it| it.text.trim_start_matches('\u{feff}').trim().is_empty());
            match document {
                Ok(document) => self.document(&document)?,
                Err(error) => self.unreadable(&error)?,
            }
        }
        if is_empty {
            self.seen.unreadable = true;
            let nothing = Diagnostic::error("standard input is empty");
            show(&nothing.with_help("has the command before `berth preview` failed?"));
        }
        Ok(())
    }

    fn unreadable(&mut self, error: &files::Error) -> io::Result<()> {
        let diagnostic = Diagnostic::error(error.to_string());
        let has_folders =
            matches!(error, files::Error::Empty { .. }) && self.depth == Depth::Folder;
        let diagnostic = if has_folders {
            diagnostic.with_help("-R reads the folders in it, too")
        } else {
            diagnostic
        };
        self.seen.unreadable = true;
        self.formatter.flush()?;
        show(&diagnostic);
        Ok(())
    }

    fn document(&mut self, document: &SourceText) -> io::Result<()> {
        let parsed = yaml::parse(&document.text).map(|mut roots| roots.pop());
        let (root, invalid) = match parsed {
            Ok(root) => (root, None),
            Err(error) => (None, Some(Diagnostic::not_yaml(document, error))),
        };
        let value = root.as_ref().map(Node::to_json).unwrap_or_default();
        self.namespaces.learn(&value);
        let mut preview = root.as_ref().map_or_else(Previewed::default, |_| {
            preview(&value, self.view, &self.namespaces)
        });
        place(&mut preview.diagnostics, document, root.as_ref());
        suppression::apply(&mut preview.diagnostics, document);
        if root.is_some() {
            self.seen.document(&preview);
        }
        let edited = match (&root, &preview.patched) {
            (Some(root), Some(patched)) if self.format.shows_text() => {
                Some(edit(&document.text, root, patched))
            }
            _ => None,
        };
        let text = match &edited {
            None => Text::Kept,
            Some(Some(edited)) => Text::Edited(edited),
            Some(None) => Text::Unwritable,
        };
        self.seen.unreadable |= invalid.is_some() || matches!(text, Text::Unwritable);
        preview.diagnostics.extend(invalid);
        if let (Text::Unwritable, Some(root)) = (text, &root) {
            let error = Diagnostic::error("the change cannot be written into this document");
            let error = error
                .with_help("write it without anchors, aliases and tags; -o json shows the change");
            preview
                .diagnostics
                .push(error.at(document, root.locate("")));
        }
        self.show(&Shown {
            document,
            root: root.as_ref(),
            value: &value,
            preview: &preview,
            text,
        })
    }

    fn show(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        self.formatter.document(shown)?;
        if self.reporter.has_something_to_say(shown) {
            self.formatter.flush()?;
            self.reporter.document(shown);
        }
        Ok(())
    }
}

/// Gives each diagnostic of a document the place of its field.
fn place(diagnostics: &mut [Diagnostic], document: &SourceText, root: Option<&Node>) {
    for diagnostic in diagnostics {
        let span = root.map(|root| root.locate(&diagnostic.field));
        diagnostic.place = Some(Place {
            source: document.clone(),
            span: span.unwrap_or_default(),
        });
    }
}

impl<'d> Shown<'d> {
    /// The text that it has now.
    const fn edited(&self) -> Option<&'d Edited> {
        match self.text {
            Text::Edited(edited) => Some(edited),
            Text::Kept | Text::Unwritable => None,
        }
    }

    /// As `path:line`.
    fn name(&self) -> String {
        let SourceText {
            path, first_line, ..
        } = self.document;
        format!("{}:{first_line}", path.display())
    }
}

impl Format {
    const fn shows_text(self) -> bool {
        matches!(self, Self::Diff | Self::Yaml)
    }

    fn formatter(self) -> Box<dyn Formatter> {
        match self {
            Self::Diff => Box::new(diff::Diff::new()),
            Self::Yaml => Box::new(formatter::Text::new()),
            Self::Json => Box::new(formatter::Json::new()),
            Self::Jsonpatch => Box::new(formatter::JsonPatch::new()),
            Self::Table => Box::new(formatter::Table::new()),
        }
    }
}

//! `berth preview`.

use std::{io, path::PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{
    TableOptions,
    report::{Ended, Failure, show},
};
use berth_core::view::View;
use berth_manifests::{
    diagnostic::{Diagnostic, Place, SourceText},
    documents::{self, Source},
    files::{self, Depth},
    preview::{Preview as Previewed, preview},
    table_files::TableFiles,
    yaml::{
        self, Node,
        edit::{Edited, edit},
    },
};
use formatter::Formatter;
use reporter::Reporter;

mod diff;
mod formatter;
mod reporter;

/// Show what berth would do to the Pods of manifests
///
/// Without a cluster, by the function that the server runs. Pods are found in every kind of workload, in lists and in
/// reviews. Data goes to standard output and prose to standard error, so that `berth preview -o yaml -f x.yaml |
/// kubectl apply -f -` works. The exit code is 1 where a Pod is denied, or something is found that its author should
/// change.
#[derive(Args, Debug)]
pub(super) struct Preview {
    #[command(flatten)]
    table: TableOptions,
    /// A file of manifests, a folder of such files, or - for standard input; repeatable
    #[arg(short, long, value_name = "FILE|DIR|-", required = true)]
    filename: Vec<PathBuf>,
    /// Read the folders in a folder, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The namespace of documents that name none
    #[arg(short, long, value_name = "NAME", default_value = "default", value_parser = namespace)]
    namespace: String,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "diff")]
    output: Format,
    /// Exit with 1 where something would change, as `kubectl diff` does
    #[arg(long)]
    exit_code: bool,
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
    edited: Option<&'d Edited>,
}

/// What was seen on the way.
#[derive(Debug, Default)]
struct Seen {
    unreadable: bool,
    trouble: bool,
    changes: bool,
}

/// One run over all sources.
struct Run<'t> {
    view: &'t View,
    namespace: String,
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
        let view = View::from(TableFiles::from(self.table).load()?);
        let depth = if self.recursive {
            Depth::All
        } else {
            Depth::Folder
        };
        let mut run = Run {
            view: &view,
            namespace: self.namespace,
            depth,
            format: self.output,
            formatter: self.output.formatter(),
            reporter: Reporter::new(view.table.class_label(), self.output == Format::Diff),
            seen: Seen::default(),
        };
        let sources = self.filename.iter();
        for source in sources.flat_map(|path| documents::sources(path, depth)) {
            run.source(source)?;
        }
        run.formatter.end()?;
        run.seen.ended(self.exit_code)
    }
}

impl Seen {
    fn ended(&self, changes_count: bool) -> Result<Ended, Failure> {
        if self.unreadable {
            Err(Failure::told())
        } else if self.trouble || (changes_count && self.changes) {
            Ok(Ended::Found)
        } else {
            Ok(Ended::Fine)
        }
    }
}

impl Run<'_> {
    fn source(&mut self, source: Result<Source, files::Error>) -> io::Result<()> {
        let opened = source.and_then(|source| Ok((source.documents()?, source)));
        let (documents, source) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(&error),
        };
        self.formatter.source(&source)?;
        for document in documents {
            match document {
                Ok(document) => self.document(&document)?,
                Err(error) => self.unreadable(&error)?,
            }
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
        self.seen.unreadable |= parsed.is_err();
        let (root, invalid) = match parsed {
            Ok(root) => (root, None),
            Err(error) => (None, Some(Diagnostic::not_yaml(document, error))),
        };
        let value = root.as_ref().map(Node::to_json).unwrap_or_default();
        let mut preview = preview(&value, self.view, &self.namespace);
        match invalid {
            Some(diagnostic) => preview.diagnostics = vec![diagnostic],
            None => place(&mut preview.diagnostics, document, root.as_ref()),
        }
        self.seen.changes |= preview.patched.is_some();
        self.seen.trouble |= preview.is_trouble();
        let edited = match (&root, &preview.patched) {
            (Some(root), Some(patched)) if self.format.shows_text() => {
                Some(edit(&document.text, root, patched))
            }
            _ => None,
        };
        self.show(&Shown {
            document,
            root: root.as_ref(),
            value: &value,
            preview: &preview,
            edited: edited.as_ref(),
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

impl Shown<'_> {
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

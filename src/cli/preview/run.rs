//! One run over all sources: what is read, what is said, and how it ends.

use std::io::{self, IsTerminal};

use super::{
    Format,
    formatter::Formatter,
    reporter::Reporter,
    shown::{Shown, Text},
};
use crate::cli::{
    progress::Progress,
    report::{Ended, Failure, show, tell},
};
use berth_core::view::View;
use berth_manifests::{
    diagnostic::{Diagnostic, Severity, SourceText},
    documents::{Opened, Source},
    files::{self, Depth},
    preview::{Document, Namespaces, Preview, pieces},
};

/// What was seen on the way.
#[derive(Debug, Default)]
struct Seen {
    unreadable: bool,
    /// Whether any source had a text.
    text: bool,
    changes: bool,
    severity: Option<Severity>,
    documents: usize,
    pods: usize,
}

/// One run over all sources.
pub(super) struct Run<'t> {
    view: &'t View,
    namespaces: Namespaces,
    depth: Depth,
    format: Format,
    formatter: Box<dyn Formatter>,
    reporter: Reporter,
    progress: Progress,
    seen: Seen,
}

impl Seen {
    fn piece(&mut self, preview: &Preview) {
        self.pods += preview.pods.len();
        self.changes |= preview.patched.is_some();
        self.severity = self.severity.max(preview.severity());
    }

    /// Says where there was nothing to preview: no word would look like success.
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
}

impl<'t> Run<'t> {
    pub(super) fn new(
        view: &'t View,
        namespaces: Namespaces,
        depth: Depth,
        format: Format,
    ) -> Self {
        Self {
            view,
            namespaces,
            depth,
            format,
            formatter: format.formatter(),
            reporter: Reporter::new(format),
            progress: Progress::begin(),
            seen: Seen::default(),
        }
    }

    /// Previews every source, and says what there is to say at the end.
    pub(super) fn all(
        &mut self,
        sources: impl Iterator<Item = Result<Source, files::Error>>,
    ) -> io::Result<()> {
        let opened = sources.map(|source| source.and_then(Source::open));
        let opened: Vec<Result<Opened, files::Error>> = opened.collect();
        opened.iter().flatten().for_each(|it| self.look_ahead(it));
        for source in opened {
            match source {
                Ok(source) => self.source(source)?,
                Err(error) => self.unreadable(&error)?,
            }
        }
        if !self.seen.text && !self.seen.unreadable {
            let nothing = Diagnostic::error("every file is empty");
            self.nothing_of(&nothing.with_help("has the command that wrote it failed?"))?;
        }
        self.progress.hide();
        self.formatter.end()?;
        self.reporter.end();
        self.seen.tell();
        Ok(())
    }

    pub(super) fn ended(&self, changes_count: bool, fail_on: Severity) -> Result<Ended, Failure> {
        let seen = &self.seen;
        if seen.unreadable {
            Err(Failure::told())
        } else if seen.severity >= Some(fail_on) || (changes_count && seen.changes) {
            Ok(Ended::Found)
        } else {
            Ok(Ended::Fine)
        }
    }

    /// Finds the Namespaces of a source that opt out: they may come after their Pods.
    fn look_ahead(&mut self, source: &Opened) {
        let documents = source.ahead().into_iter().flatten().flatten();
        for document in documents {
            self.progress
                .at(format_args!("reading {}", document.path.display()));
            self.namespaces.learn_from(&document);
        }
    }

    fn source(&mut self, source: Opened) -> io::Result<()> {
        self.formatter.source(source.source())?;
        let is_stdin = *source.source() == Source::Stdin;
        let mut is_empty = true;
        let documents = match source.documents() {
            Ok(documents) => documents,
            Err(error) => return self.unreadable(&error),
        };
        for document in documents {
            is_empty = is_empty && document.as_ref().is_ok_and(is_blank);
            match document {
                Ok(document) => self.document(&document)?,
                Err(error) => self.unreadable(&error)?,
            }
        }
        self.seen.text |= !is_empty;
        if is_empty && is_stdin {
            let nothing = Diagnostic::error("standard input is empty");
            let nothing = nothing.with_help("has the command before `berth preview` failed?");
            self.nothing_of(&nothing)?;
        }
        Ok(())
    }

    fn unreadable(&mut self, error: &files::Error) -> io::Result<()> {
        let diagnostic = Diagnostic::from(error);
        let has_folders =
            matches!(error, files::Error::Empty { .. }) && self.depth == Depth::Folder;
        self.nothing_of(&if has_folders {
            diagnostic.with_help("-R reads the folders in it, too")
        } else {
            diagnostic
        })
    }

    /// A source, or what is left of it, cannot be read.
    fn nothing_of(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        self.seen.unreadable = true;
        self.progress.hide();
        self.formatter.unreadable(diagnostic)?;
        if self.format != Format::Github {
            self.formatter.flush()?;
            show(diagnostic);
        }
        Ok(())
    }

    fn document(&mut self, source: &SourceText) -> io::Result<()> {
        self.namespaces.learn_from(source);
        let mut pieces = pieces(source).into_iter().peekable();
        let mut has_content = false;
        while let Some(piece) = pieces.next() {
            let document = Document::read(source, piece, self.view, &self.namespaces);
            has_content |= document.has_content();
            let is_last = pieces.peek().is_none();
            self.seen.documents += usize::from(is_last && has_content);
            self.piece(document, is_last)?;
        }
        Ok(())
    }

    fn piece(&mut self, mut document: Document<'_>, is_last: bool) -> io::Result<()> {
        let source = document.source;
        if document.has_content() {
            self.seen.piece(&document.preview);
        }
        self.seen.unreadable |= !document.is_readable;
        let (documents, pods) = (self.seen.documents, self.seen.pods);
        self.progress.at(format_args!(
            "previewing {}: {documents} documents, {pods} Pods",
            source.path.display()
        ));
        let edited = if self.format.shows_text() {
            document.edited()
        } else {
            Ok(None)
        };
        let text = match &edited {
            Ok(None) => Text::Kept,
            Ok(Some(edited)) => Text::Edited(edited),
            Err(_) => Text::Unwritable,
        };
        if let Err(place) = &edited {
            self.seen.unreadable = true;
            let error = Diagnostic::error("the change cannot be written into this document");
            let error = error
                .with_help("write it without anchors, aliases and tags; -o json shows the change")
                .at(source, place.clone());
            document.preview.diagnostics.push(error);
        }
        self.show(&Shown {
            document: source,
            before: document.text(),
            preview: &document.preview,
            text,
            is_last,
        })
    }

    fn show(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        if io::stdout().is_terminal() {
            self.progress.hide();
        }
        self.formatter.document(shown)?;
        if self.reporter.has_something_to_say(shown) {
            self.progress.hide();
            self.formatter.flush()?;
            self.reporter.document(shown);
        }
        Ok(())
    }
}

fn is_blank(document: &SourceText) -> bool {
    let text = document.text.trim_start_matches('\u{feff}');
    text.trim().is_empty()
}

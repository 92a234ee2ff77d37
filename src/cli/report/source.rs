//! The lines around a finding, as a terminal may see them.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use berth_manifests::table_files::Finding;

/// Longer lines than this are not shown: JSON of one line, say.
const LONGEST: usize = 400;

/// The lines that a finding is on, one before and one after.
#[derive(Debug)]
pub(super) struct Lines {
    name: String,
    text: String,
    /// Where the text begins in the file: the byte, and the line from 0.
    start: usize,
    line: usize,
}

impl Lines {
    /// None where a line is too long to be shown.
    pub(super) fn around(finding: &Finding) -> Option<Self> {
        let (text, place) = (&*finding.file.text, &finding.place);
        let (before, after) = (text.get(..place.start)?, text.get(place.end..)?);
        let line_of = |at: usize| before[..at].rfind('\n').map_or(0, |at| at + 1);
        let own = line_of(before.len());
        let start = line_of(own.saturating_sub(1));
        let mut breaks = after.match_indices('\n').map(|(at, _)| place.end + at);
        let end = breaks.nth(1).unwrap_or(text.len());
        let lines = text.get(start..end)?;
        let is_short = lines.split('\n').all(|line| line.len() <= LONGEST);
        let between = text.get(start..own)?.matches('\n').count();
        is_short.then(|| Self {
            name: finding.file.path.display().to_string(),
            text: printable(lines),
            start,
            line: finding.line_and_column().0 - 1 - between,
        })
    }
}

impl SourceCode for Lines {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let start = span.offset().checked_sub(self.start);
        let within = (start.ok_or(MietteError::OutOfBounds)?, span.len()).into();
        let contents = self.text.read_span(&within, before, after)?;
        let within = contents.span();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            contents.data(),
            (within.offset() + self.start, within.len()).into(),
            contents.line() + self.line,
            contents.column(),
            contents.line_count(),
        )))
    }
}

/// The text without what would steer a terminal, every character as long as it was.
fn printable(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => ' ',
        '\u{80}'..='\u{9f}' => '\u{bf}',
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_manifests::table_files::File;

    /// The lines around a word, with the number of the first.
    fn around(text: &str, word: &str) -> Option<(String, usize)> {
        let at = text.find(word).unwrap();
        let finding = Finding {
            file: File {
                path: "f".into(),
                text: text.into(),
            },
            place: at..at + word.len(),
            message: String::new(),
            help: String::new(),
        };
        Lines::around(&finding).map(|lines| {
            assert_eq!(
                &text[lines.start..][..lines.text.len()].len(),
                &lines.text.len()
            );
            (lines.text, lines.line + 1)
        })
    }

    #[test]
    fn one_line_before_and_one_after_are_shown() {
        let text = "a\nb\n\nc\nd\ne";
        for (word, lines, first) in [
            ("a", "a\nb", 1),
            ("b", "a\nb\n", 1),
            ("c", "\nc\nd", 3),
            ("d", "c\nd\ne", 4),
            ("e", "d\ne", 5),
            ("b\n\nc", "a\nb\n\nc\nd", 1),
        ] {
            assert_eq!(
                around(text, word),
                Some((lines.to_owned(), first)),
                "{word:?}"
            );
        }
    }

    #[test]
    fn what_steers_a_terminal_is_not_shown_nor_a_line_without_end() {
        let (shown, _) = around("\u{1b}]0;x\u{7}\u{9b}1m é\tword\r\n", "word").unwrap();
        assert_eq!(shown, "?]0;x?\u{bf}1m é\tword \n");
        assert_eq!(around(&format!("word{}", "x".repeat(400)), "word"), None);
    }
}

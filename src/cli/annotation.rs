//! Annotations, which GitHub shows in the diff of a pull request: a workflow command on a line of its own.

use std::path::Path;

use berth_manifests::diagnostic::{Diagnostic, Place, Severity, printable};

/// A diagnostic as a workflow command, with its line end.
pub(crate) fn annotation(diagnostic: &Diagnostic, title: &str) -> String {
    let command = match diagnostic.severity {
        Severity::Note => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut properties: Vec<String> = diagnostic.place.iter().flat_map(place).collect();
    properties.push(format!("title={}", property(title)));
    let help = diagnostic.help.as_ref();
    let help = help.map(|help| format!("; {help}")).unwrap_or_default();
    format!(
        "::{command} {}::{}\n",
        properties.join(","),
        data(&format!("{}{help}", diagnostic.message)),
    )
}

/// Standard input is no file. Columns are for one line only.
fn place(place: &Place) -> Vec<String> {
    let path = &*place.source.path;
    if path == Path::new("-") {
        return Vec::new();
    }
    let path = path.strip_prefix(".").unwrap_or(path).display().to_string();
    let ((line, column), (end_line, end_column)) = (place.start(), place.end());
    let mut properties = vec![
        format!("file={}", property(&path)),
        format!("line={line},endLine={end_line}"),
    ];
    if line == end_line {
        properties.push(format!("col={column},endColumn={end_column}"));
    }
    properties
}

/// What stands for a text after the second `::` of a workflow command.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25");
    let text = text.replace('\r', "%0D").replace('\n', "%0A");
    printable(&text)
}

/// What stands for a text as the value of a property, where `:` and `,` end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_manifests::diagnostic::SourceText;

    #[test]
    fn a_workflow_command_is_one_line_whatever_it_says() {
        assert_eq!(data("100%\r\n::error::x\u{1b}"), "100%25%0D%0A::error::x?");
        assert_eq!(property("C:\\a,b%3A.yaml"), "C%3A\\a%2Cb%253A.yaml");
    }

    #[test]
    fn a_place_of_several_lines_has_no_columns_and_standard_input_no_file() {
        let annotated = |path: &str, span| {
            let source = SourceText::new(path, "a\nb\n");
            annotation(
                &Diagnostic::error("x").with_help("y").at(&source, span),
                "T",
            )
        };
        for (path, span, expected) in [
            (
                "./x.yaml",
                2..3,
                "::error file=x.yaml,line=2,endLine=2,col=1,endColumn=2,title=T::x; y\n",
            ),
            (
                "x.yaml",
                0..3,
                "::error file=x.yaml,line=1,endLine=2,title=T::x; y\n",
            ),
            ("-", 0..1, "::error title=T::x; y\n"),
        ] {
            assert_eq!(annotated(path, span), expected);
        }
    }
}

use super::*;

fn split(text: &str) -> Vec<(usize, String)> {
    let documents = Documents::new(Path::new("x"), text.as_bytes());
    let pair = |document: Result<SourceText, Error>| {
        let document = document.unwrap();
        (document.first_line, document.text.to_string())
    };
    documents.map(pair).collect()
}

#[test]
fn a_stream_is_split_where_a_document_begins() {
    for (text, expected) in [
        ("", vec![]),
        ("a: 1", vec![(1, "a: 1")]),
        (
            "---\na: 1\n---\nb: 2\n",
            vec![(1, "---\na: 1\n"), (3, "---\nb: 2\n")],
        ),
        (
            "# x\n%YAML 1.1\n---\n\na: 1\n--- # y\n---\nb",
            vec![(1, "# x\n%YAML 1.1\n---\n\na: 1\n"), (6, "--- # y\n---\nb")],
        ),
        (
            "a: |\n  ---\n---x: 1\n",
            vec![(1, "a: |\n  ---\n---x: 1\n")],
        ),
        (
            "--- {a: 1}\n---\tb\n...\nc",
            vec![(1, "--- {a: 1}\n"), (2, "---\tb\n...\n"), (4, "c")],
        ),
        (
            "{\"a\": \"}\\\"{\"}\n{\n \"b\": {\n}\n}\n{\"c\": 1}",
            vec![
                (1, "{\"a\": \"}\\\"{\"}\n"),
                (2, "{\n \"b\": {\n}\n}\n"),
                (6, "{\"c\": 1}"),
            ],
        ),
        (
            "\u{feff}---\r\na: 1\r\n---\r\nb: 2\r\n",
            vec![(1, "\u{feff}---\r\na: 1\r\n"), (3, "---\r\nb: 2\r\n")],
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(line, text)| (line, text.to_owned()))
            .collect();
        assert_eq!(split(text), expected, "{text}");
        assert_eq!(
            split(text)
                .into_iter()
                .map(|(_, text)| text)
                .collect::<String>(),
            text
        );
    }
}

#[test]
fn what_is_no_text_or_endless_is_an_error_and_the_end() {
    let binary = Documents::new(Path::new("x"), &b"a: 1\n---\n\xff\xfe\n---\nb: 1"[..]);
    let errors: Vec<_> = binary
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(
        errors,
        ["x:3:1: not UTF-8, and so not YAML; save the file as UTF-8, or leave it out"]
    );
    let endless = BufReader::new(io::repeat(b'x'));
    let mut endless = Documents::new(Path::new("x"), endless);
    assert!(matches!(
        endless.next(),
        Some(Err(Error::TooLarge { line: 1, .. }))
    ));
    assert!(endless.next().is_none());
}

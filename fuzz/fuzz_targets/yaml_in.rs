//! YAML as it is read: an error with a place, or trees of which every span is in the text, in bounded memory.
#![no_main]

use allocation_counter::measure;
use berth_manifests::yaml::{Node, comments, parse, read};
use libfuzzer_sys::fuzz_target;

/// What reading a text of a few KiB may hold: its aliases may repeat 400,000 nodes.
const PEAK: u64 = 64 << 20;

fuzz_target!(|text: &str| {
    let mut read_from = None;
    let measured = measure(|| read_from = Some(read(text)));
    let peak = measured.bytes_max;
    assert!(peak <= PEAK, "{peak} bytes for {}", text.len());
    let read = read_from.expect("it ran");
    let is_sound = read.errors.is_empty() && read.duplicates.is_empty();
    for error in read.errors.into_iter().chain(read.duplicates) {
        assert!(!error.message.is_empty() && error.help(text) != Some(""));
        assert!(text.get(error.span).is_some(), "{}", error.message);
    }
    for document in &read.documents {
        spans(document, text, 0);
    }
    assert_eq!(parse(text).is_ok(), is_sound);
    for (span, _) in comments(text) {
        assert!(text.get(span).is_some());
    }
});

/// Every span is one of the text; what aliases repeat is looked at no deeper than a few levels.
fn spans(node: &Node, text: &str, depth: usize) {
    assert!(text.get(node.span.clone()).is_some(), "{:?}", node.span);
    if depth < 8 {
        for entry in node.entries() {
            assert!(text.get(entry.key_span.clone()).is_some());
            spans(&entry.value, text, depth + 1);
        }
    }
}

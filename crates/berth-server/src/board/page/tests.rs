//! Whatever is in a name, the page has it as text, and within bounds.

use std::sync::Arc;

use berth_core::{
    board::Known,
    outcome::Reason,
    table::{Settings, compile},
};

use super::*;

const MARKUP: &str = "<img src=x onerror=alert(1)>\"'&";

fn decided(name: &str) -> Decided {
    Decided {
        at: Timestamp::UNIX_EPOCH,
        namespace: MARKUP.to_owned(),
        name: name.to_owned(),
        dry_run: true,
        reason: Reason::ClassUnavailable,
        class: Some(MARKUP.to_owned()),
        pools: Some(MARKUP.to_owned()),
        message: Some(MARKUP.to_owned()),
        warnings: vec![MARKUP.to_owned()],
    }
}

fn content<'c>(board: Option<&'c Board>, decisions: &'c [Decided]) -> Content<'c> {
    Content {
        replica: MARKUP,
        not_ready: &[],
        is_of_files: true,
        board,
        decisions,
    }
}

fn document(content: &Content<'_>) -> String {
    Page::new(content).document().into_string()
}

#[test]
fn a_name_that_is_markup_is_text() {
    let decisions = [decided(MARKUP)];
    let reason = NotReady::NoTable(Arc::new(MARKUP.to_owned()));
    let content = Content {
        not_ready: &[reason],
        ..content(None, &decisions)
    };
    let page = document(&content);
    assert!(!page.contains("<img"), "{page}");
    assert!(
        page.contains("&lt;img src=x onerror=alert(1)&gt;"),
        "{page}"
    );
    // within an attribute, too
    assert!(!page.contains(MARKUP), "{page}");
    assert!(
        page.contains(
            "data-key=\"decision-1970-01-01T00:00:00Z-&lt;img src=x onerror=alert(1)&gt;&quot;"
        ),
        "{page}"
    );
}

#[test]
fn a_name_of_253_characters_opens_on_demand() {
    let long = "a".repeat(253);
    let page = document(&content(None, &[decided(&long)]));
    let short = "a".repeat(SHORT);
    assert!(
        page.contains(&format!(
            "<details><summary>{short}…</summary>{long}</details>"
        )),
        "{page}"
    );
    assert_eq!(name(&"ä".repeat(LONG)).into_string(), "ä".repeat(LONG));
}

#[test]
fn without_a_table_it_says_so_and_with_one_of_files_it_shows_the_table() {
    let reason = NotReady::NoTable(Arc::new("it has not been read yet".to_owned()));
    let page = document(&Content {
        not_ready: &[reason],
        ..content(None, &[])
    });
    assert!(
        page.contains("no table is in force: it has not been read yet"),
        "{page}"
    );
    assert!(!page.contains("id=\"pools\""), "{page}");
    let table = compile(&[], &Settings::default()).0;
    let known = Known {
        table: &table,
        compiled: None,
        fleet: None,
    };
    let page = document(&content(Some(&Board::of(known)), &[]));
    assert!(page.contains("The table is read from files"), "{page}");
    assert!(page.contains("The table has no GPUPool."), "{page}");
}

#[test]
fn only_what_has_changed_is_told() {
    let before = Page::new(&content(None, &[]));
    let after = Page::new(&content(None, &[decided("x")]));
    let told: Vec<_> = after.news_since(&before).map(|(id, _)| id).collect();
    assert_eq!(told, ["decisions"]);
    assert_eq!(before.news_since(&Page::default()).count(), 3);
}

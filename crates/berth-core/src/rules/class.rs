//! Which class, and whether the namespace may use it (rule 31).

use std::fmt::Write;

use crate::{
    labels::Namespace,
    outcome::{Denial, Reason},
    shown,
    suggestion::suggestion,
    syntax::is_label_value,
    table::{Allocation, AllocationTable},
    view::View,
};

/// So many classes are listed by name.
const LISTED: usize = 10;
/// The message has so many bytes at most, the table's revision included.
const BYTES: usize = 900;

/// The allocation of the class that a Pod names. An unknown class and one that is not open to the namespace get one
/// and the same answer, so that nobody learns of classes that are not theirs.
pub fn authorise<'v>(
    view: &'v View,
    class: &str,
    namespace: &str,
) -> Result<&'v Allocation, Denial> {
    let table = &*view.table;
    let namespace = view.namespace(namespace);
    if !is_label_value(class) {
        let message = format!(
            "label {} has the invalid value {}: use at most 63 letters, digits, '-', '_' or '.', \
             with a letter or digit at both ends",
            table.class_label(),
            shown::quoted(&shortened(class))
        );
        return Err(Denial::new(Reason::LabelSyntax, message));
    }
    // as long as that is not known, an unknown class gets the same answer as one that may be closed
    let undecided = |by_labels: bool| namespace.is_new() && by_labels;
    let allocation = table.class(class).filter(|allocation| {
        !undecided(allocation.selects_by_labels()) && allocation.is_open_to(namespace)
    });
    if allocation.is_none() && undecided(table.selects_by_labels()) {
        return Err(unseen(namespace));
    }
    let allocation = allocation.ok_or_else(|| {
        Denial::new(
            Reason::ClassUnavailable,
            unavailable(table, class, namespace),
        )
    })?;
    match &allocation.not_ready {
        None => Ok(allocation),
        Some(problem) => Err(Denial::new(
            Reason::ClassNotReady,
            format!(
                "workload class {class} is not ready: {problem}",
                class = shown::quoted(class)
            ),
        )),
    }
}

/// A namespace whose labels are not seen yet: the API server is told to ask again.
pub(crate) fn unseen(namespace: Namespace<'_>) -> Denial {
    let message = format!(
        "namespace {} is new, and its labels are not known yet; try again in a second",
        shown::named(namespace.name())
    );
    Denial::new(Reason::NamespaceUnknown, message)
}

fn unavailable(table: &AllocationTable, class: &str, namespace: Namespace<'_>) -> String {
    let open: Vec<&str> = table.open_to(namespace).collect();
    let mut message = format!(
        "workload class {class} is not available in namespace {}; ",
        shown::named(namespace.name()),
        class = shown::quoted(class)
    );
    if open.is_empty() {
        message.push_str("no class is available here");
        return message;
    }
    let suggestion = suggestion(class, open.iter().copied())
        .map(|name| format!("; did you mean {name}?", name = shown::quoted(name)))
        .unwrap_or_default();
    let others = message.len()
        + suggestion.len()
        + "available here: , 99999 more (table 0123456789ab)".len();
    let room = BYTES.saturating_sub(others);
    message.push_str("available here: ");
    list_names(&mut message, &open, room);
    message + &suggestion
}

fn list_names(message: &mut String, names: &[&str], room: usize) {
    let (mut listed, mut used) = (0, 0);
    for name in names.iter().take(LISTED) {
        used += name.len() + 2;
        if used > room {
            break;
        }
        let separator = if listed == 0 { "" } else { ", " };
        let _ = write!(message, "{separator}{name}");
        listed += 1;
    }
    if listed < names.len() {
        let _ = write!(message, ", {} more", names.len() - listed);
    }
}

/// A text of any length, short enough for a message.
fn shortened(text: &str) -> String {
    text.chars().take(63).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{class, pool, view};

    fn table_of(names: &[String]) -> View {
        let open =
            json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ai"}}});
        let classes = names.iter().map(|name| class(name, &["p"], open.clone()));
        let documents: Vec<_> = classes.chain([pool("p", json!({}))]).collect();
        view(&documents)
    }

    fn denial(view: &View, class: &str, namespace: &str) -> (Reason, String) {
        let denial = authorise(view, class, namespace).expect_err("denied");
        (denial.reason, denial.message)
    }

    #[test]
    fn an_unknown_class_and_a_closed_one_get_the_same_answer() {
        let view = table_of(&["vllm".to_owned(), "whisper".to_owned()]);
        assert_eq!(
            authorise(&view, "vllm", "ai").map(|class| class.name.as_str()),
            Ok("vllm")
        );
        let expected = "workload class \"vlm\" is not available in namespace \"ai\"; \
                        available here: vllm, whisper; did you mean \"vllm\"?";
        assert_eq!(
            denial(&view, "vlm", "ai"),
            (Reason::ClassUnavailable, expected.to_owned())
        );
        // neither that it exists, nor what it is like, is told to a namespace that may not use it
        for class in ["vllm", "vlm"] {
            let expected = format!(
                "workload class {class:?} is not available in namespace \"x\"; no class is available here"
            );
            assert_eq!(
                denial(&view, class, "x"),
                (Reason::ClassUnavailable, expected)
            );
        }
    }

    #[test]
    fn ten_classes_are_listed_and_the_message_is_bounded() {
        let short: Vec<String> = (0..13).map(|i| format!("c{i:02}")).collect();
        let (_, message) = denial(&table_of(&short), "other", "ai");
        assert!(message.ends_with("c08, c09, 3 more"), "{message}");
        let long: Vec<String> = (0..2_000)
            .map(|i| format!("{}-{i:04}", "x".repeat(58)))
            .collect();
        let view = table_of(&long);
        for namespace in ["ai", &"n".repeat(5_000)] {
            let (_, message) = denial(&view, &"y".repeat(63), namespace);
            assert!(message.len() < 1100, "{}", message.len());
        }
    }

    #[test]
    fn a_name_is_suggested_at_a_distance_of_two_at_most() {
        let view = table_of(&["whisper".to_owned()]);
        for (class, suggested) in [
            ("wisper", true),
            ("whipser", true),
            ("wispr", true),
            ("wspr", false),
            ("Whisper", true),
        ] {
            assert_eq!(
                denial(&view, class, "ai").1.contains("did you mean"),
                suggested,
                "{class}"
            );
        }
    }
}

//! How a comment suppresses what lint finds: `# berth-lint: allow BRT008 a plugin of our own advertises it`.

use super::code::{CODES, INVALID, SUPPRESSION};
use crate::suppression::Form;

pub(super) const FORM: Form = Form {
    mark: "berth-lint",
    example: "berth-lint: allow BRT008 the reason",
    codes,
    is_never,
};

/// What a check finds.
fn codes() -> Vec<&'static str> {
    let names = CODES.iter().map(|code| code.name);
    names.filter(|name| !is_never(name)).collect()
}

/// An invalid table is no finding, and a comment cannot hide that it suppresses nothing.
fn is_never(name: &str) -> bool {
    [INVALID.name, SUPPRESSION.name].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_check_finds_can_be_suppressed_and_nothing_else() {
        for (code, can_be) in [
            ("BRT008", true),
            ("BRT999", false),
            ("brt008", false),
            ("BRT000", false),
            ("BRT014", false),
        ] {
            assert_eq!(codes().contains(&code), can_be, "{code}");
        }
    }
}

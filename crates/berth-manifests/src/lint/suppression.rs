//! How a comment suppresses what lint finds: `# berth-lint: allow BRT008 a plugin of our own advertises it`.

use super::code::{Code, INVALID, SUPPRESSION};
use crate::suppression::Form;

pub(super) const FORM: Form = Form {
    mark: "berth-lint",
    example: "berth-lint: allow BRT008 the reason",
    is_code: can_be_suppressed,
};

fn can_be_suppressed(name: &str) -> bool {
    Code::named(name).is_some_and(|code| ![&INVALID, &SUPPRESSION].contains(&code))
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
            assert_eq!(can_be_suppressed(code), can_be, "{code}");
        }
    }
}

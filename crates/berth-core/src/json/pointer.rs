//! JSON Pointers (RFC 6901).

/// A resource, label or annotation key as a segment of a JSON Pointer (RFC 6901): `~` first, then `/` (rule 20).
#[must_use]
pub fn pointer_segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_escaped_for_a_pointer_the_tilde_first() {
        assert_eq!(pointer_segment("nvidia.com/gpu"), "nvidia.com~1gpu");
        assert_eq!(pointer_segment("a~b/c~1"), "a~0b~1c~01");
    }
}

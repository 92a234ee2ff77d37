//! Syntax (stand-in until merge)
/// label value
#[must_use]
pub fn is_label_value(v: &str) -> bool {
    let end = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    v.len() <= 63
        && end(v.as_bytes().first())
        && end(v.as_bytes().last())
        && v.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
/// stand-in
#[must_use]
pub fn is_qualified_name(v: &str) -> bool {
    !v.is_empty()
}

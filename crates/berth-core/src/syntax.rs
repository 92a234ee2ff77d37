//! Which names Kubernetes takes: the rules of `apimachinery/pkg/util/validation`, so that a mistake shows in the
//! manifest and not in a Pod that no API server accepts.

/// A label's value, and a taint's: empty, or at most 63 letters, digits, `-`, `_` and `.`, framed by letters or digits.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// A DNS label (RFC 1123): at most 63 lower-case letters, digits and `-`, framed by letters or digits.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 63 && text.bytes().all(inner) && is_framed(text)
}

/// A DNS subdomain: DNS labels with dots between, 253 characters at most.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    // unlike a DNS label, a part of a subdomain may be longer than 63
    let part = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        part.bytes().all(inner) && is_framed(part)
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// A qualified name, as of a label or a taint: `name` or `prefix/name`.
#[must_use]
pub fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_name(name),
        None => is_name(text),
    }
}

/// An extended resource: a qualified name with a prefix that is not Kubernetes' own.
#[must_use]
pub fn is_extended_resource(text: &str) -> bool {
    let Some((prefix, _)) = text.split_once('/') else {
        return false;
    };
    let native = text.contains("kubernetes.io/");
    // a quota names it with this before it
    let quota = format!("requests.{text}");
    !native
        && !prefix.starts_with("requests.")
        && is_qualified_name(&quota)
        && is_qualified_name(text)
}

/// The name under which the scheduler gives any device of a DeviceClass, as an extended resource: the class's name after
/// [`DEVICE_CLASS_PREFIX`](crate::names::DEVICE_CLASS_PREFIX).
#[must_use]
pub fn is_device_class_resource(text: &str) -> bool {
    let class = text.strip_prefix(crate::names::DEVICE_CLASS_PREFIX);
    class.is_some_and(|class| is_dns_subdomain(class) && is_qualified_name(text))
}

/// An environment variable's name: printable ASCII without `=`.
#[must_use]
pub fn is_env_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

/// An amount of memory in bytes, above zero: a quantity without the suffixes for parts of one, and an exponent of at most
/// two digits.
#[must_use]
pub fn is_memory(text: &str) -> bool {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (_, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = !fraction.is_empty() && !fraction.contains('.');
    is_number && number.contains(|c| matches!(c, '1'..='9')) && is_unit(suffix)
}

/// What may stand behind an amount of memory.
fn is_unit(suffix: &str) -> bool {
    let exponent = suffix.strip_prefix(['e', 'E']);
    let is_exponent =
        |it: &str| matches!(it.len(), 1 | 2) && it.bytes().all(|b| b.is_ascii_digit());
    [
        "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ]
    .contains(&suffix)
        || exponent.is_some_and(is_exponent)
}

fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    text.len() <= 63 && text.bytes().all(inner) && is_framed(text)
}

fn is_framed(text: &str) -> bool {
    let end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    end(text.as_bytes().first()) && end(text.as_bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: fn(&str) -> bool, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert!(rule(text), "{text:?}");
        }
        for text in wrong {
            assert!(!rule(text), "{text:?}");
        }
    }

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        let (long, longer) = ("x".repeat(63), "x".repeat(64));
        holds(
            is_label_value,
            &["", "a", "A_b.c-1", &long],
            &["-a", "a-", "a b", "ä", &longer],
        );
        holds(
            is_dns_label,
            &["a", "a-1", "1", &long],
            &["", "A", "a.b", "-a", "a_b", &longer],
        );
        holds(
            is_dns_subdomain,
            &["a", "a.b-c.d", "1.2", &longer],
            &["", "a..b", ".a", "A.b", "a_b", &"x.".repeat(127)],
        );
        holds(
            is_qualified_name,
            &["a", "A_b", "example.com/A.b", "x/y"],
            &["", "/a", "a/", "a/b/c", "Ex.com/a", "a b"],
        );
        holds(
            is_extended_resource,
            &["amd.com/gpu", "nvidia.com/mig-1g.5gb", "x/y"],
            &[
                "gpu",
                "cpu",
                "kubernetes.io/gpu",
                "node.kubernetes.io/x",
                "requests.x/y",
                "amd.com/",
                "amd.com/g u",
            ],
        );
        holds(
            is_env_name,
            &["A", "a.b-c", "1", "A B"],
            &["", "A=B", "A\n", "Ä"],
        );
    }
}

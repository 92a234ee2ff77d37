//! What is to be explained, as `pod/whisper`.

use std::str::FromStr;

use berth_core::suggestion::suggestion;

/// A kind and a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ObjectName {
    pub(super) kind: Kind,
    pub(super) name: String,
}

/// What can be explained.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Pod,
}

/// As kubectl takes them.
const NAMES: &[(&str, Kind)] = &[("pod", Kind::Pod), ("pods", Kind::Pod), ("po", Kind::Pod)];

impl FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, name)) = text.split_once('/') else {
            return Err(format!("name its kind, too, as in pod/{text}"));
        };
        let word = kind.to_ascii_lowercase();
        let found = NAMES.iter().find(|(known, _)| *known == word);
        let Some((_, kind)) = found else {
            let meant = suggestion(&word, NAMES.iter().map(|(name, _)| *name));
            let meant = meant.map(|it| format!("; did you mean {it}/{name}?"));
            return Err(format!(
                "kind {kind} is not one that berth explains{}",
                meant.unwrap_or_else(|| "; as pod/NAME".to_owned())
            ));
        };
        if !berth_core::syntax::is_dns_subdomain(name) {
            return Err(
                "not the name of an object: use only lower-case letters, digits, - and ."
                    .to_owned(),
            );
        }
        Ok(Self {
            kind: *kind,
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_as_for_kubectl() {
        let read = |text: &str| text.parse::<ObjectName>();
        let pod = read("po/whisper-1").expect("a Pod");
        assert_eq!((pod.kind, &*pod.name), (Kind::Pod, "whisper-1"));
        for (text, said) in [
            ("whisper", "as in pod/whisper"),
            ("pot/whisper", "did you mean"),
            ("secret/x", "not one that berth explains"),
            ("pod/A b", "not the name of an object"),
            ("pod/", "not the name of an object"),
        ] {
            let error = read(text).expect_err("not read");
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

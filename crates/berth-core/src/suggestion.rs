//! The name that was probably meant (rule 31).

use strsim::damerau_levenshtein;

/// The name differs by so many letters at most.
const DISTANCE: usize = 2;
/// So many names are compared at most: work is bounded.
const COMPARED: usize = 1000;

/// The name that was probably meant, if one is near.
#[must_use]
pub fn suggestion<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let near = names
        .into_iter()
        .take(COMPARED)
        .filter(|name| name.len().abs_diff(word.len()) <= DISTANCE);
    let distances = near.map(|name| (damerau_levenshtein(word, name), name));
    // of a short name, most of it must be right: foo is not job
    let is_near = |distance: usize, name: &str| {
        distance <= DISTANCE && 2 * distance < name.len().max(word.len())
    };
    distances
        .filter(|(distance, name)| is_near(*distance, name))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_suggested_that_is_mostly_right() {
        for (word, name, is_suggested) in [
            ("vlm", "vllm", true),
            ("pot", "pod", true),
            ("wispr", "whisper", true),
            ("embeddings", "embedings", true),
            ("foo", "job", false),
            ("ab", "ba", false),
            ("ab", "cd", false),
            ("a", "b", false),
            ("", "a", false),
            ("abcd", "abxy", false),
            ("vllm", "vllm-large", false),
        ] {
            let suggested = suggestion(word, [name]);
            assert_eq!(suggested.is_some(), is_suggested, "{word} {name}");
        }
    }
}

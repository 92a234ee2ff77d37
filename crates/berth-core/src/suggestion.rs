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
    distances
        .filter(|(distance, _)| *distance <= DISTANCE)
        .min()
        .map(|(_, name)| name)
}

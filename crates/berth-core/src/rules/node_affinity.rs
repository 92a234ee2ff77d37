//! Node affinity (rules 1 to 9): ours is ANDed into every term, and nothing of the author's is touched.

use crate::{
    outcome::{Denial, Reason},
    placement::{self, TermDecision, Terms},
    pod::{Expression, NodeAffinity, Spec, TERMS, Term, has, list, text},
    shown,
    table::{Condition, Preference},
};

use super::{Context, pools};
use constraints::Constraints;
use left::have_all_of;

mod constraints;
mod left;

/// A cross product may grow to so many terms (rule 2).
const MAX_PRODUCT: usize = 128;

/// Confines the Pod to the group's pools, and prefers them in their order.
pub(super) fn decide<'a>(
    spec: &Spec<'_>,
    context: Context<'a>,
) -> Result<placement::NodeAffinity<'a>, Denial> {
    let affinity = spec.affinity.as_ref();
    let affinity = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required.as_ref());
    let selector = Constraints::of(spec.node_selector.as_ref());
    let preferences = missing_preferences(affinity, &context.group.preferences);
    let preferred = affinity.map_or(0, |it| list(&it.preferred).len()) + preferences.len();
    let terms = match required {
        Some(required) => {
            let terms = list(&required.terms);
            Terms::Each(confine(terms, preferred, &selector, context)?)
        }
        None => from_nothing(preferred, &selector, context)?,
    };
    Ok(placement::NodeAffinity { terms, preferences })
}

/// What a Pod without terms needs: terms, unless its `nodeSelector` implies an alternative.
fn from_nothing(
    preferred: usize,
    selector: &Constraints<'_>,
    context: Context<'_>,
) -> Result<Terms, Denial> {
    let alternatives = &context.group.alternatives;
    if alternatives.iter().all(|it| selector.contradict(it)) {
        return Err(contradiction(selector, context));
    }
    if let Some(implied) = alternatives.iter().position(|it| selector.imply(it)) {
        bound_terms(0, 0, preferred)?;
        return Ok(Terms::Implied(implied));
    }
    bound_terms(0, alternatives.len(), preferred)?;
    Ok(Terms::Added)
}

/// ANDs the alternatives into every term that implies none of them.
fn confine(
    terms: &[Term<'_>],
    preferred: usize,
    selector: &Constraints<'_>,
    context: Context<'_>,
) -> Result<Vec<TermDecision>, Denial> {
    let alternatives = &context.group.alternatives;
    let excluded = |term: &Term<'_>| {
        let term = selector.and(term);
        alternatives.iter().all(|other| term.contradict(other))
    };
    // no terms at all are invalid (rule 5), and validation says so; empty ones match nothing (rule 4)
    let mut with_content = terms.iter().filter(|term| !is_empty(term));
    if !terms.is_empty() && with_content.clone().all(excluded) {
        let first = with_content.next().map(|term| selector.and(term));
        return Err(contradiction(&first.unwrap_or(*selector), context));
    }
    let changed = match alternatives.len() {
        1 => TermDecision::Narrowed,
        _ => TermDecision::Multiplied,
    };
    let decide = |term: &Term<'_>| {
        if is_empty(term) {
            return TermDecision::Empty;
        }
        let term = selector.and(term);
        let implied = alternatives.iter().position(|it| term.imply(it));
        implied.map_or(changed, TermDecision::Implied)
    };
    let decisions: Vec<TermDecision> = terms.iter().map(decide).collect();
    let open = decisions.iter().filter(|it| it.changes()).count();
    let after = terms.len() + open * (alternatives.len() - 1);
    bound_terms(terms.len(), after, preferred)?;
    Ok(decisions)
}

/// The empty term: it matches nothing, and stays.
pub(super) fn is_empty(term: &Term<'_>) -> bool {
    list(&term.match_expressions).is_empty() && !has(term.match_fields)
}

/// The result has a bound: a cross product a low one, all terms with the preferred ones the general one (rules 2 and 32).
fn bound_terms(before: usize, after: usize, preferred: usize) -> Result<(), Denial> {
    let all = after + preferred;
    let (after, bound) = if after > before && after > MAX_PRODUCT {
        (after, MAX_PRODUCT)
    } else if all > TERMS.most {
        (all, TERMS.most)
    } else {
        return Ok(());
    };
    let message = format!(
        "the Pod would have {after} node affinity terms with the class's pools, and berth allows {bound}: \
         merge terms that differ in one key's values into one In"
    );
    Err(Denial::new(Reason::TooManyTerms, message))
}

/// The preferences that no preferred term of the Pod states, at any weight.
fn missing_preferences<'a>(
    affinity: Option<&NodeAffinity<'_>>,
    preferences: &'a [Preference],
) -> Vec<&'a Preference> {
    let there = affinity.map_or(&[][..], |affinity| list(&affinity.preferred));
    let is_missing = |preference: &&Preference| {
        let mut terms = there.iter().filter_map(|term| term.preference.as_ref());
        !terms.any(|term| states(term, &preference.requirements))
    };
    preferences.iter().filter(is_missing).collect()
}

/// Whether a term states just these requirements, both compared as sets (rule 2).
fn states(term: &Term<'_>, requirements: &[Condition]) -> bool {
    let expressions = list(&term.match_expressions);
    let same = |expression: &Expression<'_>, ours: &Condition| {
        let values = || list(&expression.values).iter().map(|value| &**value);
        text(&expression.key) == ours.key
            && text(&expression.operator) == ours.operator.as_str()
            && values().all(|value| ours.rank(value).is_some())
            && have_all_of(values(), ours)
    };
    let stated = |ours: &Condition| expressions.iter().any(|it| same(it, ours));
    !has(term.match_fields)
        && requirements.iter().all(stated)
        && expressions
            .iter()
            .all(|it| requirements.iter().any(|ours| same(it, ours)))
}

/// Rule 8: both sides, and what to change.
fn contradiction(constraints: &Constraints<'_>, context: Context<'_>) -> Denial {
    let Context { class, group, .. } = context;
    let mut ours: Vec<String> = Vec::new();
    let mut bytes = 0;
    for alternative in &group.alternatives {
        ours.push(shown::message(&alternative.to_string()).into_owned());
        bytes += ours.last().map_or(0, String::len);
        if bytes > shown::MESSAGE {
            break;
        }
    }
    Denial::of_group(
        Reason::PlacementContradiction,
        format!(
            "the Pod's node constraints ({}) exclude ",
            constraints.on_keys_of(&group.alternatives)
        ),
        format!(
            "{} of workload class {:?} ({})",
            pools(group),
            class.name,
            ours.join(" or ")
        ),
        " and ",
        ": remove them, or use a class whose pools they allow".to_owned(),
    )
}

#[cfg(test)]
mod tests;

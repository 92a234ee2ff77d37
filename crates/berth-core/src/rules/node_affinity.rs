//! Node affinity (rules 1 to 9): ours is ANDed into every term, and nothing of the author's is touched.

use crate::{
    outcome::{Denial, Reason},
    patch::{Piece, Presence},
    pod::{Expression, NodeAffinity, Spec, Term, list, text},
    selector::Requirement,
    table::{Alternative, Preference},
};

use super::{Context, MAX_ENTRIES, Plan, pools};
use constraints::Constraints;

mod constraints;

const NODE_AFFINITY: &str = "/spec/affinity/nodeAffinity";
const REQUIRED: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
const TERMS: &str =
    "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
const PREFERRED: &str =
    "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution";

/// A cross product may grow to so many terms.
const MAX_PRODUCT: usize = 128;

/// Confines the Pod to the group's pools, and prefers them in their order.
pub(super) fn apply(
    spec: &Spec<'_>,
    context: Context<'_>,
    plan: &mut Plan<'_>,
) -> Result<(), Denial> {
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required.as_ref());
    let selector = Constraints::of(spec.node_selector.as_ref());
    let missing = match required {
        Some(required) => {
            confine(list(&required.terms), &selector, context, plan)?;
            None
        }
        None => terms_from_nothing(&selector, context)?,
    };
    let wanted = missing_preferences(affinity, &context.group.preferences);
    add_parents(spec, affinity, missing, &wanted, plan);
    Ok(())
}

/// The terms that a Pod without any needs, unless its `nodeSelector` implies an alternative.
fn terms_from_nothing<'t>(
    selector: &Constraints<'_>,
    context: Context<'t>,
) -> Result<Option<&'t str>, Denial> {
    let alternatives = &context.group.alternatives;
    if alternatives
        .iter()
        .all(|alternative| selector.contradict(alternative))
    {
        return Err(contradiction(selector, context));
    }
    if alternatives
        .iter()
        .any(|alternative| selector.imply(alternative))
    {
        return Ok(None);
    }
    bound_terms(0, alternatives.len())?;
    Ok(Some(&context.group.required))
}

/// ANDs the alternatives into every term that implies none of them.
fn confine(
    terms: &[Term<'_>],
    selector: &Constraints<'_>,
    context: Context<'_>,
    plan: &mut Plan<'_>,
) -> Result<(), Denial> {
    let alternatives = &context.group.alternatives;
    let constrained: Vec<(usize, Constraints<'_>)> = terms
        .iter()
        .enumerate()
        .filter(|(_, term)| !is_empty(term))
        .map(|(i, term)| (i, selector.and(term)))
        .collect();
    let excluded = |(_, term): &(usize, Constraints<'_>)| {
        alternatives.iter().all(|other| term.contradict(other))
    };
    // no terms at all are invalid (rule 5), and validation says so; empty ones match nothing (rule 4)
    if !terms.is_empty() && constrained.iter().all(excluded) {
        return Err(contradiction(
            constrained.first().map_or(selector, |(_, term)| term),
            context,
        ));
    }
    let implied = |term: &Constraints<'_>| {
        alternatives
            .iter()
            .any(|alternative| term.imply(alternative))
    };
    let open: Vec<usize> = constrained
        .iter()
        .filter(|(_, term)| !implied(term))
        .map(|(i, _)| *i)
        .collect();
    bound_terms(
        terms.len(),
        terms.len() + open.len() * (alternatives.len() - 1),
    )?;
    // from the last to the first, so that an inserted copy moves no term that is still to come
    for i in open.into_iter().rev() {
        multiply(
            i,
            Presence::from(&terms[i].match_expressions),
            alternatives,
            plan,
        );
    }
    Ok(())
}

/// Term `i` becomes one term an alternative, in their order.
fn multiply(i: usize, expressions: Presence, alternatives: &[Alternative], plan: &mut Plan<'_>) {
    for copy in 1..alternatives.len() {
        plan.patch.copy((TERMS, "/", i), (TERMS, "/", i + copy));
    }
    for (term, alternative) in (i..).zip(alternatives) {
        let path = (TERMS, "/", term, "/matchExpressions");
        plan.patch.append(
            path,
            expressions,
            alternative.requirements.iter().map(|(_, json)| json),
        );
    }
}

/// The empty term: it matches nothing, and stays.
fn is_empty(term: &Term<'_>) -> bool {
    list(&term.match_expressions).is_empty() && list(&term.match_fields).is_empty()
}

fn bound_terms(before: usize, after: usize) -> Result<(), Denial> {
    let bound = if after > before {
        MAX_PRODUCT
    } else {
        MAX_ENTRIES
    };
    if after <= bound {
        return Ok(());
    }
    let message = format!(
        "node affinity would have {after} terms with the class's pools, and {bound} is the most: \
         merge terms that differ in one key's values into one In"
    );
    Err(Denial::new(Reason::TooManyTerms, message))
}

/// The preferences that no preferred term of the Pod states, at any weight.
fn missing_preferences<'t>(
    affinity: Option<&NodeAffinity<'_>>,
    preferences: &'t [Preference],
) -> Vec<&'t str> {
    let there = affinity.map_or(&[][..], |affinity| list(&affinity.preferred));
    let stated = |preference: &Preference| {
        there
            .iter()
            .filter_map(|term| term.preference.as_ref())
            .any(|term| states(term, &preference.requirements))
    };
    preferences
        .iter()
        .filter(|preference| !stated(preference))
        .map(|preference| preference.json.as_str())
        .collect()
}

fn states(term: &Term<'_>, requirements: &[Requirement]) -> bool {
    let expressions = list(&term.match_expressions);
    let same = |expression: &Expression<'_>, requirement: &Requirement| {
        let values = list(&expression.values);
        text(&expression.key) == requirement.key
            && text(&expression.operator) == requirement.operator.as_str()
            && values.len() == requirement.values.len()
            && values
                .iter()
                .all(|value| requirement.values.iter().any(|other| **value == **other))
    };
    list(&term.match_fields).is_empty()
        && expressions.len() == requirements.len()
        && requirements.iter().all(|requirement| {
            expressions
                .iter()
                .any(|expression| same(expression, requirement))
        })
}

/// Adds what is missing below the deepest parent that is there (rule 6).
fn add_parents(
    spec: &Spec<'_>,
    affinity: Option<&NodeAffinity<'_>>,
    required: Option<&str>,
    preferred: &[&str],
    plan: &mut Plan<'_>,
) {
    if let Some(affinity) = affinity {
        if let Some(required) = required {
            plan.patch.add(REQUIRED, required);
        }
        let there = Presence::from(&affinity.preferred);
        return plan.patch.append(PREFERRED, there, preferred);
    }
    let value = node_affinity(required, preferred);
    match &spec.affinity {
        _ if value.is_empty() => {}
        Some(_) => plan.patch.add(NODE_AFFINITY, ("{", value, "}")),
        None => plan
            .patch
            .add("/spec/affinity", (r#"{"nodeAffinity":{"#, value, "}}")),
    }
}

/// The fields of a node affinity.
fn node_affinity(required: Option<&str>, preferred: &[&str]) -> String {
    let mut fields = String::new();
    if let Some(required) = required {
        (
            r#""requiredDuringSchedulingIgnoredDuringExecution":"#,
            required,
        )
            .write(&mut fields);
    }
    for (i, term) in preferred.iter().enumerate() {
        let before = match i {
            0 if fields.is_empty() => r#""preferredDuringSchedulingIgnoredDuringExecution":["#,
            0 => r#","preferredDuringSchedulingIgnoredDuringExecution":["#,
            _ => ",",
        };
        (before, term).write(&mut fields);
    }
    if !preferred.is_empty() {
        fields.push(']');
    }
    fields
}

/// Rule 8: both sides, and what to change.
fn contradiction(constraints: &Constraints<'_>, context: Context<'_>) -> Denial {
    let Context { class, group, .. } = context;
    let ours: Vec<String> = group
        .alternatives
        .iter()
        .map(Alternative::to_string)
        .collect();
    let message = format!(
        "the Pod's node constraints ({}) exclude {} of workload class {:?} ({}): \
         remove them, or use a class whose pools they allow",
        constraints.on_keys_of(&group.alternatives),
        pools(group),
        class.name,
        ours.join(" or ")
    );
    Denial::new(Reason::PlacementContradiction, message)
}

#[cfg(test)]
mod tests;

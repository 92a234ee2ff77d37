//! What a Pod says of node labels, and what can be proven from it, one key at a time (rules 7 and 8).

use std::fmt::Write;

use crate::{
    json::{Map, Text},
    pod::{Expression, Term, list, text},
    selector::Operator,
    shown,
    table::{Alternative, Condition},
};

use super::left::{Left, have_all_of};

/// A message lists so many constraints, and so many values of each.
const LISTED: usize = 5;

/// The `nodeSelector` and one term's expressions, all of them ANDed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constraints<'p> {
    selector: Option<&'p Map<'p, Text<'p>>>,
    expressions: &'p [Expression<'p>],
}

/// One requirement of the Pod's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stated<'p> {
    key: &'p str,
    pub(super) operator: &'p str,
    pub(super) values: Values<'p>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Values<'p> {
    One(&'p str),
    Many(&'p [Text<'p>]),
}

impl<'p> Constraints<'p> {
    /// Those of a `nodeSelector` alone.
    pub(super) fn of(selector: Option<&'p Map<'p, Text<'p>>>) -> Self {
        Self {
            selector,
            expressions: &[],
        }
    }

    /// The same with a term's.
    pub(super) fn and(self, term: &'p Term<'p>) -> Self {
        Self {
            expressions: list(&term.match_expressions),
            ..self
        }
    }

    /// Whether every node that meets them is one of the alternative's, as far as can be seen key by key.
    pub(super) fn imply(&self, alternative: &Alternative) -> bool {
        let implied = |ours: &Condition| self.on(&ours.key).any(|stated| stated.implies(ours));
        alternative
            .requirements
            .iter()
            .all(|(ours, _)| implied(ours))
    }

    /// Whether provably no node of the alternative meets them. What the alternative says of the same key elsewhere
    /// counts, too: after admission the Pod says it, and the answer must not change.
    pub(super) fn contradict(&self, alternative: &Alternative) -> bool {
        let requirements = || alternative.requirements.iter().map(|(ours, _)| ours);
        requirements().any(|ours| {
            let mut others = requirements().filter(|it| it.key == ours.key);
            let mut stated = self.on(&ours.key);
            match ours.operator {
                Operator::In => ours.is_closed() || self.leave_none_of(ours),
                Operator::NotIn => {
                    stated.any(|stated| stated.is_in() && stated.values.are_among(ours))
                }
                Operator::Exists => stated.any(|stated| stated.operator == "DoesNotExist"),
                Operator::DoesNotExist => {
                    stated.any(Stated::needs_key) || others.any(|other| !other.admits(None))
                }
            }
        })
    }

    /// Whether all of them together admit no value of a requirement's `In`.
    fn leave_none_of(&self, ours: &Condition) -> bool {
        let mut stated = self.on(&ours.key).peekable();
        if stated.peek().is_none() {
            return false;
        }
        let mut left = Left::of(ours);
        stated.for_each(|stated| left.only(stated));
        left.is_nothing()
    }

    fn on<'k>(&self, key: &'k str) -> impl Iterator<Item = Stated<'p>> + use<'p, 'k> {
        let equal = self.selector.and_then(|selector| selector.entry(key));
        let expressions = self.expressions.iter();
        let expressions = expressions.filter(move |expression| text(&expression.key) == key);
        let equal = equal.map(Stated::equal).into_iter();
        equal.chain(expressions.map(Stated::of))
    }

    fn all(&self) -> impl Iterator<Item = Stated<'p>> + use<'p> {
        let selector = self.selector.into_iter().flat_map(Map::iter);
        let equal = selector.map(Stated::equal);
        equal.chain(self.expressions.iter().map(Stated::of))
    }

    /// Those on the keys of the alternatives, for people.
    pub(super) fn on_keys_of(&self, alternatives: &[Alternative]) -> String {
        let ours = |key| {
            alternatives
                .iter()
                .flat_map(|other| &other.requirements)
                .any(|(ours, _)| ours.key == key)
        };
        let stated: Vec<String> = self
            .all()
            .filter(|stated| ours(stated.key))
            .take(LISTED)
            .map(Stated::describe)
            .collect();
        if stated.is_empty() {
            "only empty terms, which match no node".to_owned()
        } else {
            stated.join(", ")
        }
    }
}

impl<'p> Stated<'p> {
    /// An entry of the `nodeSelector`.
    fn equal((key, value): (&'p str, &'p Text<'p>)) -> Self {
        Self {
            key,
            operator: "In",
            values: Values::One(value),
        }
    }

    fn of(expression: &'p Expression<'p>) -> Self {
        Self {
            key: text(&expression.key),
            operator: text(&expression.operator),
            values: Values::Many(list(&expression.values)),
        }
    }

    fn is_in(self) -> bool {
        self.operator == "In" && !self.values.is_empty()
    }

    /// Whether only a node with the label can meet it.
    fn needs_key(self) -> bool {
        self.is_in() || matches!(self.operator, "Exists" | "Gt" | "Lt")
    }

    fn implies(self, ours: &Condition) -> bool {
        match ours.operator {
            Operator::In => self.is_in() && self.values.are_among(ours),
            Operator::NotIn if self.is_in() => {
                let mut values = self.values.iter();
                values.all(|value| ours.rank(value).is_none())
            }
            Operator::NotIn => {
                self.operator == "DoesNotExist"
                    || (self.operator == "NotIn" && have_all_of(self.values.iter(), ours))
            }
            Operator::Exists => self.needs_key(),
            Operator::DoesNotExist => self.operator == "DoesNotExist",
        }
    }

    fn describe(self) -> String {
        match self.values {
            Values::One(value) => {
                format!(
                    "nodeSelector {}={}",
                    shown::name(self.key),
                    shown::name(value)
                )
            }
            Values::Many(values) => {
                let mut text = format!("{} {}", shown::name(self.key), shown::name(self.operator));
                if !values.is_empty() {
                    let listed = values.iter().take(LISTED);
                    let listed: Vec<_> = listed.map(|value| shown::name(value)).collect();
                    let more = if values.len() > LISTED { ", …" } else { "" };
                    let _ = write!(text, " [{}{more}]", listed.join(", "));
                }
                text
            }
        }
    }
}

impl<'p> Values<'p> {
    fn is_empty(self) -> bool {
        matches!(self, Self::Many([]))
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'p str> {
        let (one, many) = match self {
            Self::One(one) => (Some(one), &[][..]),
            Self::Many(many) => (None, many),
        };
        one.into_iter().chain(many.iter().map(|value| &**value))
    }

    fn are_among(self, ours: &Condition) -> bool {
        self.iter().all(|value| ours.rank(value).is_some())
    }

    /// The integer of `Gt` and `Lt`, where it is one.
    pub(super) fn bound(self) -> Option<i64> {
        match self {
            Self::Many([bound]) => bound.parse().ok(),
            _ => None,
        }
    }
}

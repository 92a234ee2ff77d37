//! What a Pod says of node labels, and what can be proven from it, one key at a time (rules 7 and 8).

use std::fmt::Write;

use crate::{
    json::{Map, Text},
    pod::{Expression, Term, list, text},
    selector::{Operator, Requirement},
    shown,
    table::Alternative,
};

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
struct Stated<'p> {
    key: &'p str,
    operator: &'p str,
    values: Values<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Values<'p> {
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
        let implied = |ours: &Requirement| self.on(&ours.key).any(|stated| stated.implies(ours));
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
            let others =
                requirements().filter(|other| other.key == ours.key && !std::ptr::eq(*other, ours));
            self.exclude(ours, others)
        })
    }

    fn exclude<'r>(
        &self,
        ours: &Requirement,
        mut others: impl Iterator<Item = &'r Requirement> + Clone,
    ) -> bool {
        match ours.operator {
            Operator::In => ours.values.iter().all(|value| {
                self.on(&ours.key).any(|stated| !stated.admits(value))
                    || others.clone().any(|other| !other.admits(Some(value)))
            }),
            Operator::NotIn => self
                .on(&ours.key)
                .any(|stated| stated.is_in() && stated.values.all_of(&ours.values)),
            Operator::Exists => self
                .on(&ours.key)
                .any(|stated| stated.operator == "DoesNotExist"),
            Operator::DoesNotExist => {
                self.on(&ours.key).any(Stated::needs_key) || others.any(|other| !other.admits(None))
            }
        }
    }

    fn on<'k>(&self, key: &'k str) -> impl Iterator<Item = Stated<'p>> + use<'p, 'k> {
        self.all().filter(move |stated| stated.key == key)
    }

    fn all(&self) -> impl Iterator<Item = Stated<'p>> + use<'p> {
        let selector = self.selector.into_iter().flat_map(Map::iter);
        let equal = selector.map(|(key, value)| Stated {
            key,
            operator: "In",
            values: Values::One(value),
        });
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

    fn implies(self, ours: &Requirement) -> bool {
        match ours.operator {
            Operator::In => self.is_in() && self.values.all_of(&ours.values),
            Operator::NotIn if self.is_in() => !self.values.any_of(&ours.values),
            Operator::NotIn => {
                self.operator == "DoesNotExist"
                    || (self.operator == "NotIn"
                        && ours.values.iter().all(|value| self.values.contain(value)))
            }
            Operator::Exists => self.needs_key(),
            Operator::DoesNotExist => self.operator == "DoesNotExist",
        }
    }

    /// Whether a node with this value may meet it; an operator that we do not know may admit anything.
    fn admits(self, value: &str) -> bool {
        match self.operator {
            "In" => self.values.contain(value),
            "NotIn" => !self.values.contain(value),
            "DoesNotExist" => false,
            "Gt" => self
                .values
                .bound()
                .is_none_or(|bound| value.parse::<i64>().is_ok_and(|value| value > bound)),
            "Lt" => self
                .values
                .bound()
                .is_none_or(|bound| value.parse::<i64>().is_ok_and(|value| value < bound)),
            _ => true,
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

impl Values<'_> {
    fn is_empty(self) -> bool {
        matches!(self, Self::Many([]))
    }

    fn contain(self, value: &str) -> bool {
        match self {
            Self::One(one) => one == value,
            Self::Many(many) => many.iter().any(|other| **other == *value),
        }
    }

    fn all_of(self, others: &[String]) -> bool {
        match self {
            Self::One(one) => others.iter().any(|other| other == one),
            Self::Many(many) => many
                .iter()
                .all(|one| others.iter().any(|other| *other == **one)),
        }
    }

    fn any_of(self, others: &[String]) -> bool {
        others.iter().any(|other| self.contain(other))
    }

    /// The integer of `Gt` and `Lt`, where it is one.
    fn bound(self) -> Option<i64> {
        match self {
            Self::Many([bound]) => bound.parse().ok(),
            _ => None,
        }
    }
}

//! Label selectors: what `matchLabels` and `matchExpressions` mean, and how they are shown.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::{
    field, shown,
    syntax::{is_label_value, is_qualified_name},
};

/// How a label selector compares a label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or no such label.
    NotIn,
    /// Any value.
    Exists,
    /// No such label.
    DoesNotExist,
}

impl Operator {
    /// The operator as Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
        }
    }
}

/// What one label must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// The comparison.
    pub operator: Operator,
    /// What it is compared with.
    pub values: Vec<String>,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.operator.as_str())?;
        if self.values.is_empty() {
            return Ok(());
        }
        write!(f, " [{}]", self.values.join(", "))
    }
}

/// Requirements that a set of labels must all meet.
#[derive(Clone, Debug)]
pub struct Selector(Vec<Requirement>);

/// Why Kubernetes would not accept a selector, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The field below the selector.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Selector {
    /// The requirements of a selector, if Kubernetes would accept it.
    pub fn new(selector: &LabelSelector) -> Result<Self, Error> {
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            let field = field::entry("matchLabels", key);
            check(&field, key, std::slice::from_ref(value))?;
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            });
        }
        let expressions = selector.match_expressions.iter().flatten();
        for (i, expression) in expressions.enumerate() {
            requirements.push(requirement(&format!("matchExpressions[{i}]"), expression)?);
        }
        Ok(Self(requirements))
    }

    /// The requirements.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// The requirements.
    #[must_use]
    pub fn into_requirements(self) -> Vec<Requirement> {
        self.0
    }

    /// A key of which no label can meet every requirement, if there is one.
    #[must_use]
    pub fn contradicts_itself(&self) -> Option<&str> {
        let contradictory = |one: &&Requirement| {
            let on_key = || self.0.iter().filter(|other| other.key == one.key);
            match one.operator {
                Operator::In => !one
                    .values
                    .iter()
                    .any(|value| on_key().all(|other| other.admits(Some(value)))),
                Operator::Exists => on_key().any(|other| other.operator == Operator::DoesNotExist),
                _ => false,
            }
        };
        self.0
            .iter()
            .find(contradictory)
            .map(|one| one.key.as_str())
    }

    /// Whether labels, looked up by key, meet every requirement.
    pub fn matches<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.0
            .iter()
            .all(|requirement| requirement.admits(label(&requirement.key)))
    }
}

impl Requirement {
    /// Whether a label selector with this requirement accepts a label's value, or its absence.
    #[must_use]
    pub fn admits(&self, value: Option<&str>) -> bool {
        let among = |value: &str| self.values.iter().any(|other| other == value);
        match self.operator {
            Operator::In => value.is_some_and(among),
            Operator::NotIn => !value.is_some_and(among),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }

    /// Whether whatever meets this requirement meets the other, as a label selector has them.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        let all = |values: &[String], among: &[String]| values.iter().all(|it| among.contains(it));
        let by_values = match (self.operator, other.operator) {
            (Operator::In, Operator::In) => all(&self.values, &other.values),
            (Operator::In, Operator::NotIn) => {
                !self.values.iter().any(|it| other.values.contains(it))
            }
            (Operator::NotIn, Operator::NotIn) => all(&other.values, &self.values),
            (Operator::In | Operator::Exists, Operator::Exists)
            | (Operator::DoesNotExist, Operator::DoesNotExist | Operator::NotIn) => true,
            _ => false,
        };
        self.key == other.key && by_values
    }
}

fn requirement(field: &str, expression: &LabelSelectorRequirement) -> Result<Requirement, Error> {
    let error = |below: &str, message: String| Error {
        field: format!("{field}.{below}"),
        message,
    };
    let values = expression.values.clone().unwrap_or_default();
    let (operator, with_values) = match expression.operator.as_str() {
        "In" => (Operator::In, true),
        "NotIn" => (Operator::NotIn, true),
        "Exists" => (Operator::Exists, false),
        "DoesNotExist" => (Operator::DoesNotExist, false),
        other => {
            let message = format!(
                "unsupported value {other}: use In, NotIn, Exists or DoesNotExist",
                other = shown::quoted(other)
            );
            return Err(error("operator", message));
        }
    };
    if with_values && values.is_empty() {
        return Err(error(
            "operator",
            format!("required value: {} needs values", expression.operator),
        ));
    }
    if !with_values && !values.is_empty() {
        return Err(error(
            "values",
            format!("invalid value: {} has no values", expression.operator),
        ));
    }
    check(field, &expression.key, &values)?;
    Ok(Requirement {
        key: expression.key.clone(),
        operator,
        values,
    })
}

fn check(field: &str, key: &str, values: &[String]) -> Result<(), Error> {
    let message = if !is_qualified_name(key) {
        format!(
            "invalid value {key}: not a label key",
            key = shown::quoted(key)
        )
    } else if let Some(value) = values.iter().find(|value| !is_label_value(value)) {
        format!(
            "invalid value {value}: not a label value",
            value = shown::quoted(value)
        )
    } else {
        return Ok(());
    };
    Err(Error {
        field: field.to_owned(),
        message,
    })
}

#[cfg(test)]
mod tests;

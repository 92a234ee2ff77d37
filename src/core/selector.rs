//! Label selectors. (stand-in until merge)
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::fmt;
/// Operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}
impl Operator {
    /// word
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
            Self::Gt => "Gt",
            Self::Lt => "Lt",
        }
    }
}
/// Requirement.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.operator.as_str())?;
        if self.values.is_empty() {
            Ok(())
        } else {
            write!(f, " [{}]", self.values.join(", "))
        }
    }
}
/// Selector.
#[derive(Clone, Debug)]
pub struct Selector(Vec<Requirement>);
impl Selector {
    /// new
    pub fn new(selector: &LabelSelector) -> Result<Self, String> {
        let mut all: Vec<Requirement> = selector
            .match_labels
            .iter()
            .flatten()
            .map(|(k, v)| Requirement {
                key: k.clone(),
                operator: Operator::In,
                values: vec![v.clone()],
            })
            .collect();
        for e in selector.match_expressions.iter().flatten() {
            let operator = match e.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                o => return Err(o.to_owned()),
            };
            all.push(Requirement {
                key: e.key.clone(),
                operator,
                values: e.values.clone().unwrap_or_default(),
            });
        }
        Ok(Self(all))
    }
    /// reqs
    #[must_use]
    pub fn into_requirements(self) -> Vec<Requirement> {
        self.0
    }
    /// matches
    pub fn matches<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.0.iter().all(|r| {
            let v = label(&r.key);
            match r.operator {
                Operator::In => v.is_some_and(|v| r.values.iter().any(|x| x == v)),
                Operator::NotIn => v.is_none_or(|v| !r.values.iter().any(|x| x == v)),
                Operator::Exists => v.is_some(),
                Operator::DoesNotExist => v.is_none(),
                _ => false,
            }
        })
    }
}

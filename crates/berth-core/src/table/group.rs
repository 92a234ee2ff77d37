//! From the pools of a class to its groups.

use serde_json::json;

use super::{
    Alternative, Condition, Group, Os, Pool, Preference, Rendered, TolerableTaint, compile,
};
use crate::{
    api::{GPUPool, Taint, TaintEffect},
    json::pointer_segment,
    names::{HOSTNAME_LABEL, OS_LABEL, WINDOWS},
    selector::{Operator, Requirement, Selector},
    size::Size,
};

impl Group {
    /// The groups of a class's pools, in order of preference (rule 0).
    pub(super) fn all_of(pools: &[&GPUPool]) -> Vec<Self> {
        let mut groups: Vec<(Os, Vec<&GPUPool>)> = Vec::new();
        for pool in pools {
            let requirements = requirements(pool);
            let takes = |os: &Os| os.is_selected(&requirements);
            for os in [Os::NotWindows, Os::Windows].into_iter().filter(takes) {
                let same = |(other, group): &&mut (Os, Vec<&GPUPool>)| {
                    *other == os && group[0].spec.asks_the_same(&pool.spec)
                };
                match groups.iter_mut().find(same) {
                    Some((_, group)) => group.push(pool),
                    None => groups.push((os, vec![pool])),
                }
            }
        }
        let of = |(os, group): &(Os, Vec<&GPUPool>)| Self::of(group, *os);
        groups.iter().map(of).collect()
    }

    fn of(pools: &[&GPUPool], os: Os) -> Self {
        let first = &pools[0].spec;
        let names: Vec<String> = pools
            .iter()
            .map(|pool| pool.metadata.name.clone().unwrap_or_default())
            .collect();
        let selected: Vec<Vec<Requirement>> = pools.iter().map(|pool| requirements(pool)).collect();
        let preferences = preferences(&selected);
        let alternatives: Vec<Alternative> = collapse(selected)
            .into_iter()
            .map(Alternative::new)
            .collect();
        Self {
            name: Rendered::string(&names.join(",")),
            pools: names,
            resource: first.resource_name.clone(),
            pointer: pointer_segment(&first.resource_name),
            aliases: first.resource_aliases.clone(),
            runtime_class: first.runtime_class_name.as_deref().map(Rendered::string),
            env: first
                .env
                .iter()
                .map(|var| Rendered {
                    text: var.name.clone(),
                    json: compile::json(var),
                })
                .collect(),
            preferences,
            os,
            required: required(&alternatives),
            alternatives,
            taints: taints(pools),
        }
    }

    /// What a Pod gets that has nothing of it: a term for each alternative, the preferences, the tolerations, and the
    /// limit and the variables of one container.
    pub(crate) fn size(&self) -> Size {
        let terms = self.alternatives.iter().map(Alternative::size);
        let preferences = self.preferences.iter().map(Preference::size);
        let taints = self.taints.iter().map(TolerableTaint::size);
        terms.chain(preferences).chain(taints).sum::<Size>() + self.size_of_container()
    }

    /// What a container with a GPU gets that has nothing of it.
    fn size_of_container(&self) -> Size {
        let limit = Size::operation(1, self.resource.len());
        self.env.iter().map(Rendered::size).sum::<Size>() + limit
    }
}

impl Rendered {
    /// As an entry of a list.
    pub(crate) fn size(&self) -> Size {
        Size::operation(1, self.json.len())
    }
}

impl Pool {
    /// A pool as it is counted.
    pub(super) fn of(pool: &GPUPool) -> Self {
        let spec = &pool.spec;
        Self {
            name: pool.metadata.name.clone().unwrap_or_default(),
            resource: spec.resource_name.clone(),
            requirements: requirements(pool),
            taints: spec.taints.clone(),
            max_gpus: spec.autoscaling.map(|it| u64::from(it.max_gpus)),
            sharers: spec.sharers(),
        }
    }
}

/// What a pool's nodes have in common.
fn requirements(pool: &GPUPool) -> Vec<Requirement> {
    match (&pool.spec.hostnames, &pool.spec.node_selector) {
        (Some(hostnames), _) => {
            vec![Requirement {
                key: HOSTNAME_LABEL.to_owned(),
                operator: Operator::In,
                values: hostnames.clone(),
            }]
        }
        (None, Some(selector)) => Selector::new(selector)
            .expect("validated")
            .into_requirements(),
        (None, None) => Vec::new(),
    }
}

fn required(alternatives: &[Alternative]) -> String {
    let term =
        |alternative: &Alternative| format!(r#"{{"matchExpressions":{}}}"#, alternative.json);
    let terms: Vec<String> = alternatives.iter().map(term).collect();
    format!(r#"{{"nodeSelectorTerms":[{}]}}"#, terms.join(","))
}

impl Os {
    /// Whether a pool may have nodes of it: Windows ones it must select, and others it must not exclude (rule 32).
    fn is_selected(self, requirements: &[Requirement]) -> bool {
        let of_os = |it: &&Requirement| it.key == OS_LABEL && it.operator == Operator::In;
        let mut selections = requirements.iter().filter(of_os);
        let is_windows = |value: &String| value == WINDOWS;
        match self {
            Self::Windows => selections.any(|it| it.values.iter().any(is_windows)),
            Self::NotWindows => !selections.any(|it| it.values.iter().all(is_windows)),
        }
    }
}

/// Pools that select by the same single key and `In` become one `In` over all their values (rule 2).
fn collapse(selected: Vec<Vec<Requirement>>) -> Vec<Vec<Requirement>> {
    let mut alternatives: Vec<Vec<Requirement>> = Vec::new();
    for pool in selected {
        let twin = alternatives
            .iter_mut()
            .find(|other| **other == pool || collapsible(other, &pool));
        match (twin.map(Vec::as_mut_slice), &*pool) {
            (Some([one]), [more]) => {
                let new = more
                    .values
                    .iter()
                    .filter(|value| !one.values.contains(value))
                    .cloned();
                let new: Vec<String> = new.collect();
                one.values.extend(new);
            }
            (Some(_), _) => {}
            (None, _) => alternatives.push(pool),
        }
    }
    alternatives
}

fn collapsible(a: &[Requirement], b: &[Requirement]) -> bool {
    let is_in = |requirement: &Requirement| requirement.operator == Operator::In;
    matches!((a, b), ([a], [b]) if a.key == b.key && is_in(a) && is_in(b))
}

/// Weights fall from 100 in the order of preference. With one pool there is nothing to prefer (rule 2).
fn preferences(selected: &[Vec<Requirement>]) -> Vec<Preference> {
    if selected.len() < 2 {
        return Vec::new();
    }
    let first_of_its_kind = |(i, pool): &(usize, &Vec<Requirement>)| {
        !selected.iter().take(*i).any(|other| other == *pool)
    };
    selected
        .iter()
        .enumerate()
        .filter(first_of_its_kind)
        .map(|(i, pool)| preference(i, pool))
        .collect()
}

fn preference(i: usize, requirements: &[Requirement]) -> Preference {
    let weight = 100_usize.saturating_sub(10 * i).max(1);
    let expressions: Vec<_> = requirements.iter().map(expression).collect();
    let term = json!({"weight": weight, "preference": {"matchExpressions": expressions}});
    let requirements: Vec<Condition> = requirements.iter().cloned().map(Condition::from).collect();
    Preference {
        json: term.to_string(),
        entries: 1 + entries(&requirements),
        requirements,
    }
}

impl Alternative {
    fn new(requirements: Vec<Requirement>) -> Self {
        let conditions = Condition::all(requirements);
        let entries = entries(&conditions);
        let requirements: Vec<(Condition, String)> = conditions
            .into_iter()
            .map(|condition| {
                let json = expression(&condition).to_string();
                (condition, json)
            })
            .collect();
        let expressions: Vec<&str> = requirements.iter().map(|(_, json)| json.as_str()).collect();
        Self {
            json: format!("[{}]", expressions.join(",")),
            entries,
            requirements,
        }
    }

    /// As a term of its own.
    pub(crate) fn size(&self) -> Size {
        Size::operation(1 + self.entries, self.json.len())
    }

    /// As what is added to a term that has another one's requirements, too.
    pub(crate) fn size_in_term(&self) -> Size {
        let each = self.requirements.iter();
        let operations =
            each.map(|(condition, json)| Size::operation(condition.entries(), json.len()));
        operations.sum()
    }
}

impl Preference {
    /// As a preferred term.
    pub(crate) fn size(&self) -> Size {
        Size::operation(self.entries, self.json.len())
    }
}

fn entries(conditions: &[Condition]) -> usize {
    conditions.iter().map(Condition::entries).sum()
}

/// A requirement as Kubernetes writes it: `Exists` and `DoesNotExist` have no values.
fn expression(requirement: &Requirement) -> serde_json::Value {
    let Requirement {
        key,
        operator,
        values,
    } = requirement;
    if values.is_empty() {
        return json!({"key": key, "operator": operator.as_str()});
    }
    json!({"key": key, "operator": operator.as_str(), "values": values})
}

/// Every taint of the pools once, in their order (rule 11).
fn taints(pools: &[&GPUPool]) -> Vec<TolerableTaint> {
    let mut taints: Vec<&Taint> = Vec::new();
    for taint in pools.iter().flat_map(|pool| &pool.spec.taints) {
        let same = |other: &&Taint| tolerable_parts(other) == tolerable_parts(taint);
        if !taints.iter().any(same) {
            taints.push(taint);
        }
    }
    taints.into_iter().map(TolerableTaint::new).collect()
}

fn tolerable_parts(taint: &Taint) -> (&str, &str, TaintEffect) {
    (
        &taint.key,
        taint.value.as_deref().unwrap_or_default(),
        taint.effect,
    )
}

impl TolerableTaint {
    fn new(taint: &Taint) -> Self {
        let (key, value, effect) = tolerable_parts(taint);
        let mut toleration = json!({"key": key, "operator": "Equal", "effect": effect});
        if !value.is_empty() {
            toleration["value"] = json!(value);
        }
        Self {
            key: key.to_owned(),
            value: value.to_owned(),
            effect,
            json: toleration.to_string(),
        }
    }

    /// As a toleration.
    pub(crate) fn size(&self) -> Size {
        Size::operation(1, self.json.len())
    }
}

//! The pools of the table as they are counted: each by itself, and together with the others of a group.

use std::{collections::HashMap, sync::Arc};

use super::{Fleet, counted::Counted};
use crate::{
    api::TaintEffect,
    selector::Operator,
    table::{Group, Pool},
};

/// The place of a [`Set`].
pub(crate) type SetId = u32;

/// Pools of one resource that are counted together.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    /// The resource, by number.
    pub(crate) resource: u32,
    /// The pools, by place, sorted.
    pub(crate) pools: Box<[u32]>,
    /// Whether a DeviceClass provides the resource.
    pub(crate) is_provided: bool,
    /// What is counted.
    pub(crate) counted: Counted,
}

/// A pool with its names as numbers.
#[derive(Clone, Debug)]
pub(crate) struct PoolRule {
    pub(crate) name: String,
    pub(crate) max_gpus: Option<u64>,
    /// The set that has this pool alone.
    pub(crate) set: SetId,
    /// Every set that has the pool.
    pub(crate) sets: Vec<SetId>,
    /// What the nodes offer that the pool selects, usable or not.
    pub(crate) selected: u64,
    pub(super) resource: u32,
    pub(super) requirements: Vec<Rule>,
    pub(super) taints: Vec<NodeTaint>,
}

/// A requirement on a label.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    key: u32,
    operator: Operator,
    values: Vec<u32>,
}

/// A taint: its key, its value and its effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NodeTaint {
    pub(super) key: u32,
    pub(super) value: u32,
    pub(super) effect: TaintEffect,
}

impl Fleet {
    /// Counts everything anew by the table.
    pub(super) fn count_by_table(&mut self) {
        let old = std::mem::take(&mut self.pools);
        let table = Arc::clone(&self.table);
        self.pools = table.pools().iter().map(|pool| self.rule(pool)).collect();
        // released last, so that names in use by both keep their numbers
        for rule in &old {
            self.release_rule(rule);
        }
        self.make_sets(table.classes().flat_map(|class| &class.groups));
        self.mark_provided();
        let reached = self.reaches.iter();
        let reached = reached.map(|(id, reach)| (id, self.sets_within_reach(reach)));
        self.reached = reached.collect::<HashMap<_, _>>().into();
        self.count_all();
    }

    fn make_sets<'t>(&mut self, groups: impl Iterator<Item = &'t Group>) {
        self.sets.clear();
        self.sets_of_name.clear();
        let mut known: HashMap<Vec<u32>, SetId> = HashMap::new();
        for place in 0..self.pools.len() {
            let place = u32::try_from(place).expect("fewer pools than numbers");
            self.set_id(vec![place], &mut known);
        }
        let places: HashMap<String, u32> = (0..)
            .zip(&self.pools)
            .map(|(place, pool)| (pool.name.clone(), place))
            .collect();
        for group in groups {
            let pools = group.pools.iter();
            let mut pools: Vec<u32> = pools.filter_map(|it| places.get(it).copied()).collect();
            pools.sort_unstable();
            if pools.is_empty() {
                continue;
            }
            let id = self.set_id(pools, &mut known);
            let named = self
                .sets_of_name
                .entry(group.name.text.clone())
                .or_default();
            if !named.contains(&id) {
                named.push(id);
            }
        }
    }

    /// The set of the pools, which have one resource; it is made if there is none.
    fn set_id(&mut self, pools: Vec<u32>, known: &mut HashMap<Vec<u32>, SetId>) -> SetId {
        if let Some(&id) = known.get(&pools) {
            return id;
        }
        let id = u32::try_from(self.sets.len()).expect("fewer sets than numbers");
        let mut resource = 0;
        for place in &pools {
            if let Some(pool) = self.pools.get_mut(*place as usize) {
                resource = pool.resource;
                pool.sets.push(id);
                if pools.len() == 1 {
                    pool.set = id;
                }
            }
        }
        self.sets.push(Set {
            resource,
            pools: pools.clone().into(),
            is_provided: false,
            counted: Counted::default(),
        });
        known.insert(pools, id);
        id
    }

    fn rule(&mut self, pool: &Pool) -> PoolRule {
        let names = &mut self.names;
        let requirements = pool.requirements.iter().map(|it| Rule {
            key: names.name(&it.key),
            operator: it.operator,
            values: it.values.iter().map(|value| names.name(value)).collect(),
        });
        let requirements = requirements.collect();
        let taints = pool.taints.iter().map(|taint| NodeTaint {
            key: names.name(&taint.key),
            value: names.name(taint.value.as_deref().unwrap_or_default()),
            effect: taint.effect,
        });
        PoolRule {
            name: pool.name.clone(),
            max_gpus: pool.max_gpus,
            set: 0,
            sets: Vec::new(),
            selected: 0,
            requirements,
            taints: taints.collect(),
            resource: names.name(&pool.resource),
        }
    }

    fn release_rule(&mut self, rule: &PoolRule) {
        let of_rule = |it: &Rule| {
            it.values
                .iter()
                .copied()
                .chain([it.key])
                .collect::<Vec<_>>()
        };
        let of_rules = rule.requirements.iter().flat_map(of_rule);
        let of_taints = rule.taints.iter().flat_map(|it| [it.key, it.value]);
        for id in of_rules.chain(of_taints).chain([rule.resource]) {
            self.names.release(id);
        }
    }
}

impl PoolRule {
    /// Whether the pool selects a node with these labels, which are sorted by key.
    pub(super) fn selects(&self, labels: &[(u32, u32)]) -> bool {
        self.requirements.iter().all(|rule| {
            let label = labels.binary_search_by_key(&rule.key, |(key, _)| *key);
            let value = label
                .ok()
                .and_then(|i| labels.get(i))
                .map(|(_, value)| value);
            let among = |value: &u32| rule.values.contains(value);
            match rule.operator {
                Operator::In => value.is_some_and(among),
                Operator::NotIn => !value.is_some_and(among),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }

    /// The first hard taint of a node that is none of the pool's: a Pod of the pool does not tolerate it.
    pub(super) fn undeclared<'t>(&self, taints: &'t [NodeTaint]) -> Option<&'t NodeTaint> {
        taints
            .iter()
            .find(|taint| taint.is_hard() && !self.taints.contains(taint))
    }
}

impl NodeTaint {
    /// Whether the scheduler keeps a Pod away that does not tolerate it.
    pub(super) fn is_hard(&self) -> bool {
        self.effect != TaintEffect::PreferNoSchedule
    }
}

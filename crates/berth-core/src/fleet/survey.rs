//! What is to say of each pool's nodes: how many are of use, and of those that are not an example, and why.

use super::{
    Fleet,
    nodes::Spec,
    pools::{NodeTaint, PoolRule},
};
use crate::api::{GpuCounts, NodeCounts};

/// What is to say of one pool.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PoolSurvey {
    /// The pool's name.
    pub name: String,
    /// Its nodes.
    pub nodes: NodeCounts,
    /// The GPUs of its usable nodes.
    pub gpus: GpuCounts,
    /// Usable nodes that offer no GPU of the resource.
    pub without: u32,
    /// Whether a DeviceClass provides the resource: then a node without a GPU may have one all the same.
    pub is_provided: bool,
    /// How many GPUs an autoscaler may still add.
    pub may_grow_by: u64,
    /// Nodes that are not ready.
    pub not_ready: Example,
    /// Nodes that are ready and cordoned.
    pub cordoned: Example,
    /// Nodes with a hard taint that the pool does not declare, and that taint: no Pod of the pool goes there.
    pub undeclared: Example,
    /// Nodes without a taint that the pool declares, and that taint: others may come.
    pub missing: Example,
    /// Usable nodes that offer no GPU.
    pub empty: Example,
}

/// Nodes of one kind: how many, and the first by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Example {
    /// How many there are.
    pub count: u32,
    /// The first by name.
    pub node: String,
    /// The taint in question, as `key=value:effect`.
    pub taint: String,
}

impl Fleet {
    /// What is to say of every pool of the table, sorted by name. It looks at every node once.
    #[must_use]
    pub fn survey(&self) -> Vec<PoolSurvey> {
        let mut surveys: Vec<PoolSurvey> = self.pools.iter().map(|it| self.of_pool(it)).collect();
        for (id, node) in self.nodes.iter() {
            let (Some(name), Some(spec)) = (self.names.get(*id), node.spec()) else {
                continue;
            };
            for of_pool in &node.pools {
                let place = of_pool.pool as usize;
                let (Some(pool), Some(survey)) = (self.pools.get(place), surveys.get_mut(place))
                else {
                    continue;
                };
                survey.nodes.matched += 1;
                survey.nodes.usable += u32::from(of_pool.is_usable);
                self.exemplify(survey, pool, name, spec);
                if of_pool.is_usable && node.numbers(pool.resource).allocatable == 0 {
                    survey.empty.add(name, String::new);
                }
            }
        }
        surveys
    }

    fn of_pool(&self, pool: &PoolRule) -> PoolSurvey {
        let Some(set) = self.set(pool.set) else {
            return PoolSurvey::default();
        };
        let counted = &set.counted;
        let waiting_within = |most: u32| {
            let sum = counted.wanted(None, most, |size| size);
            u64::try_from(sum).unwrap_or_default()
        };
        let waiting = waiting_within(u32::MAX);
        let may_run = waiting_within(counted.largest_node());
        let taken = counted.allocated.saturating_add(may_run);
        PoolSurvey {
            name: pool.name.clone(),
            gpus: GpuCounts {
                allocatable: counted.allocatable,
                allocated: counted.allocated,
                waiting,
                free: counted.allocatable.saturating_sub(taken),
            },
            without: counted.empty_nodes(),
            is_provided: set.is_provided,
            may_grow_by: pool
                .max_gpus
                .unwrap_or_default()
                .saturating_sub(pool.selected),
            ..PoolSurvey::default()
        }
    }

    fn exemplify(&self, survey: &mut PoolSurvey, pool: &PoolRule, name: &str, spec: &Spec) {
        if !spec.is_ready {
            survey.not_ready.add(name, String::new);
        } else if spec.is_cordoned {
            survey.cordoned.add(name, String::new);
        }
        // a node that is not ready or cordoned has taints that say so, and that go with the state
        if !spec.is_ready || spec.is_cordoned {
            return;
        }
        if let Some(taint) = pool.undeclared(&spec.taints) {
            survey.undeclared.add(name, || self.shown(*taint));
        }
        let missing = pool
            .taints
            .iter()
            .find(|taint| !spec.taints.contains(taint));
        if let Some(taint) = missing {
            survey.missing.add(name, || self.shown(*taint));
        }
    }

    fn shown(&self, taint: NodeTaint) -> String {
        let text = |id: u32| self.names.get(id).unwrap_or_default();
        let value = match text(taint.value) {
            "" => String::new(),
            value => format!("={value}"),
        };
        format!("{}{value}:{}", text(taint.key), taint.effect.as_str())
    }
}

impl Example {
    fn add(&mut self, node: &str, taint: impl FnOnce() -> String) {
        if self.count == 0 || *node < *self.node {
            node.clone_into(&mut self.node);
            self.taint = taint();
        }
        self.count += 1;
    }
}

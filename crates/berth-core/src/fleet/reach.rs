//! Where a Pod may go, as far as it is counted: what its class and its tolerations say.

use std::{collections::HashMap, hash::Hasher, sync::Arc};

use super::{Fleet, SeenPod, Tolerated, pods::State, pools::SetId};
use crate::api::{Taint, TaintEffect, bounds::MAX_POOLS};

/// What decides where a Pod may go that waits for a GPU; of any other Pod, the class alone.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Reach {
    pub(super) class: Option<Arc<str>>,
    /// The pools that berth recorded, each as a hash: whoever may write the annotation may fill it.
    pools: Option<Box<[u64]>>,
    tolerations: Vec<Tolerated>,
}

impl Fleet {
    /// Counts the Pods of these namespaces by the class that each names now.
    pub(super) fn classify(&mut self, classes: &[(String, Option<String>)]) {
        let ids = classes.iter().filter_map(|(namespace, class)| {
            let class = class.as_deref().map(Arc::from);
            Some((self.names.find(namespace)?, class))
        });
        let ids: HashMap<u32, Option<Arc<str>>> = ids.collect();
        let of_them = self.pods.iter().filter_map(|(uid, pod)| {
            let class = ids.get(&pod.namespace)?;
            Some((*uid, *pod, class.clone()))
        });
        for (uid, pod, class) in of_them.collect::<Vec<_>>() {
            let Some(reach) = self.reaches.get(pod.reach) else {
                continue;
            };
            let reach = Reach {
                class,
                ..reach.clone()
            };
            let mut now = pod;
            now.reach = self.reach(&reach);
            self.count_reach(pod, false);
            self.count_reach(now, true);
            self.release_reach(pod.reach);
            self.pods.insert(uid, now);
        }
    }

    /// The number of a reach, which has one more user now.
    pub(super) fn reach(&mut self, reach: &Reach) -> u32 {
        let (id, is_new) = self.reaches.acquire(reach, || Arc::new(reach.clone()));
        if is_new {
            let sets = self.sets_within_reach(reach);
            self.reached.insert(id, sets);
        }
        id
    }

    pub(super) fn release_reach(&mut self, id: u32) {
        if self.reaches.release(id).is_some() {
            self.reached.remove(&id);
        }
    }

    /// The sets that have a pool to which a Pod may go: those that berth recorded for a class of the table, else those
    /// whose hard taints it tolerates.
    pub(super) fn sets_within_reach(&self, reach: &Reach) -> Arc<[SetId]> {
        let class = reach
            .class
            .as_deref()
            .and_then(|class| self.table.class(class));
        let recorded = reach.pools.as_ref().filter(|_| class.is_some());
        let rules = self.pools.iter().zip(self.table.pools());
        let within = rules.filter(|(rule, pool)| match recorded {
            Some(names) => names.contains(&hash(&rule.name)),
            None => reach.tolerates(&pool.taints),
        });
        let mut sets: Vec<SetId> = within.flat_map(|(rule, _)| rule.sets.clone()).collect();
        sets.sort_unstable();
        sets.dedup();
        sets.into()
    }
}

impl Reach {
    pub(super) fn of(seen: &SeenPod, state: State) -> Self {
        let class = seen.class.as_deref().map(Arc::from);
        if state == State::Waiting && !seen.demand.is_empty() {
            Self {
                class,
                pools: recorded(seen),
                tolerations: seen.tolerations.clone(),
            }
        } else {
            Self {
                class,
                pools: None,
                tolerations: Vec::new(),
            }
        }
    }

    fn tolerates(&self, taints: &[Taint]) -> bool {
        let hard = taints
            .iter()
            .filter(|it| it.effect != TaintEffect::PreferNoSchedule);
        let tolerated = |taint: &Taint| {
            let value = taint.value.as_deref().unwrap_or_default();
            let effect = taint.effect.as_str();
            self.tolerations
                .iter()
                .any(|it| it.tolerates(&taint.key, value, effect))
        };
        hard.into_iter().all(tolerated)
    }
}

/// The pools that berth recorded, as many as a class has at most. They say nothing where no class can come.
fn recorded(seen: &SeenPod) -> Option<Box<[u64]>> {
    let may_have_class = seen.class.is_some() || seen.is_of_namespace;
    let names = seen.pools.as_ref().filter(|_| may_have_class)?;
    Some(names.split(',').take(MAX_POOLS).map(hash).collect())
}

fn hash(name: &str) -> u64 {
    let mut hasher = fnv::FnvHasher::default();
    hasher.write(name.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_annotation_is_bounded_and_nothing_where_no_class_can_come() {
        let kept = |class: Option<&str>, is_of_namespace, pools: &str| {
            let seen = SeenPod {
                class: class.map(str::to_owned),
                is_of_namespace,
                pools: Some(pools.to_owned()),
                demand: vec![("nvidia.com/gpu".to_owned(), 1)],
                ..SeenPod::default()
            };
            Reach::of(&seen, State::Waiting).pools
        };
        let (one, many) = ("x".repeat(256 << 10), "a,".repeat(128 << 10));
        assert_eq!(kept(None, false, "a"), None);
        for (class, is_of_namespace) in [(Some("c"), false), (None, true)] {
            let kept = |pools| kept(class, is_of_namespace, pools).expect("kept").len();
            assert_eq!([kept("a,b"), kept(&one), kept(&many)], [2, 1, MAX_POOLS]);
        }
    }
}

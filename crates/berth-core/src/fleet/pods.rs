//! The Pods that use or want GPUs, are of a class, or may be.

use std::{hash::Hasher, sync::Arc};

use super::{Fleet, SeenPod, interner::NONE, nodes::Use, reach::Reach};
use crate::api::PodCounts;

/// A Pod's uid as a number: the API server's are UUIDs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Uid([u32; 4]);

/// A Pod; what several have in common is kept once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod {
    /// The node that it is bound to, where it asks for something.
    pub(super) node: u32,
    pub(super) demand: u32,
    pub(super) reach: u32,
    /// The namespace, if its class is the Pod's.
    pub(super) namespace: u32,
    pub(super) state: State,
    is_listed: bool,
}

/// How far a Pod is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// It has a node, and its GPUs until it is gone.
    Bound,
    /// The scheduler looks for a node.
    Waiting,
    /// A gate keeps the scheduler from it.
    Gated,
    /// It is being deleted and has no node: the scheduler leaves it.
    Leaving,
}

impl Fleet {
    /// Counts a Pod as it is now, and says whether it was not known.
    pub(super) fn put_pod(&mut self, seen: &SeenPod) -> bool {
        let uid = Uid::of(&seen.uid);
        let is_new = !self.pods.contains_key(&uid);
        // before the old one goes: what both have in common is kept
        let pod = self.pod(seen);
        self.remove_pod(uid);
        if let Some(mut pod) = pod {
            // after the old one went, which may have been the last to use its node
            if let Some(node) = seen.node.as_ref().filter(|_| !seen.demand.is_empty()) {
                pod.node = self.node_id(node);
            }
            self.pods.insert(uid, pod);
            let names = self.pod_names.as_mut();
            if let Some(names) = names.filter(|_| !seen.demand.is_empty()) {
                names.put(uid, seen);
            }
            self.count_pod(pod, true);
            let nominated = seen
                .nominated
                .as_ref()
                .filter(|_| pod.state == State::Waiting);
            if let Some(node) = nominated {
                self.nominate(uid, pod, node);
            }
        }
        is_new
    }

    pub(super) fn remove_pod(&mut self, uid: Uid) {
        let Some(pod) = self.pods.remove(&uid) else {
            return;
        };
        if let Some(names) = &mut self.pod_names {
            names.remove(uid);
        }
        if let Some(node) = self.nominated.remove(&uid) {
            self.use_by(
                pod,
                node,
                Use {
                    is_nominated: true,
                    is_more: false,
                },
            );
        }
        self.count_pod(pod, false);
        self.names.release(pod.namespace);
        if let Some(demand) = self.demands.release(pod.demand) {
            for (resource, _) in &*demand {
                self.names.release(*resource);
            }
        }
        self.release_reach(pod.reach);
    }

    /// A Pod as it is kept, if it asks for a device, is of a class, or would be if its namespace named one.
    fn pod(&mut self, seen: &SeenPod) -> Option<Pod> {
        if seen.demand.is_empty() && seen.class.is_none() && !seen.is_of_namespace {
            return None;
        }
        let state = seen.state();
        let namespace = if seen.is_of_namespace {
            self.names.name(&seen.namespace)
        } else {
            NONE
        };
        Some(Pod {
            node: NONE,
            demand: self.demand(&seen.demand),
            reach: self.reach(&Reach::of(seen, state)),
            namespace,
            state,
            is_listed: true,
        })
    }

    /// The number of a demand, which keeps the names of its resources.
    fn demand(&mut self, demand: &[(String, u32)]) -> u32 {
        let names = &mut self.names;
        let numbers: Vec<(u32, u32)> = demand
            .iter()
            .map(|(name, amount)| (names.name(name), *amount))
            .collect();
        let (id, is_new) = self.demands.acquire(&numbers, || Arc::from(&*numbers));
        if !is_new {
            for (resource, _) in numbers {
                self.names.release(resource);
            }
        }
        id
    }

    fn nominate(&mut self, uid: Uid, pod: Pod, node: &str) {
        if self
            .demands
            .get(pod.demand)
            .is_some_and(|demand| !demand.is_empty())
        {
            let node = self.node_id(node);
            self.nominated.insert(uid, node);
            self.use_by(
                pod,
                node,
                Use {
                    is_nominated: true,
                    is_more: true,
                },
            );
        }
    }

    /// Counts a Pod, or takes it out of the counts.
    fn count_pod(&mut self, pod: Pod, is_more: bool) {
        self.count_reach(pod, is_more);
        if pod.state == State::Bound {
            self.use_by(
                pod,
                pod.node,
                Use {
                    is_nominated: false,
                    is_more,
                },
            );
        }
    }

    /// Counts what depends on the class, or takes it out of the counts.
    pub(super) fn count_reach(&mut self, pod: Pod, is_more: bool) {
        self.count_in_class(pod, is_more);
        if pod.state == State::Waiting {
            self.wait(pod, is_more);
        }
    }

    fn count_in_class(&mut self, pod: Pod, is_more: bool) {
        let Some(class) = self.reaches.get(pod.reach).and_then(|it| it.class.clone()) else {
            return;
        };
        let counts = self.classes.entry(Arc::clone(&class)).or_default();
        let count = match pod.state {
            State::Bound => &mut counts.running,
            State::Waiting => &mut counts.waiting,
            State::Gated => &mut counts.gated,
            State::Leaving => return,
        };
        if is_more {
            *count += 1;
        } else {
            *count -= 1;
        }
        if *counts == PodCounts::default() {
            self.classes.remove(&class);
        }
    }

    fn use_by(&mut self, pod: Pod, node: u32, how: Use) {
        let demand: Vec<(u32, u32)> = self.demands.get(pod.demand).unwrap_or_default().to_vec();
        for (resource, amount) in demand {
            self.use_node(node, resource, amount, how);
        }
    }

    fn wait(&mut self, pod: Pod, is_more: bool) {
        let Self {
            reached,
            demands,
            sets,
            ..
        } = self;
        let demand = demands.get(pod.demand).unwrap_or_default();
        for id in reached.get(&pod.reach).into_iter().flat_map(|it| it.iter()) {
            let Some(set) = sets.get_mut(*id as usize) else {
                continue;
            };
            for (_, amount) in demand
                .iter()
                .filter(|(resource, _)| *resource == set.resource)
            {
                if is_more {
                    set.counted.waiting.add(*amount);
                } else {
                    set.counted.waiting.remove(*amount);
                }
            }
        }
    }

    /// Counts every Pod that waits, where none is counted yet.
    pub(super) fn count_waiting(&mut self) {
        let waiting = self.pods.values().filter(|pod| pod.state == State::Waiting);
        let waiting: Vec<Pod> = waiting.copied().collect();
        for pod in waiting {
            self.wait(pod, true);
        }
    }
}

impl SeenPod {
    const fn state(&self) -> State {
        if self.node.is_some() {
            State::Bound
        } else if self.is_leaving {
            State::Leaving
        } else if self.is_gated {
            State::Gated
        } else {
            State::Waiting
        }
    }
}

impl Pod {
    pub(super) const fn unlist(&mut self) {
        self.is_listed = false;
    }

    pub(super) const fn is_listed(&self) -> bool {
        self.is_listed
    }
}

impl Uid {
    /// The UUID, or of any other text a hash that is as good as one.
    pub(super) fn of(text: &str) -> Self {
        let digits = || text.bytes().filter(|it| *it != b'-');
        let value = match u128::from_str_radix(&text.replace('-', ""), 16) {
            Ok(value) if digits().count() == 32 => value,
            _ => {
                let half = |seed: u8| {
                    let mut hasher = fnv::FnvHasher::default();
                    hasher.write_u8(seed);
                    hasher.write(text.as_bytes());
                    u128::from(hasher.finish())
                };
                half(0) << 64 | half(1)
            }
        };
        let part = |i: u32| u32::try_from(value >> (32 * i) & u128::from(u32::MAX)).unwrap_or(0);
        Self([part(0), part(1), part(2), part(3)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_costs_64_bytes_with_its_place_in_the_map() {
        // a map is filled to between 7/16 and 7/8, and has a byte more for each place
        let place = size_of::<(Uid, Pod)>() + 1;
        assert!(place * 3 / 2 <= 64, "{place}");
    }

    #[test]
    fn a_uid_is_read_as_a_number_and_any_other_text_has_one_of_its_own() {
        let uuid = "705ab4f5-6393-11e8-b7cc-42010a800002";
        assert_eq!(
            Uid::of(uuid),
            Uid([0x0a80_0002, 0xb7cc_4201, 0x6393_11e8, 0x705a_b4f5])
        );
        assert_ne!(Uid::of(""), Uid::of("x"));
        assert_ne!(
            Uid::of("+05ab4f5639311e8b7cc42010a800002"),
            Uid::of("05ab4f5639311e8b7cc42010a800002")
        );
    }
}

//! What a Pod asks for, as the scheduler counts it: containers and native sidecars together, against each init container
//! with the sidecars before it, and the overhead on top.

use std::collections::BTreeMap;

use super::seen::{ContainerView, PodSpecView, count};
use crate::names::DEVICE_CLASS_PREFIX;

/// Whether amounts of a resource are counted: those of extended resources alone.
pub(super) fn is_counted(resource: &str) -> bool {
    let native = resource.contains("kubernetes.io/");
    resource.contains('/') && (!native || resource.starts_with(DEVICE_CLASS_PREFIX))
}

/// The demand for each extended resource, sorted by name, none of it zero.
pub(super) fn of(spec: &PodSpecView) -> Vec<(String, u32)> {
    let mut together = Amounts::default();
    for container in spec.containers.iter().flatten() {
        together.add(container);
    }
    let (mut sidecars, mut at_start) = (Amounts::default(), Amounts::default());
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            together.add(container);
            sidecars.add(container);
            at_start.at_least(&sidecars);
        } else {
            let mut alone = sidecars.clone();
            alone.add(container);
            at_start.at_least(&alone);
        }
    }
    together.at_least(&at_start);
    for (name, amount) in spec.overhead.iter().flatten() {
        together.add_amount(name, count(amount));
    }
    let demand = together.0.into_iter().filter(|(_, amount)| *amount > 0);
    demand
        .map(|(name, amount)| (name.to_owned(), amount))
        .collect()
}

#[derive(Clone, Default)]
struct Amounts<'s>(BTreeMap<&'s str, u32>);

impl<'s> Amounts<'s> {
    fn add(&mut self, container: &'s ContainerView) {
        let requests = container
            .resources
            .iter()
            .flat_map(|it| &it.requests)
            .flatten();
        for (name, amount) in requests {
            self.add_amount(name, count(amount));
        }
    }

    fn add_amount(&mut self, name: &'s str, amount: u32) {
        if is_counted(name) {
            let sum = self.0.entry(name).or_default();
            *sum = sum.saturating_add(amount);
        }
    }

    fn at_least(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name).or_default();
            *own = (*own).max(*amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn demand(spec: Value) -> u32 {
        let spec: PodSpecView = serde_json::from_value(spec).expect("a spec");
        let demand = of(&spec);
        assert!(demand.len() <= 1, "{demand:?}");
        demand.first().map_or(0, |(_, amount)| *amount)
    }

    #[test]
    fn a_pod_is_counted_as_the_scheduler_counts_it() {
        let asks = |gpus: u32| json!({"resources": {"requests": {"amd.com/gpu": gpus.to_string(), "cpu": "1", "kubernetes.io/x": "1"}}});
        let sidecar = |gpus: u32| {
            let mut container = asks(gpus);
            container["restartPolicy"] = json!("Always");
            container
        };
        for (spec, expected) in [
            (json!({}), 0),
            (json!({"containers": [asks(1), asks(2), {}]}), 3),
            (
                json!({"containers": [asks(1)], "initContainers": [asks(4), asks(3)]}),
                4,
            ),
            (
                json!({"containers": [asks(1)], "initContainers": [sidecar(1)]}),
                2,
            ),
            // the init container after the sidecar runs beside it, the one before does not
            (
                json!({"containers": [asks(1)], "initContainers": [sidecar(1), asks(3)]}),
                4,
            ),
            (
                json!({"containers": [asks(1)], "initContainers": [asks(3), sidecar(1)]}),
                3,
            ),
            (
                json!({"containers": [asks(1)], "overhead": {"amd.com/gpu": "1"}}),
                2,
            ),
            (json!({"containers": [asks(0)]}), 0),
            (json!({"containers": null, "initContainers": null}), 0),
        ] {
            assert_eq!(demand(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn an_amount_out_of_range_is_bounded_and_none_is_none() {
        let asks = |amount: &str| json!({"containers": [{"resources": {"requests": {"amd.com/gpu": amount}}}]});
        for (amount, expected) in [
            ("9e18", u32::MAX),
            ("-3", 0),
            ("many", 0),
            ("1500m", 1),
            ("2k", 2000),
        ] {
            assert_eq!(demand(asks(amount)), expected, "{amount}");
        }
        let two = json!({"containers": [{"resources": {"requests": {"a.b/c": "9e18"}}}, {"resources": {"requests": {"a.b/c": "1"}}}]});
        assert_eq!(demand(two), u32::MAX);
    }

    #[test]
    fn a_device_class_is_counted_by_its_name() {
        assert!(is_counted("deviceclass.resource.kubernetes.io/gpu.amd.com"));
        assert!(!is_counted("requests.kubernetes.io/x"));
        assert!(!is_counted("hugepages-2Mi"));
    }
}

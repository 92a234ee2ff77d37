//! What two Pods are compared by, besides where they may run.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use berth_core::{
    quantity::Quantity,
    table::{Allocation, AllocationTable},
};

/// The GPUs of each container, by its name and the resource.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Gpus(BTreeMap<(String, String), u64>);

impl Gpus {
    pub(super) fn of(pod: &Value, table: &AllocationTable) -> Self {
        let mut gpus = BTreeMap::new();
        for list in ["initContainers", "containers"] {
            for container in elements(&pod["spec"][list]) {
                let name = container["name"].as_str().unwrap_or_default();
                // a request without a limit is invalid, and told otherwise
                for of in ["requests", "limits"] {
                    let amounts = container["resources"][of].as_object().into_iter().flatten();
                    for (resource, amount) in amounts.filter(|(resource, _)| table.is_gpu(resource))
                    {
                        let text = amount
                            .as_str()
                            .map_or_else(|| amount.to_string(), str::to_owned);
                        let amount = Quantity::parse(&text).map_or(0, Quantity::floor);
                        gpus.insert((name.to_owned(), resource.clone()), amount);
                    }
                }
            }
        }
        gpus.retain(|_, amount| *amount > 0);
        Self(gpus)
    }

    /// The resource that is asked for first.
    pub(super) fn resource(&self) -> Option<&str> {
        self.0.keys().map(|(_, resource)| &**resource).next()
    }

    /// The same under the names that the class's pools have: the table says that an alias is the same resource.
    pub(super) fn renamed(&self, class: &Allocation) -> Self {
        let renamed = self.0.iter().map(|((container, resource), amount)| {
            let group = class.groups.iter().find(|it| it.names(resource));
            let resource = group.map_or(resource, |it| &it.resource);
            ((container.clone(), resource.clone()), *amount)
        });
        Self(renamed.collect())
    }
}

/// As `amd.com/gpu=1 on "vllm"`.
impl fmt::Display for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no GPU");
        }
        for (i, ((container, resource), amount)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{resource}={amount} on {container:?}")?;
        }
        Ok(())
    }
}

/// What a class may add and is no matter of nodes or GPUs: it must be the same whether it was written by hand or not.
pub(super) fn rest(pod: &Value) -> (Value, Value, BTreeMap<(String, String), Value>) {
    let spec = &pod["spec"];
    let mut env = BTreeMap::new();
    for list in ["initContainers", "containers"] {
        for container in elements(&spec[list]) {
            let name = container["name"].as_str().unwrap_or_default();
            for variable in elements(&container["env"]) {
                let of = variable["name"].as_str().unwrap_or_default();
                env.insert((name.to_owned(), of.to_owned()), variable.clone());
            }
        }
    }
    (
        spec["runtimeClassName"].clone(),
        spec["schedulerName"].clone(),
        env,
    )
}

/// Whether a toleration of the Pod tolerates a taint for good.
pub(super) fn tolerates(pod: &Value, key: &str, value: &str, effect: &str) -> bool {
    elements(&pod["spec"]["tolerations"]).any(|toleration| {
        let text = |field: &str| toleration[field].as_str().unwrap_or_default();
        let is_key = text("key") == key || (text("key").is_empty() && text("operator") == "Exists");
        let is_value = text("operator") == "Exists" || text("value") == value;
        let is_effect = text("effect").is_empty() || text("effect") == effect;
        is_key
            && is_value
            && is_effect
            && toleration
                .get("tolerationSeconds")
                .is_none_or(Value::is_null)
    })
}

pub(super) fn elements(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}

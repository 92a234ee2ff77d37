//! What the nodes of a pool offer, where that is not its resource: another driver's name, or DRA's.

use serde_json::{Value, json};

use super::{OfPool, listed, named, offers};
use crate::{
    accelerators::{Kind, vendor_of},
    check::{Check, patch, shell},
    fleet::SeenNode,
};

/// The label by which NVIDIA's operator is told to leave out its device plugin.
const NVIDIA_PLUGIN: &str = "nvidia.com/gpu.deploy.device-plugin";

impl OfPool<'_> {
    pub(super) fn provider(&self) -> Option<&str> {
        let mut all = self.provided();
        all.find(|(resource, _)| resource == self.resource())
            .map(|(_, class)| class.as_str())
    }

    fn provided(&self) -> impl DoubleEndedIterator<Item = &(String, String)> {
        self.provided.iter().flatten()
    }

    /// Nodes that take Pods and offer no GPU of the pool's resource.
    pub(super) fn empty(&self) -> Option<Check> {
        let empty: Vec<&SeenNode> = self
            .open()
            .filter(|it| offers(it, self.resource()) == 0)
            .collect();
        let first = empty.first()?;
        if self.provider().is_some() {
            return None;
        }
        let what = format!("{}: its Nodes offer {}", self.name, self.resource());
        let offer = if empty.len() == 1 { "offers" } else { "offer" };
        let found = format!("{} {offer} none", named(&empty));
        if let Err(why) = self.provided {
            let found = format!("{found}, and whether DRA does, nobody said: {why}");
            return Some(Check::skipped(what, found));
        }
        let outcome = self.without(|it| offers(it, self.resource()) == 0);
        let bad = |found: String| Check::found(outcome, what, found);
        if let Some(other) = self.other(first) {
            let found = format!("{found}, and {other} instead: the name that its driver gives");
            let operation = self.renames(other);
            return Some(bad(found).run(patch(&format!("gpupool {}", self.name), &operation)));
        }
        if let Some((class, resource)) = self.by_dra() {
            let found = format!("{found}; DRA offers {resource} (DeviceClass {class})");
            let operation = self.renames(resource);
            return Some(bad(found).run(patch(&format!("gpupool {}", self.name), &operation)));
        }
        let off = first.labels.get(NVIDIA_PLUGIN).filter(|it| *it == "false");
        if off.is_some() && self.resource().starts_with("nvidia.com/") {
            let found =
                format!("{found}: its label {NVIDIA_PLUGIN}=false keeps the device plugin away");
            let command = format!(
                "kubectl label node {} {NVIDIA_PLUGIN}=true --overwrite",
                listed(&empty)
            );
            return Some(bad(found).run(command));
        }
        let command = format!(
            "kubectl get pods -A -o wide --field-selector spec.nodeName={}",
            shell(&first.name)
        );
        Some(bad(format!("{found}: does the device plugin run there?")).run(command))
    }

    /// Gives the pool this resource. An alias cannot be the pool's own resource: where it is one, the two names change places.
    fn renames(&self, resource: &str) -> Value {
        let mut operations = Vec::new();
        if let Some(alias) = self
            .spec
            .resource_aliases
            .iter()
            .position(|it| it == resource)
        {
            let path = format!("/spec/resourceAliases/{alias}");
            operations.push(json!({"op": "replace", "path": path, "value": self.resource()}));
        }
        operations.push(json!({"op": "replace", "path": "/spec/resourceName", "value": resource}));
        json!(operations)
    }

    /// Another GPU of the same vendor that the node offers, as by another driver.
    fn other<'n>(&self, node: &'n SeenNode) -> Option<&'n str> {
        let vendor = vendor_of(self.resource())?;
        let mut all = node.allocatable.iter().filter(|(_, count)| *count > 0);
        let same = |name: &str| vendor_of(name) == Some(vendor) && Kind::of(name) == Kind::Gpu;
        all.find(|(name, _)| same(name))
            .map(|(name, _)| name.as_str())
    }

    /// The name by which DRA offers GPUs of the same vendor: Intel's driver has `intel.com/gpu`, and not i915 or xe.
    fn by_dra(&self) -> Option<(&str, &str)> {
        let domain = self.resource().split('/').next()?;
        let vendor: Vec<&str> = domain.rsplit('.').take(2).collect();
        let of_vendor = |class: &str| {
            let words: Vec<&str> = class.rsplit('.').take(2).collect();
            words == vendor
        };
        let mut all = self.provided();
        let (resource, class) =
            all.rfind(|(_, class)| of_vendor(class) && class.starts_with("gpu."))?;
        Some((class, resource))
    }
}

//! The guards that are applied, and whether the table has changed since.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{asking, chain::Facts};
use berth_core::{
    api::{GPUPool, WorkloadClass},
    check::{Policy, Seen},
    manifest::{Document, Manifest},
    names::GROUP,
    objects::Compiled,
};
use berth_manifests::guard;

impl Facts<'_> {
    /// The guards, which have the table's revision in an annotation.
    pub(super) fn policies(&self) -> Seen<Vec<Policy>> {
        let all: Vec<ValidatingAdmissionPolicy> =
            asking::everywhere(self.cluster, "ValidatingAdmissionPolicies")?;
        let bindings: Vec<ValidatingAdmissionPolicyBinding> =
            asking::everywhere(self.cluster, "ValidatingAdmissionPolicyBindings")?;
        let annotation = format!("{GROUP}/table");
        let mut guards = all
            .iter()
            .filter(|it| it.annotations().contains_key(&annotation))
            .peekable();
        if guards.peek().is_none() {
            return Ok(Vec::new());
        }
        let compiled = self.compiled.as_ref().map_err(Clone::clone)?;
        let policy = |it: &ValidatingAdmissionPolicy| {
            let name = it.name_any();
            let mut of_policy = bindings.iter().map(|it| &it.spec);
            let binding = of_policy.find(|it| it.policy_name == name);
            Policy {
                revision: it.annotations()[&annotation].clone(),
                is_current: is_current(compiled, &json!(it)),
                actions: binding.map(|it| it.validation_actions.clone()),
                name,
            }
        };
        Ok(guards.map(policy).collect())
    }
}

/// Whether a guard of the table as it is would say the same. The namespaces that it leaves out are a person's choice.
fn is_current(compiled: &Compiled, policy: &Value) -> bool {
    let pools = compiled.pools.iter().filter(|it| it.refusal.is_none());
    let pools =
        pools.filter_map(|it| Some(Manifest::Pool(GPUPool::new(&it.name, it.spec.clone()?))));
    let classes = compiled.classes.iter().filter(|it| it.refusal.is_none());
    let classes = classes.filter_map(|it| {
        Some(Manifest::Class(WorkloadClass::new(
            &it.name,
            it.spec.clone()?,
        )))
    });
    let manifests = pools.chain(classes).enumerate();
    let documents: Vec<Document> = manifests
        .map(|(origin, manifest)| Document { origin, manifest })
        .collect();
    let options = guard::Options {
        name: String::new(),
        action: guard::Action::Warn,
        exempt: Vec::new(),
    };
    let Ok([now, _]) = guard::render(&documents, &compiled.table, &options) else {
        return false;
    };
    ["variables", "validations"]
        .iter()
        .all(|part| now["spec"][part] == policy["spec"][part])
}

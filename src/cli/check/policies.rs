//! The guards that are applied, and whether the table has changed since.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{asking, chain::Facts};
use berth_core::{
    check::{Policy, Seen},
    names::{CLASS_LABEL, GROUP, NAMESPACE_NAME_LABEL},
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
        let label = &self.installation.flags.settings.class_label;
        let policy = |it: &ValidatingAdmissionPolicy| {
            let name = it.name_any();
            let mut of_policy = bindings.iter().map(|it| &it.spec);
            let binding = of_policy.find(|it| it.policy_name == name);
            Policy {
                revision: it.annotations()[&annotation].clone(),
                is_current: is_current(compiled, &json!(it)),
                actions: binding.map(|it| it.validation_actions.clone()),
                exempt: exempt(&json!(it)),
                class_label: Some(label.clone()).filter(|it| it != CLASS_LABEL),
                name,
            }
        };
        Ok(guards.map(policy).collect())
    }
}

/// The namespaces that a guard leaves out.
fn exempt(policy: &Value) -> Vec<String> {
    let expressions = policy.pointer("/spec/matchConstraints/namespaceSelector/matchExpressions");
    let expressions = expressions.and_then(Value::as_array).into_iter().flatten();
    let of_names =
        expressions.filter(|it| it["key"] == NAMESPACE_NAME_LABEL && it["operator"] == "NotIn");
    let names = of_names.filter_map(|it| it["values"].as_array()).flatten();
    names
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect()
}

/// Whether a guard of the table as it is would say the same. The namespaces that it leaves out are a person's choice.
fn is_current(compiled: &Compiled, policy: &Value) -> bool {
    let options = guard::Options {
        name: String::new(),
        action: guard::Action::Warn,
        exempt: Vec::new(),
    };
    let Ok([now, _]) = guard::render(&compiled.documents(), &compiled.table, &options) else {
        return false;
    };
    ["variables", "validations"]
        .iter()
        .all(|part| now["spec"][part] == policy["spec"][part])
}

//! What Kubernetes refuses of a container, and no webhook is asked about.

use serde_json::Value;

use super::{PodPreview, Topic};
use crate::{diagnostic::Diagnostic, workload::field};
use berth_core::{json::pointer_segment, quantity::Quantity};

pub(super) fn of_container(
    container: &Value,
    path: &str,
    pod: &PodPreview,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if !pod.template.names_containers() && has_no_name(container) {
        diagnostics.push(Topic::ContainerWithoutName.of(
            &format!("{path}/name"),
            "the container has no name",
            "give it one",
        ));
    }
    for list in ["limits", "requests"] {
        let amounts = container["resources"][list].as_object();
        for (resource, amount) in amounts.into_iter().flatten() {
            let is_quantity = match amount {
                Value::String(text) => Quantity::parse(text).is_some(),
                other => other.is_number() || other.is_null(),
            };
            let path = format!("{path}/resources/{list}/{}", pointer_segment(resource));
            if !is_quantity && !is_denied(pod, &path) {
                diagnostics.push(Topic::NotAQuantity.of(
                    &path,
                    format!("{amount} is not a quantity"),
                    "write a number, as 1, 500m or 2Gi",
                ));
            }
        }
    }
}

/// Whether a denial names the field already.
fn is_denied(pod: &PodPreview, path: &str) -> bool {
    let field = field(path);
    pod.denials.iter().any(|denial| denial.field == field)
}

/// A name or a container of the wrong type is a matter of the Pod's shape.
fn has_no_name(container: &Value) -> bool {
    let name = &container["name"];
    let is_container = container.is_object() || container.is_null();
    is_container && (name.is_null() || name == "")
}

//! Where the class is named, and where a Pod that asks for a GPU names none.

use serde_json::Value;

use super::{PodPreview, Topic};
use crate::{
    diagnostic::Diagnostic,
    workload::{ancestors, field},
};
use berth_core::{
    json::pointer_segment,
    names::{CONTAINER_ANNOTATION, INJECT_LABEL},
    outcome::Reason,
    quantity::Quantity,
    table::AllocationTable,
};

/// A GPU that berth does not look at.
pub(super) fn gpu_without_class(
    document: &Value,
    pod: &PodPreview,
    table: &AllocationTable,
) -> Option<Diagnostic> {
    if pod.reason() != Reason::NoClass {
        return None;
    }
    for list in ["containers", "initContainers"] {
        let path = format!("{}/{list}", pod.template.spec);
        let containers = document.pointer(&path).and_then(Value::as_array);
        for (i, container) in containers.into_iter().flatten().enumerate() {
            let limits = container["resources"]["limits"].as_object();
            let mut limits = limits.into_iter().flatten();
            let gpu = limits.find(|(name, amount)| table.is_gpu(name) && asks(amount));
            if let Some((gpu, _)) = gpu {
                return Some(Topic::GpuWithoutClass.of(
                    &format!("{path}/{i}/resources/limits/{}", pointer_segment(gpu)),
                    format!("a limit of {gpu}, and no workload class: berth leaves the Pod alone"),
                    format!(
                        "add the label {}, if berth should place it",
                        table.class_label()
                    ),
                ));
            }
        }
    }
    None
}

/// Whether an amount is more than nothing: null is zero.
fn asks(amount: &Value) -> bool {
    let text = amount
        .as_str()
        .map_or_else(|| amount.to_string(), str::to_owned);
    !amount.is_null() && Quantity::parse(&text).is_none_or(|amount| !amount.is_zero())
}

/// Labels and annotations for berth that stand where no Pod gets them.
pub(super) fn elsewhere(
    document: &Value,
    pod: &PodPreview,
    table: &AllocationTable,
) -> Vec<Diagnostic> {
    let template = &pod.template;
    let (labels, annotations) = (template.labels(document), template.annotations(document));
    let keys: [(&str, bool, Option<&String>); 3] = [
        (
            table.class_label(),
            labels.contains_key(table.class_label()),
            template.labels.last(),
        ),
        (
            INJECT_LABEL,
            labels.contains_key(INJECT_LABEL),
            template.labels.last(),
        ),
        (
            CONTAINER_ANNOTATION,
            annotations.contains_key(CONTAINER_ANNOTATION),
            template.annotations.last(),
        ),
    ];
    let missing = keys.into_iter().filter(|(_, is_there, _)| !is_there);
    let found = missing.filter_map(|(key, _, right)| {
        let segment = pointer_segment(key);
        let mut places = ancestors(&template.spec).flat_map(|above| {
            ["labels", "annotations"].map(|it| format!("{above}/metadata/{it}/{segment}"))
        });
        let path = places.find(|path| document.pointer(path).is_some())?;
        let kind = if right == template.labels.last() {
            "a label"
        } else {
            "an annotation"
        };
        Some(Topic::LabelElsewhere.of(
            &path,
            format!("{key} is here, and the Pods do not get it as {kind}"),
            format!("move it to {}", field(right?)),
        ))
    });
    found.collect()
}

/// Every entry of a map of labels that has a key.
pub(super) fn labelled(value: &Value, path: &str, label: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}/{}", pointer_segment(key));
                if key == "labels" && value.get(label).is_some() {
                    found.push(format!("{path}/{}", pointer_segment(label)));
                }
                labelled(value, &path, label, found);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                labelled(item, &format!("{path}/{i}"), label, found);
            }
        }
        _ => {}
    }
}

//! Pods that are as they should be already, or nearly: what a careful author writes, or berth wrote before.

use serde_json::{Value, json};

use super::affinity::requirements;
use crate::{draw::Draw, table::Table};

/// Gives the Pod all that one pool of its class asks for, but now and then leaves a part out.
pub(super) fn settle(draw: &mut Draw<'_>, pod: &mut Value, table: &Table) {
    let groups = table.groups_of("c");
    let group = draw.pick(&groups);
    let pool = &group[0]["spec"];
    let names: Vec<&str> = group
        .iter()
        .filter_map(|pool| pool["metadata"]["name"].as_str())
        .collect();
    let mut container = json!({"name": "main", "resources": {"limits": {pool["resourceName"].as_str().unwrap_or_default(): "1"}}});
    let mut spec = json!({});
    let terms = json!([{"matchExpressions": requirements(group[0])}]);
    let required =
        json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    let parts = [
        ("affinity", json!({"nodeAffinity": required})),
        ("tolerations", json!([{"operator": "Exists"}])),
        ("runtimeClassName", pool["runtimeClassName"].clone()),
        (
            "schedulerName",
            table.class("c")["spec"]["schedulerName"].clone(),
        ),
    ];
    for (key, value) in parts {
        if !draw.percent(4) {
            spec[key] = value;
        }
    }
    if !draw.percent(4) {
        container["env"] = pool["env"].clone();
    }
    spec["containers"] = json!([container]);
    pod["spec"] = spec;
    if !draw.percent(10) {
        pod["metadata"]["annotations"] = json!({"berth.dev/pool": names.join(",")});
    }
}

//! A patch in words: what a Pod has after it that it had not before.

use json_patch::Patch;
use serde_json::{Map, Value};

const NODE_AFFINITY: &str = "/spec/affinity/nodeAffinity";

/// As `1 term, 1 toleration, amd.com/gpu=1 on "vllm"`.
pub(super) fn of(pod: &Value, patch: &Patch) -> String {
    let mut after = pod.clone();
    if patch.is_empty() || json_patch::patch(&mut after, patch).is_err() {
        return String::new();
    }
    let count = |path: &str| {
        let list = |pod: &Value| pod.pointer(path).and_then(Value::as_array).cloned();
        let (before, after) = (
            list(pod).unwrap_or_default(),
            list(&after).unwrap_or_default(),
        );
        let changed = |(i, item): &(usize, &Value)| before.get(*i) != Some(item);
        after.iter().enumerate().filter(changed).count()
    };
    let terms =
        format!("{NODE_AFFINITY}/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
    let preferred = format!("{NODE_AFFINITY}/preferredDuringSchedulingIgnoredDuringExecution");
    let mut words = Vec::new();
    for (count, what) in [
        (count(&terms), "term"),
        (count(&preferred), "preferred term"),
        (count("/spec/tolerations"), "toleration"),
    ] {
        match count {
            0 => {}
            1 => words.push(format!("1 {what}")),
            many => words.push(format!("{many} {what}s")),
        }
    }
    for list in ["/spec/initContainers", "/spec/containers"] {
        words.extend(containers(pod, &after, list, limits));
    }
    for field in ["runtimeClassName", "schedulerName"] {
        let of = |pod: &Value| pod["spec"][field].clone();
        if of(pod) != of(&after) {
            words.push(format!("{field} {}", plain(&of(&after))));
        }
    }
    for list in ["/spec/initContainers", "/spec/containers"] {
        words.extend(containers(pod, &after, list, env));
    }
    if words.is_empty() {
        words.push("the annotation berth.dev/pool".to_owned());
    }
    words.join(", ")
}

/// What is new in the containers of a list, in one respect.
fn containers(
    before: &Value,
    after: &Value,
    list: &str,
    news: fn(&Value, &Value) -> Vec<String>,
) -> Vec<String> {
    let items = |pod: &Value| {
        let items = pod.pointer(list).and_then(Value::as_array);
        items.cloned().unwrap_or_default()
    };
    let pairs = items(before).into_iter().zip(items(after));
    let of_pair = |(before, after): (Value, Value)| {
        let name = match &after["name"] {
            Value::Null => "a container without a name".to_owned(),
            name => name.to_string(),
        };
        let news = news(&before, &after).into_iter();
        news.map(move |text| format!("{text} on {name}"))
            .collect::<Vec<_>>()
    };
    pairs.flat_map(of_pair).collect()
}

fn limits(before: &Value, after: &Value) -> Vec<String> {
    let nothing = Map::new();
    let of = after["resources"]["limits"].as_object().unwrap_or(&nothing);
    let is_new = |(name, amount): &(&String, &Value)| {
        before["resources"]["limits"].get(name.as_str()) != Some(amount)
    };
    let text = |(name, amount): (&String, &Value)| format!("{name}={}", plain(amount));
    of.iter().filter(is_new).map(text).collect()
}

fn env(before: &Value, after: &Value) -> Vec<String> {
    let count = before["env"].as_array().map_or(0, Vec::len);
    let vars = after["env"].as_array().into_iter().flatten().skip(count);
    vars.map(|var| format!("env {}", plain(&var["name"])))
        .collect()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_without_a_name_is_called_that() {
        let pod =
            |limits: Value| json!({"spec": {"containers": [{"resources": {"limits": limits}}]}});
        let news = containers(
            &pod(json!({})),
            &pod(json!({"amd.com/gpu": "1"})),
            "/spec/containers",
            limits,
        );
        assert_eq!(news, ["amd.com/gpu=1 on a container without a name"]);
    }
}

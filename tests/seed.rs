//! The allocation that berth must serve first: all five rows, for a bare Pod and for one of a ReplicaSet.

use berth_core::review;
use serde_json::{Value, json};

mod common;

struct Row {
    class: &'static str,
    node: &'static str,
    resource: &'static str,
    tolerations: Value,
    runtime_class: Value,
    env: Value,
}

fn rows() -> [Row; 5] {
    let row = |class, node, resource| Row {
        class,
        node,
        resource,
        tolerations: json!([]),
        runtime_class: Value::Null,
        env: Value::Null,
    };
    let dedicated =
        json!({"key": "dedicated", "operator": "Equal", "value": "vllm", "effect": "NoSchedule"});
    let gfx = json!([{"name": "HSA_OVERRIDE_GFX_VERSION", "value": "10.3.0"}]);
    [
        Row {
            tolerations: json!([dedicated]),
            ..row("vllm", "khelben", "amd.com/gpu")
        },
        Row {
            runtime_class: json!("nvidia"),
            ..row("whisper", "elminster", "nvidia.com/gpu")
        },
        Row {
            runtime_class: json!("nvidia"),
            ..row("xtts", "elminster", "nvidia.com/gpu")
        },
        Row {
            env: gfx,
            ..row("bge-embeddings", "drizzt", "amd.com/gpu")
        },
        row("bge-reranker", "danilo", "gpu.intel.com/i915"),
    ]
}

#[test]
fn every_row_of_the_seed_is_served() {
    let view = common::homelab();
    for row in rows() {
        for owner in ["", "-replicaset"] {
            let review = common::example(&format!("{}{owner}", row.class));
            let body = review.to_string();
            let answer = review::review(body.as_bytes(), &view).expect("a review");
            let response: Value = serde_json::from_slice(&answer.body).expect("JSON");
            row.holds(&review, &response);
        }
    }
}

impl Row {
    fn holds(&self, review: &Value, response: &Value) {
        let (before, pod) = (
            &review["request"]["object"],
            common::patched(review, response),
        );
        assert_eq!(response["response"]["uid"], review["request"]["uid"]);
        assert_eq!(response["response"]["allowed"], true, "{}", self.class);

        let hostname =
            json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [self.node]});
        let term = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(
            *term,
            json!({"nodeSelectorTerms": [{"matchExpressions": [hostname]}]})
        );

        let mut tolerations = before["spec"]["tolerations"]
            .as_array()
            .expect("a list")
            .clone();
        tolerations.extend(self.tolerations.as_array().expect("a list").clone());
        assert_eq!(
            pod["spec"]["tolerations"],
            json!(tolerations),
            "{}",
            self.class
        );

        let container = &pod["spec"]["containers"][0];
        assert_eq!(
            container["resources"]["limits"],
            json!({self.resource: "1"})
        );
        assert_eq!(container["env"], self.env, "{}", self.class);
        assert_eq!(
            pod["spec"]["runtimeClassName"], self.runtime_class,
            "{}",
            self.class
        );
    }
}

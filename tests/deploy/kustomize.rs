//! What people change in an overlay of their own: the namespace, the table, the image.

use std::fs;

use serde_json::json;

use crate::{
    common::path,
    objects::{Object, find},
    render::own_overlay,
};

#[test]
fn an_overlay_may_have_another_namespace() {
    let Some(objects) = own_overlay("ha", &[], &json!({"namespace": "x"})) else {
        return;
    };
    for object in &objects {
        let kind = object["kind"].as_str().expect("a kind");
        let namespace = &object["metadata"]["namespace"];
        match kind {
            "Namespace" => assert_eq!(object["metadata"]["name"], "x"),
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" | "ClusterRole" => {
                assert!(namespace.is_null());
            }
            "ClusterRoleBinding" => assert_eq!(object["subjects"][0]["namespace"], "x"),
            _ => assert_eq!(namespace, "x", "{kind}"),
        }
    }
    let configuration = find(&objects, "MutatingWebhookConfiguration", "berth");
    let hook = &configuration["webhooks"][0];
    assert_eq!(hook["clientConfig"]["service"]["namespace"], "x");
    assert_eq!(
        excluded(hook),
        &json!(["x", "kube-system", "kube-node-lease"])
    );
    let inject = &configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
    assert_eq!(inject, "x/berth-tls");
    let certificate = find(&objects, "Certificate", "berth-tls");
    assert_eq!(certificate["spec"]["dnsNames"], json!(["berth.x.svc"]));
    let rules = find(&objects, "PrometheusRule", "berth").to_string();
    assert!(rules.contains(r#"namespace=\"x\""#), "{rules}");
    assert!(rules.contains("kubectl -n x "), "{rules}");
    // a variable of the container, and none of kustomize
    let text = json!(objects).to_string().replace("$(POD_IP)", "");
    for left in ["$(", r#"namespace=\"berth\""#, "-n berth", "berth.berth"] {
        assert!(!text.contains(left), "{left} is left in {text}");
    }
}

fn excluded(hook: &Object) -> &Object {
    &hook["namespaceSelector"]["matchExpressions"][0]["values"]
}

#[test]
fn an_overlay_has_its_own_table_and_image() {
    let image = json!([{"name": "berth", "newName": "registry.example/berth", "newTag": "1"}]);
    let table = json!([{"name": "berth-table", "namespace": "berth", "files": ["table.yaml"],
                        "options": {"disableNameSuffixHash": true}}]);
    let more = json!({"images": image, "namespace": "x", "configMapGenerator": table});
    let Some(objects) = own_overlay("ha", &["files-table"], &more) else {
        return;
    };
    let table = &find(&objects, "ConfigMap", "berth-table")["data"]["table.yaml"];
    let text = fs::read_to_string(path("examples/homelab.yaml")).expect("a table");
    assert_eq!(table, &json!(text));
    let pod = &find(&objects, "Deployment", "berth")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "registry.example/berth:1");
}

/// Each command deletes what a later one would look for.
#[test]
fn the_commands_to_uninstall_do_not_end_with_not_found() {
    let text = fs::read_to_string(path("deploy/README.md")).expect("a file");
    let (_, text) = text.split_once("*Uninstalling.*").expect("a paragraph");
    let deletes: Vec<_> = text
        .split('`')
        .filter(|it| it.starts_with("kubectl "))
        .collect();
    assert_eq!(deletes.len(), 3);
    for delete in deletes {
        assert!(delete.contains("delete --ignore-not-found"), "{delete}");
    }
}

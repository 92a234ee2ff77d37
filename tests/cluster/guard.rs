//! The guard that `berth guard` prints, on a real API server: every way around it that is known, as a create and as an
//! update, by a user who may create Pods and by one who may bypass it.

use berth_cluster::ControlPlane;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::{
    common::{
        path,
        process::{arg, command},
    },
    eventually,
    replica::{control_plane, kubectl},
};

/// Who may create Pods, and not bypass the guard.
const AUTHOR: &str = "author";
const ALL_TAINTS: &str = "tolerates every taint";
const TAINT: &str = "tolerates the taint of a reserved GPU pool (dedicated)";
const GPU: &str = "asks for a GPU of the table without a class that has it";
const NODE_NAME: &str = "spec.nodeName passes by the scheduler";
const CHANGED: &str = "cannot be added, changed or removed";

/// What `berth guard` prints of a table, as a file.
fn guard(table: &str, flags: &[&str]) -> tempfile::NamedTempFile {
    let output = command()
        .args(["guard", "--table", table])
        .args(flags)
        .output()
        .expect("berth starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(file.path(), output.stdout).expect("written");
    file
}

/// A client with the rights of a user who may create and change Pods.
async fn author(control_plane: &ControlPlane) -> Client {
    let kubeconfig = control_plane
        .kubeconfig_without_rights(AUTHOR)
        .expect("a kubeconfig");
    let binding = [
        "create",
        "clusterrolebinding",
        AUTHOR,
        "--clusterrole=edit",
        "--user=author",
    ];
    kubectl(control_plane, &binding).await;
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("it was written");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}

fn pod(spec: Value, labels: Value) -> Pod {
    let mut all = json!({
        "containers": [{"name": "main", "image": "main"}],
        "automountServiceAccountToken": false,
    });
    let spec = spec.as_object().expect("an object").clone();
    all.as_object_mut().expect("an object").extend(spec);
    let pod = json!({"metadata": {"generateName": "pod-", "labels": labels}, "spec": all});
    serde_json::from_value(pod).expect("a Pod")
}

fn with_limit(resource: &str, amount: &str) -> Value {
    json!({"name": "main", "image": "main", "resources": {"limits": {resource: amount}}})
}

/// Why a Pod would not be created; nothing where it would.
async fn denied(pods: &Api<Pod>, pod: &Pod) -> Option<String> {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    pods.create(&dry, pod)
        .await
        .err()
        .map(|error| error.to_string())
}

/// Waits until the guard is in force: the API server compiles it some time after it was stored.
async fn in_force(pods: &Api<Pod>) {
    let intruder = pod(
        json!({"containers": [with_limit("amd.com/gpu", "1")]}),
        json!({}),
    );
    let denied = eventually(async || {
        let said = denied(pods, &intruder).await?;
        said.contains(GPU).then_some(())
    });
    assert!(denied.await.is_some(), "the guard does not come into force");
}

/// What no class of the homelab allows, and with which words it is denied.
fn intruders() -> Vec<(Value, Value, &'static str)> {
    let class = |name: &str| json!({"berth.dev/workload-class": name});
    let opted_out = json!({"berth.dev/workload-class": "vllm", "berth.dev/inject": "disabled"});
    let gpu = json!({"containers": [with_limit("amd.com/gpu", "1")]});
    let tolerates = |toleration: Value| json!({"tolerations": [toleration]});
    let dedicated = json!({"key": "dedicated", "value": "vllm", "effect": "NoSchedule"});
    vec![
        (gpu.clone(), json!({}), GPU),
        (gpu.clone(), class("whisper"), GPU),
        (gpu.clone(), class("nothing"), GPU),
        (gpu.clone(), opted_out.clone(), GPU),
        (
            json!({"initContainers": [{"name": "first", "image": "first", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}),
            class("vllm"),
            GPU,
        ),
        // an alias is the GPU, too
        (
            json!({"containers": [with_limit("gpu.intel.com/xe", "1")]}),
            json!({}),
            GPU,
        ),
        (
            tolerates(json!({"operator": "Exists"})),
            json!({}),
            ALL_TAINTS,
        ),
        (
            tolerates(json!({"operator": "Exists", "effect": "NoExecute"})),
            opted_out,
            ALL_TAINTS,
        ),
        (tolerates(dedicated.clone()), json!({}), TAINT),
        (tolerates(dedicated.clone()), class("whisper"), TAINT),
        (
            tolerates(json!({"key": "dedicated", "operator": "Exists"})),
            json!({}),
            TAINT,
        ),
        (
            tolerates(json!({"key": "dedicated", "value": "vllm"})),
            json!({}),
            TAINT,
        ),
        (
            tolerates(
                json!({"key": "dedicated", "operator": "Equal", "value": "vllm", "effect": "NoSchedule"}),
            ),
            class("xtts"),
            TAINT,
        ),
        (json!({"nodeName": "khelben"}), json!({}), NODE_NAME),
        (json!({"nodeName": "khelben"}), class("vllm"), NODE_NAME),
    ]
}

/// What is nobody's business.
fn guests() -> Vec<(Value, Value)> {
    let class = |name: &str| json!({"berth.dev/workload-class": name});
    let dedicated = json!({"key": "dedicated", "value": "vllm", "effect": "NoSchedule"});
    let tolerates = |toleration: Value| json!({"tolerations": [toleration]});
    vec![
        (json!({}), json!({})),
        (json!({}), class("nothing")),
        (
            json!({"containers": [with_limit("amd.com/gpu", "1")]}),
            class("vllm"),
        ),
        (
            json!({"containers": [with_limit("nvidia.com/gpu", "1")]}),
            class("xtts"),
        ),
        (
            json!({"containers": [with_limit("amd.com/gpu", "0")]}),
            json!({}),
        ),
        (
            json!({"containers": [with_limit("example.com/fpga", "1")]}),
            json!({}),
        ),
        (tolerates(dedicated), class("vllm")),
        (tolerates(json!({"operator": "Exists"})), class("vllm")),
        (
            tolerates(json!({"key": "dedicated", "value": "web", "effect": "NoSchedule"})),
            json!({}),
        ),
        (
            tolerates(json!({"key": "dedicated", "value": "vllm", "effect": "NoExecute"})),
            json!({}),
        ),
        (
            tolerates(json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists"})),
            json!({}),
        ),
    ]
}

#[tokio::test]
async fn what_passes_by_the_classes_is_denied_and_an_administrator_passes() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    let table = path("examples/homelab.yaml");
    let file = guard(arg(&table), &["--action", "deny"]);
    let author = author(&control_plane).await;
    let pods: Api<Pod> = Api::namespaced(author.clone(), "default");
    // before there is a guard
    let plain = pod(json!({}), json!({"app": "x"}));
    let created = eventually(async || pods.create(&PostParams::default(), &plain).await.ok()).await;
    let name = created.and_then(|pod| pod.metadata.name).expect("a Pod");
    kubectl(&control_plane, &["apply", "-f", arg(file.path())]).await;
    in_force(&pods).await;

    let admin = control_plane.client().await.expect("a client");
    let as_admin: Api<Pod> = Api::namespaced(admin.clone(), "default");
    for (spec, labels, words) in intruders() {
        let intruder = pod(spec.clone(), labels.clone());
        let said = denied(&pods, &intruder).await.unwrap_or_default();
        assert!(said.contains(words), "{spec} {labels}: {said}");
        assert_eq!(denied(&as_admin, &intruder).await, None, "{spec} {labels}");
    }
    for (spec, labels) in guests() {
        let guest = pod(spec.clone(), labels.clone());
        assert_eq!(denied(&pods, &guest).await, None, "{spec} {labels}");
    }
    // a namespace that names a class: its Pods without one are of it, and berth places them
    let labels = ["berth.dev/workload-class=vllm"];
    kubectl(
        &control_plane,
        &[&["label", "namespace", "kube-public"], &labels[..]].concat(),
    )
    .await;
    let named: Api<Pod> = Api::namespaced(author.clone(), "kube-public");
    let placed = json!({"containers": [with_limit("amd.com/gpu", "1")], "tolerations": [{"key": "dedicated", "operator": "Exists"}]});
    for (labels, words) in [
        (json!({}), None),
        (json!({"berth.dev/workload-class": "xtts"}), Some(TAINT)),
    ] {
        let placed = pod(placed.clone(), labels.clone());
        let said = eventually(async || match (denied(&named, &placed).await, words) {
            (None, None) => Some(()),
            (Some(said), Some(words)) => said.contains(words).then_some(()),
            _ => None,
        });
        assert!(
            said.await.is_some(),
            "{labels}: {:?}",
            denied(&named, &placed).await
        );
    }
    // where node agents live
    let exempt: Api<Pod> = Api::namespaced(author, "kube-system");
    let agent = pod(json!({"tolerations": [{"operator": "Exists"}]}), json!({}));
    let created = eventually(async || denied(&exempt, &agent).await.is_none().then_some(()));
    assert!(created.await.is_some());

    updates(&pods, &name).await;
    let policy = checked_policy(&control_plane).await;
    let warnings = &policy["status"]["typeChecking"]["expressionWarnings"];
    assert_eq!(*warnings, Value::Null, "{warnings}");
}

/// The guard, as soon as its types have been checked, which a controller does after it was stored.
async fn checked_policy(control_plane: &ControlPlane) -> Value {
    let get = [
        "get",
        "validatingadmissionpolicy",
        "berth-guard",
        "-o",
        "json",
    ];
    let checked = eventually(async || {
        let policy: Value = serde_json::from_str(&kubectl(control_plane, &get).await).ok()?;
        let generation = &policy["metadata"]["generation"];
        (policy["status"]["observedGeneration"] == *generation).then_some(policy)
    });
    checked.await.expect("its types are checked")
}

/// A Pod that is there: what may not be added to it, and what may.
async fn updates(pods: &Api<Pod>, name: &str) {
    // a patch replaces the list, of which nothing may be missing
    let there = pods
        .get(name)
        .await
        .expect("a Pod")
        .spec
        .and_then(|spec| spec.tolerations);
    let tolerates = |toleration: Value| {
        let mut all = json!(there);
        all.as_array_mut()
            .expect("the API server adds two")
            .push(toleration);
        json!({"spec": {"tolerations": all}})
    };
    let metadata = |field: &str, key: &str, value: &str| json!({"metadata": {field: {key: value}}});
    for (patch, words) in [
        (
            metadata("labels", "berth.dev/workload-class", "vllm"),
            Some(CHANGED),
        ),
        (
            metadata("labels", "berth.dev/inject", "disabled"),
            Some(CHANGED),
        ),
        (
            metadata("annotations", "berth.dev/pool", "strix-halo"),
            Some(CHANGED),
        ),
        (
            tolerates(json!({"key": "dedicated", "operator": "Exists"})),
            Some(TAINT),
        ),
        (tolerates(json!({"operator": "Exists"})), Some(ALL_TAINTS)),
        (metadata("labels", "app", "y"), None),
        (
            tolerates(json!({"key": "other", "operator": "Exists"})),
            None,
        ),
    ] {
        let parameters = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let patched = pods
            .patch(name, &parameters, &Patch::Strategic(patch.clone()))
            .await;
        let said = patched.err().map(|error| error.to_string());
        match words {
            Some(words) => assert!(
                said.as_ref().is_some_and(|it| it.contains(words)),
                "{patch}: {said:?}"
            ),
            None => assert_eq!(said, None, "{patch}"),
        }
    }
    pods.delete(name, &DeleteParams::default().grace_period(0))
        .await
        .expect("deleted");
}

#[tokio::test]
async fn a_guard_of_a_thousand_classes_is_taken_and_one_that_warns_denies_nothing() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    let pool = "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {name: pool}\n\
                spec: {hostnames: [node], resourceName: amd.com/gpu, taints: [{key: dedicated, value: vllm, effect: NoSchedule}]}\n";
    let class = |i: usize| {
        format!(
            "---\napiVersion: berth.dev/v1alpha1\nkind: WorkloadClass\nmetadata: {{name: c{i:062}}}\nspec: {{pools: [{{name: pool}}]}}\n"
        )
    };
    let classes: Vec<String> = (0..1_000).map(class).collect();
    let table = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(table.path(), pool.to_owned() + &classes.concat()).expect("written");
    let file = guard(arg(table.path()), &["--action", "deny", "--name", "large"]);
    kubectl(&control_plane, &["apply", "-f", arg(file.path())]).await;
    let author = author(&control_plane).await;
    let pods: Api<Pod> = Api::namespaced(author, "default");
    in_force(&pods).await;
    let gpu = json!({"containers": [with_limit("amd.com/gpu", "1")]});
    let label = json!({"berth.dev/workload-class": format!("c{:062}", 999)});
    assert_eq!(denied(&pods, &pod(gpu.clone(), label)).await, None);

    kubectl(&control_plane, &["delete", "-f", arg(file.path())]).await;
    let warns = guard(arg(table.path()), &["--name", "large"]);
    kubectl(&control_plane, &["apply", "-f", arg(warns.path())]).await;
    let intruder = pod(gpu, json!({}));
    let created = eventually(async || denied(&pods, &intruder).await.is_none().then_some(()));
    assert!(created.await.is_some());
    let manifest = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    std::fs::write(
        manifest.path(),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": intruder.spec}).to_string(),
    )
    .expect("written");
    let create = [
        "create",
        "--dry-run=server",
        "--as=author",
        "-f",
        arg(manifest.path()),
    ];
    let warned = eventually(async || {
        let said = kubectl(&control_plane, &create).await;
        (said.contains("Warning") && said.contains(GPU)).then_some(())
    });
    assert!(warned.await.is_some(), "nobody is warned");
}

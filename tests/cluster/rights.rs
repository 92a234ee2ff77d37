//! The rights to read that are installed with the table in the cluster: each is for one feature, and that is all it is for.

use std::{path::PathBuf, sync::Arc};

use berth_cluster::{ControlPlane, homelab};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    common::path,
    eventually,
    replica::{Replica, apply, control_plane, define, gets, kubectl},
};

/// Where a Pod goes that may use a full pool and a free one.
const CHOICE: &str = "choice";
/// Where a Pod goes that may use a pool whose GPUs a DeviceClass gives, and a free one.
const CLAIM: &str = "claim";

/// What is lost without a right.
#[derive(Clone, Copy)]
enum Lost {
    /// The replica does not become ready, and names this kind.
    Table(&'static str),
    /// Full and free pools are alike, and the metrics name this kind.
    FreeGpus(&'static str),
    /// A pool of a DeviceClass's GPUs has none.
    Claims,
    /// Nothing.
    Nothing,
}

/// What each resource of the rules is for.
const FEATURES: [(&str, Lost); 6] = [
    ("gpupools", Lost::Table("GPUPool")),
    ("workloadclasses", Lost::Table("WorkloadClass")),
    ("namespaces", Lost::Table("Namespace")),
    ("nodes", Lost::FreeGpus("Node")),
    ("pods", Lost::FreeGpus("Pod")),
    ("deviceclasses", Lost::Claims),
];

/// What is written: `status.rs` takes these rights away, and those to the Lease, and `events.rs` that to create Events.
const WRITTEN: [&str; 2] = ["gpupools/status", "workloadclasses/status"];

/// The rules as they are installed.
fn rules() -> Vec<Value> {
    let file = path("deploy/kustomize/base/rights.yaml");
    let text = std::fs::read_to_string(file).expect("a file");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let role = objects.into_iter().find(|it| it["kind"] == "ClusterRole");
    let role = role.expect("a ClusterRole");
    role["rules"].as_array().expect("rules").clone()
}

/// The rules without a resource, bound to a user: a kubeconfig of that user.
async fn user_without(control_plane: &ControlPlane, resource: &str) -> PathBuf {
    let mut rules = rules();
    for rule in &mut rules {
        let resources = rule["resources"].as_array_mut().expect("resources");
        resources.retain(|it| it != resource);
    }
    rules.retain(|rule| rule["resources"] != json!([]));
    let name = format!("without-{resource}");
    let rbac = |kind: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
    let (mut role, mut binding) = (rbac("ClusterRole"), rbac("ClusterRoleBinding"));
    role["rules"] = json!(rules);
    let group = "rbac.authorization.k8s.io";
    binding["roleRef"] = json!({"apiGroup": group, "kind": "ClusterRole", "name": name});
    binding["subjects"] = json!([{"apiGroup": group, "kind": "User", "name": name}]);
    for object in [role, binding] {
        apply(control_plane, &object).await;
    }
    let kubeconfig = control_plane.kubeconfig_without_rights(&name);
    kubeconfig.expect("a file")
}

/// A full pool, a free one, and one whose GPUs come from a DeviceClass: where the cluster knows such GPUs.
async fn table(control_plane: &ControlPlane) -> bool {
    let manifest = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let pool = |name: &str, node: &str, resource: &str| {
        let spec = json!({"hostnames": [node], "resourceName": resource});
        manifest("GPUPool", name, spec)
    };
    let class = |name: &str, first: &str| {
        let spec = json!({"pools": [{"name": first}, {"name": "free"}]});
        manifest("WorkloadClass", name, spec)
    };
    let holder = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "holder", "namespace": "default"},
        "spec": {"nodeName": "drizzt.home.arpa", "containers": [{
            "name": "holder", "image": "holder", "resources": {"limits": {"amd.com/gpu": "1"}},
        }]},
    });
    kubectl(
        control_plane,
        &[
            "wait",
            "--for=create",
            "serviceaccount/default",
            "--timeout=60s",
        ],
    )
    .await;
    for object in [
        pool("full", "drizzt", "amd.com/gpu"),
        pool("free", "elminster", "nvidia.com/gpu"),
        pool("claimed", "danilo", "example.com/gpu"),
        class(CHOICE, "full"),
        class(CLAIM, "claimed"),
        holder,
    ] {
        apply(control_plane, &object).await;
    }
    let api = ["api-resources", "--api-group=resource.k8s.io", "-o", "name"];
    let served = kubectl(control_plane, &api).await;
    // older clusters know no DeviceClass, or none that has an extended resource
    let knows = served.contains("deviceclasses") && std::env::var(crate::KUBERNETES).is_err();
    if knows {
        let device_class = json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "claimed"},
            "spec": {"extendedResourceName": "example.com/gpu"},
        });
        apply(control_plane, &device_class).await;
    }
    knows
}

#[tokio::test]
async fn each_right_is_for_one_feature_and_berth_says_what_is_lost_without_it() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    let control_plane = Arc::new(control_plane);
    define(&control_plane).await;
    let client = control_plane.client().await.expect("a client");
    let registered = homelab::register(&client).await;
    registered.unwrap_or_else(|error| panic!("{error}"));
    let claims = table(&control_plane).await;

    let installed = |verbs: Value| {
        let rules = rules().into_iter().filter(move |it| it["verbs"] == verbs);
        let resources = rules.filter_map(|it| it["resources"].as_array().cloned());
        resources.flatten().collect::<Vec<Value>>()
    };
    let known: Vec<Value> = FEATURES.iter().map(|(it, _)| json!(it)).collect();
    let read = installed(json!(["list", "watch"]));
    assert_eq!(read, known, "each right has its feature here");
    assert_eq!(installed(json!(["patch"])), WRITTEN);
    assert_eq!(installed(json!(["create"])), ["events"]);
    assert_eq!(rules().len(), 6, "there are no rules with other verbs");

    let all = FEATURES.iter().chain([&("nothing", Lost::Nothing)]);
    let replicas = all.map(async |(resource, lost)| {
        let kubeconfig = user_without(&control_plane, resource).await;
        let replica = Replica::start(&control_plane, kubeconfig);
        replica.lacks(*lost, claims).await;
    });
    join_all(replicas).await;
}

impl Replica {
    /// Waits until the feature is lost, and no other.
    async fn lacks(&self, lost: Lost, claims: bool) {
        if let Lost::Table(kind) = lost {
            self.says(&format!("{kind} may not be listed and watched"))
                .await;
            assert!(self.get("/livez").await.contains("200 OK"));
            assert!(!self.ready().await, "{kind}");
            return;
        }
        self.becomes_ready().await;
        if let Lost::FreeGpus(kind) = lost {
            self.misses(kind).await;
            self.answers(CHOICE, "default", gets("full")).await;
            return;
        }
        self.answers(CHOICE, "default", gets("free")).await;
        let counted = matches!(lost, Lost::Nothing) && claims;
        let of_claims = if counted { "claimed" } else { "free" };
        self.answers(CLAIM, "default", gets(of_claims)).await;
        if matches!(lost, Lost::Claims) && claims {
            self.misses("DeviceClass").await;
        }
    }

    /// Waits until the metrics say that a kind may not be read.
    async fn misses(&self, kind: &str) {
        let line = format!(r#"berth_watch_errors_total{{kind="{kind}",code="403"}}"#);
        let said = eventually(async || self.get("/metrics").await.contains(&line).then_some(()));
        assert!(said.await.is_some(), "{line}");
    }
}

//! A replica: its flags, ports, files, times and rights, in every rendering.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{body::Body, extract::ConnectInfo, http::Request};
use berth_server::admin::{Admin, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    objects::{check, find},
    render::chart,
    rendering::{flag, renderings},
};

#[test]
fn every_object_is_of_its_type_and_has_no_other_field() {
    for rendering in renderings() {
        check(&rendering.objects);
    }
}

#[test]
fn the_flags_are_those_of_the_command_line_and_the_ports_theirs() {
    for rendering in renderings() {
        let name = rendering.name;
        let flags = rendering.flags();
        let bound = |flag_name| i32::from(flag::<SocketAddr>(&flags, flag_name).port());
        let container = rendering.container();
        let ports = container.ports.expect("ports");
        let port = |name: &str| {
            let port = ports.iter().find(|it| it.name.as_deref() == Some(name));
            port.expect("a port").container_port
        };
        assert_eq!(port("webhook"), bound("bind"), "{name}");
        assert_eq!(port("admin"), bound("admin_bind"), "{name}");
    }
}

#[test]
fn the_files_are_on_volumes_that_are_whole_folders() {
    for rendering in renderings() {
        let name = rendering.name;
        let flags = rendering.flags();
        let mounts = rendering.container().volume_mounts.expect("mounts");
        assert!(
            mounts
                .iter()
                .all(|mount| mount.sub_path.is_none() && mount.sub_path_expr.is_none())
        );
        let table = (!rendering.reads_cluster()).then_some("table");
        let files = ["tls_cert", "tls_key"].into_iter().chain(table);
        let files = files.map(|it| flag::<PathBuf>(&flags, it));
        for file in files {
            let mounted = mounts.iter().any(|it| file.starts_with(&it.mount_path));
            assert!(mounted, "{name}: {}", file.display());
        }
    }
}

#[test]
fn the_grace_period_is_longer_than_the_drain() {
    for rendering in renderings() {
        let name = rendering.name;
        let flags = rendering.flags();
        let drain: Duration = flag(&flags, "drain_period");
        let last: Duration = flag(&flags, "shutdown_timeout");
        let grace = rendering.pod().termination_grace_period_seconds;
        let grace = Duration::from_secs(grace.expect("a period").try_into().expect("seconds"));
        assert!(grace >= drain + last + Duration::from_secs(10), "{name}");
    }
}

#[tokio::test]
async fn the_probes_and_the_scrape_ask_for_what_the_admin_port_has() {
    for rendering in renderings() {
        let name = rendering.name;
        let container = rendering.container();
        let probes = [container.liveness_probe, container.readiness_probe];
        let mut paths: Vec<String> = probes
            .into_iter()
            .map(|probe| probe.and_then(|it| it.http_get).expect("a probe by HTTP"))
            .map(|get| get.path.expect("a path"))
            .collect();
        assert_eq!(paths, ["/livez", "/readyz"]);
        let monitors = rendering
            .objects
            .iter()
            .filter(|it| it["kind"] == "ServiceMonitor");
        paths.extend(monitors.map(|it| {
            let endpoint = &it["spec"]["endpoints"][0];
            assert_eq!(endpoint["port"], "admin");
            endpoint["path"].as_str().expect("a path").to_owned()
        }));
        for path in paths {
            assert_ne!(admin_status(&path).await, 404, "{name}: {path}");
        }
    }
}

async fn admin_status(path: &str) -> u16 {
    let admin = Admin {
        state: Arc::default(),
        metrics: Arc::default(),
        board: None,
    };
    let mut request = Request::get(path).body(Body::empty()).expect("a request");
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1)));
    request.extensions_mut().insert(peer);
    let response = router(admin).oneshot(request).await.expect("an answer");
    response.status().as_u16()
}

#[test]
fn a_replica_with_a_table_of_files_has_no_right_no_token_and_no_way_out() {
    for rendering in renderings().iter().filter(|it| !it.reads_cluster()) {
        let name = rendering.name;
        let rights = [
            "Role",
            "RoleBinding",
            "ClusterRole",
            "ClusterRoleBinding",
            "Lease",
        ];
        for object in &rendering.objects {
            let kind = object["kind"].as_str().expect("a kind");
            assert!(!rights.contains(&kind), "{name}: a {kind}");
        }
        let token = rendering.pod().automount_service_account_token;
        assert_eq!(token, Some(false), "{name}");
        let policy = &rendering.find("NetworkPolicy", "berth")["spec"];
        assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
        assert!(policy["egress"].is_null(), "{name}");
    }
}

#[test]
fn a_replica_with_the_table_in_the_cluster_has_the_rights_it_uses_and_no_more() {
    let mut found = 0;
    for rendering in renderings().iter().filter(|it| it.reads_cluster()) {
        found += 1;
        let name = rendering.name;
        let role = rendering.find("ClusterRole", "berth");
        let verbs = json!(["list", "watch"]);
        let expected = json!([
            {"apiGroups": ["berth.dev"], "resources": ["gpupools", "workloadclasses"], "verbs": verbs},
            {"apiGroups": ["berth.dev"], "resources": ["gpupools/status", "workloadclasses/status"], "verbs": ["patch"]},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": verbs},
            {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": verbs},
            {"apiGroups": ["resource.k8s.io"], "resources": ["deviceclasses"], "verbs": verbs},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
        ]);
        assert_eq!(role["rules"], expected, "{name}");
        let binding = rendering.find("ClusterRoleBinding", "berth");
        let subject = json!([{"kind": "ServiceAccount", "name": "berth", "namespace": "berth"}]);
        assert_eq!(binding["subjects"], subject, "{name}");
        let role = rendering.find("Role", "berth");
        // as create cannot be bound to a name, the Lease is there already
        let expected = json!([{
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["berth"],
            "verbs": ["get", "list", "watch", "update"],
        }]);
        assert_eq!(role["rules"], expected, "{name}");
        let binding = rendering.find("RoleBinding", "berth");
        assert_eq!(binding["subjects"], subject, "{name}");
        let lease = rendering.find("Lease", "berth");
        for object in [role, binding, lease] {
            assert_eq!(object["metadata"]["namespace"], "berth", "{name}");
        }
        let token = rendering.pod().automount_service_account_token;
        assert_eq!(token, Some(true), "{name}");
        let egress = &rendering.find("NetworkPolicy", "berth")["spec"]["egress"];
        let ports = json!([{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]);
        let own = &rendering.find("NetworkPolicy", "berth")["spec"]["podSelector"];
        let replicas =
            json!({"to": [{"podSelector": own}], "ports": [{"port": 8443, "protocol": "TCP"}]});
        assert_eq!(egress, &json!([{"ports": ports}, replicas]), "{name}");
        let maps = rendering
            .objects
            .iter()
            .filter(|it| it["kind"] == "ConfigMap");
        assert_eq!(maps.count(), 0, "{name}");
    }
    assert!(found > 0 || renderings().is_empty());
}

#[test]
fn without_the_live_picture_no_right_reads_pods() {
    let Some(objects) = chart(&["--set", "table.source=cluster,live=false"]) else {
        return;
    };
    let role = find(&objects, "ClusterRole", "berth").to_string();
    for lost in ["pods", "nodes", "deviceclasses"] {
        assert!(!role.contains(lost), "{role}");
    }
    let deployment = find(&objects, "Deployment", "berth").to_string();
    assert!(deployment.contains("--live=off"), "{deployment}");
}

/// Two releases in a namespace each have their own Lease, and the right to that alone.
#[test]
fn the_lease_has_the_name_of_the_release() {
    let Some(objects) = chart(&["--set", "table.source=cluster,fullnameOverride=other"]) else {
        return;
    };
    find(&objects, "Lease", "other");
    let role = find(&objects, "Role", "other");
    assert_eq!(role["rules"][0]["resourceNames"], json!(["other"]));
    let deployment = find(&objects, "Deployment", "other").to_string();
    assert!(deployment.contains("--lease=other"), "{deployment}");
}

#[test]
fn without_statuses_and_events_no_right_writes() {
    let Some(objects) = chart(&["--set", "table.source=cluster,status=false,events=false"]) else {
        return;
    };
    let role = find(&objects, "ClusterRole", "berth").to_string();
    for verb in ["patch", "create"] {
        assert!(!role.contains(verb), "{role}");
    }
    let others = ["Role", "RoleBinding", "Lease"];
    let mut kinds = objects.iter().filter_map(|it| it["kind"].as_str());
    assert!(kinds.all(|kind| !others.contains(&kind)));
    let deployment = find(&objects, "Deployment", "berth").to_string();
    for flag in ["--status=off", "--events=off"] {
        assert!(deployment.contains(flag), "{deployment}");
    }
}

#[test]
fn the_definitions_come_with_the_table_in_the_cluster_and_stay() {
    let definitions = |values: &str| {
        let objects = chart(&["--set", values])?;
        let all = objects.into_iter();
        Some(
            all.filter(|it| it["kind"] == "CustomResourceDefinition")
                .collect::<Vec<_>>(),
        )
    };
    let Some(kept) = definitions("table.source=cluster") else {
        return;
    };
    assert_eq!(kept.len(), 2);
    for definition in kept {
        let policy = &definition["metadata"]["annotations"]["helm.sh/resource-policy"];
        assert_eq!(policy, "keep");
    }
    let left = definitions("table.source=cluster,crds.keep=false").expect("helm");
    assert!(
        left.iter()
            .all(|it| it["metadata"]["annotations"].is_null())
    );
    for none in [
        "table.source=cluster,crds.enabled=false",
        "table.source=files",
    ] {
        assert_eq!(definitions(none).expect("helm").len(), 0, "{none}");
    }
}

#[test]
fn a_replica_has_no_privilege() {
    for rendering in renderings() {
        let name = rendering.name;
        let account = rendering.find("ServiceAccount", "berth");
        assert_eq!(account["automountServiceAccountToken"], false, "{name}");
        let spec = rendering.pod();
        let pod = json!(spec.security_context);
        assert_eq!(pod["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        let expected = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
        assert_eq!(
            json!(rendering.container().security_context),
            expected,
            "{name}"
        );
    }
}

#[test]
fn no_replica_is_missed_by_a_rollout() {
    for rendering in renderings() {
        let name = rendering.name;
        let strategy = json!(rendering.deployment().spec.strategy);
        let pod = rendering.pod();
        // on the host's network, another replica needs another node's ports
        let (surge, unavailable, dns) = match pod.host_network {
            Some(true) => (0, 1, Some("ClusterFirstWithHostNet")),
            _ => (1, 0, None),
        };
        assert_eq!(pod.dns_policy.as_deref(), dns, "{name}");
        let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        assert_eq!(strategy["rollingUpdate"], rolling, "{name}");
        let budget = rendering.find("PodDisruptionBudget", "berth");
        assert_eq!(budget["spec"]["maxUnavailable"], 1, "{name}");
    }
}

#[test]
fn the_image_is_of_this_version() {
    let expected = format!("berth:{}", env!("CARGO_PKG_VERSION"));
    for rendering in renderings() {
        let name = rendering.name;
        assert_eq!(
            rendering.container().image,
            Some(expected.clone()),
            "{name}"
        );
    }
}

/// A constraint over zones made the scheduler ignore every node without a zone, and with them the one over nodes.
#[test]
fn replicas_avoid_each_others_nodes_also_where_no_node_has_a_zone() {
    for rendering in renderings() {
        let pod = json!(rendering.pod());
        let selector =
            json!({"app.kubernetes.io/name": "berth", "app.kubernetes.io/instance": "berth"});
        let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": selector}});
        let preferred = json!([{"weight": 100, "podAffinityTerm": term}]);
        let anti = &pod["affinity"]["podAntiAffinity"];
        let anti = &anti["preferredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(anti, &preferred, "{}", rendering.name);
        let spread = pod["topologySpreadConstraints"].as_array().expect("a list");
        let keys: Vec<_> = spread.iter().map(|it| &it["topologyKey"]).collect();
        assert_eq!(keys, ["kubernetes.io/hostname"], "{}", rendering.name);
    }
}

#[test]
fn zones_and_an_affinity_of_ones_own_are_values() {
    let deployment = |values: &str| {
        let objects = chart(&["--set-json", values])?;
        Some(find(&objects, "Deployment", "berth")["spec"]["template"]["spec"].clone())
    };
    let preferred = "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";
    let Some(pod) = deployment("spreadZones=true") else {
        return;
    };
    let terms = pod.pointer(preferred).and_then(Value::as_array);
    let keys = terms.expect("terms").iter();
    let keys = keys.map(|it| &it["podAffinityTerm"]["topologyKey"]);
    let expected = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"];
    assert_eq!(keys.collect::<Vec<_>>(), expected);
    let own = deployment(r#"affinity={"nodeAffinity": {"a": 1}}"#).expect("helm");
    assert_eq!(own["affinity"]["nodeAffinity"], json!({"a": 1}));
    assert!(own.pointer(preferred).is_some(), "the rest is kept");
    let own = deployment(r#"affinity={"podAntiAffinity": {"a": 1}}"#).expect("helm");
    assert_eq!(own["affinity"]["podAntiAffinity"], json!({"a": 1}));
}

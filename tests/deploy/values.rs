//! The chart's values: each does what it says, is in the schema, and is on the page.

use std::{collections::BTreeSet, env, fmt::Write as _, fs};

use berth::cli::Cli;
use clap::CommandFactory;
use serde_json::{Value, json};

use crate::{
    common::path,
    objects::{Object, check, find},
    render::{chart, refused},
};

fn rendered(values: &Value) -> Option<Vec<Object>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("values.json");
    fs::write(&file, values.to_string()).expect("written");
    chart(&["--values", crate::common::process::arg(&file)])
}

fn pod(objects: &[Object]) -> &Value {
    &find(objects, "Deployment", "berth")["spec"]["template"]["spec"]
}

#[test]
fn the_names_are_values() {
    for (values, name, label) in [
        (json!({"fullnameOverride": "gpu"}), "gpu", "berth"),
        (json!({"nameOverride": "gpu"}), "berth-gpu", "gpu"),
    ] {
        let Some(objects) = rendered(&values) else {
            return;
        };
        let deployment = find(&objects, "Deployment", name);
        let labels = &deployment["spec"]["selector"]["matchLabels"];
        assert_eq!(labels["app.kubernetes.io/name"], label);
        let service = find(&objects, "Service", name);
        assert_eq!(&service["spec"]["selector"], labels);
        let hook = &find(&objects, "MutatingWebhookConfiguration", name)["webhooks"][0];
        assert_eq!(hook["clientConfig"]["service"]["name"], name);
        let certificate = find(&objects, "Certificate", &format!("{name}-tls"));
        let names = json!([format!("{name}.berth.svc")]);
        assert_eq!(certificate["spec"]["dnsNames"], names);
    }
}

#[test]
fn every_object_has_the_common_labels_and_berths_own_win() {
    let labels = json!({"team": "gpu", "app.kubernetes.io/name": "other"});
    let values = json!({
        "commonLabels": labels,
        "prometheus": {"enabled": true},
        "grafana": {"dashboards": {"enabled": true}},
        "table": {"manifests": fs::read_to_string(path("examples/homelab.yaml")).expect("a table")},
    });
    let Some(objects) = rendered(&values) else {
        return;
    };
    check(
        &objects
            .iter()
            .filter(|it| it["kind"] != "Pod")
            .cloned()
            .collect::<Vec<_>>(),
    );
    for object in &objects {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["team"], "gpu", "{object}");
        assert_ne!(labels["app.kubernetes.io/name"], "other", "{object}");
    }
    let deployment = find(&objects, "Deployment", "berth");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["team"], "gpu");
    assert_eq!(labels["app.kubernetes.io/name"], "berth");
    let selector = deployment["spec"]["selector"]["matchLabels"].as_object();
    assert_eq!(selector.expect("labels").len(), 2, "it cannot change later");
}

#[test]
fn the_account_is_a_value() {
    let own = json!({"serviceAccount": {"name": "mine", "annotations": {"a": "b"}}});
    let Some(objects) = rendered(&own) else {
        return;
    };
    let account = find(&objects, "ServiceAccount", "mine");
    assert_eq!(account["metadata"]["annotations"], json!({"a": "b"}));
    assert_eq!(pod(&objects)["serviceAccountName"], "mine");
    for (name, used) in [("", "default"), ("theirs", "theirs")] {
        let none =
            json!({"serviceAccount": {"create": false, "name": name}, "table": {"manifests": "x"}});
        let objects = rendered(&none).expect("helm");
        assert!(objects.iter().all(|it| it["kind"] != "ServiceAccount"));
        assert_eq!(pod(&objects)["serviceAccountName"], used);
        let job = find(&objects, "Job", "berth-lint");
        let job = &job["spec"]["template"]["spec"];
        assert_eq!(job["serviceAccountName"], used);
    }
}

/// As on `OpenShift`, whose restricted constraint denies another one.
#[test]
fn the_user_may_be_the_clusters_choice() {
    let without_user = json!({
        "table": {"manifests": fs::read_to_string(path("examples/homelab.yaml")).expect("a table")},
        "podSecurityContext": {"runAsUser": null, "runAsGroup": null},
    });
    let Some(objects) = rendered(&without_user) else {
        return;
    };
    let job = &find(&objects, "Job", "berth-lint")["spec"]["template"]["spec"];
    let test = &find(&objects, "Pod", "berth-test")["spec"];
    for pod in [pod(&objects), job, test] {
        let expected = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        assert_eq!(pod["securityContext"], expected);
    }
    let none = json!({"podSecurityContext": null, "securityContext": null});
    let objects = rendered(&none).expect("helm");
    assert!(pod(&objects)["securityContext"].is_null());
    assert!(pod(&objects)["containers"][0]["securityContext"].is_null());
    let own = json!({"securityContext": {"readOnlyRootFilesystem": false}});
    let objects = rendered(&own).expect("helm");
    let context = &pod(&objects)["containers"][0]["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], false);
    assert_eq!(context["allowPrivilegeEscalation"], false, "the rest stays");
}

#[test]
fn a_pod_takes_more_files_variables_flags_and_constraints() {
    let constraint =
        json!({"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"});
    let values = json!({
        "extraArgs": ["--client-ca=/ca/ca.crt"],
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "volumes": [{"name": "ca", "secret": {"secretName": "ca"}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": true}],
        "topologySpreadConstraints": [constraint],
        "podAnnotations": {"of": "the Pods"},
        "deploymentAnnotations": {"of": "the Deployment"},
        "serviceAnnotations": {"of": "the Service"},
        "webhook": {"annotations": {"of": "the webhook"}},
    });
    let Some(objects) = rendered(&values) else {
        return;
    };
    check(
        &objects
            .iter()
            .filter(|it| it["kind"] != "Pod")
            .cloned()
            .collect::<Vec<_>>(),
    );
    let pod = pod(&objects);
    let container = &pod["containers"][0];
    let last = |list: &Value| list.as_array().and_then(|it| it.last().cloned());
    assert_eq!(
        last(&container["args"]),
        Some(values["extraArgs"][0].clone())
    );
    assert_eq!(last(&container["env"]), Some(values["extraEnv"][0].clone()));
    assert_eq!(last(&pod["volumes"]), Some(values["volumes"][0].clone()));
    let mounts = &container["volumeMounts"];
    assert_eq!(last(mounts), Some(values["volumeMounts"][0].clone()));
    let spread = &pod["topologySpreadConstraints"];
    assert_eq!(last(spread), Some(constraint));
    assert_eq!(spread[0]["topologyKey"], "kubernetes.io/hostname");
    for (kind, of) in [
        ("Deployment", "the Deployment"),
        ("Service", "the Service"),
        ("MutatingWebhookConfiguration", "the webhook"),
    ] {
        let annotations = &find(&objects, kind, "berth")["metadata"]["annotations"];
        assert_eq!(annotations["of"], of, "{kind}");
    }
    let configuration = find(&objects, "MutatingWebhookConfiguration", "berth");
    let annotations = &configuration["metadata"]["annotations"];
    assert_eq!(
        annotations["cert-manager.io/inject-ca-from"],
        "berth/berth-tls"
    );
}

#[test]
fn more_conditions_narrow_what_berth_is_asked_about() {
    let more = json!({"matchLabels": {"gpu": "yes"}, "matchExpressions": [{"key": "team", "operator": "Exists"}]});
    let values = json!({"webhook": {"objectSelector": more, "namespaceSelector": more}});
    let (Some(objects), Some(plain)) = (rendered(&values), rendered(&json!({}))) else {
        return;
    };
    for name in ["objectSelector", "namespaceSelector"] {
        let of = |objects: &[Object]| {
            let hook = find(objects, "MutatingWebhookConfiguration", "berth");
            hook["webhooks"][0][name].clone()
        };
        let (selector, plain) = (of(&objects), of(&plain));
        assert_eq!(selector["matchLabels"], more["matchLabels"]);
        let mut expected = plain["matchExpressions"]
            .as_array()
            .expect("a list")
            .clone();
        expected.push(more["matchExpressions"][0].clone());
        assert_eq!(selector["matchExpressions"], json!(expected), "{name}");
    }
}

#[test]
fn the_issuer_and_the_times_of_the_certificate_are_values() {
    let issuer = json!({"kind": "ClusterIssuer", "name": "company"});
    let tls = json!({"issuerRef": issuer, "duration": "720h", "renewBefore": "240h"});
    let Some(objects) = rendered(&json!({"tls": tls})) else {
        return;
    };
    let certificates: Vec<_> = objects
        .iter()
        .filter(|it| it["kind"] == "Certificate")
        .collect();
    assert_eq!(certificates.len(), 1, "and no CA of the chart");
    assert!(objects.iter().all(|it| it["kind"] != "Issuer"));
    let spec = &certificates[0]["spec"];
    let expected = json!({"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "company"});
    assert_eq!(spec["issuerRef"], expected);
    assert_eq!(
        (&spec["duration"], &spec["renewBefore"]),
        (&json!("720h"), &json!("240h"))
    );
}

#[test]
fn who_may_see_the_board_is_a_value() {
    for (board, flag) in [
        ("loopback", None),
        ("all", Some("--board=all")),
        ("off", Some("--board=off")),
    ] {
        let Some(objects) = rendered(&json!({"board": board})) else {
            return;
        };
        let deployment = find(&objects, "Deployment", "berth");
        let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let arguments = arguments.as_array().expect("a list").iter();
        let mut of_board = arguments
            .filter_map(Value::as_str)
            .filter(|it| it.starts_with("--board"));
        assert_eq!(of_board.next(), flag);
    }
}

#[test]
fn the_monitor_is_as_often_and_as_relabelled_as_the_values_say() {
    let relabel = json!([{"targetLabel": "cluster", "replacement": "a"}]);
    let values = json!({"prometheus": {"enabled": true, "interval": "10s", "relabelings": relabel, "metricRelabelings": relabel}});
    let Some(objects) = rendered(&values) else {
        return;
    };
    let endpoint = &find(&objects, "ServiceMonitor", "berth")["spec"]["endpoints"][0];
    let expected = json!({"port": "admin", "path": "/metrics", "interval": "10s", "relabelings": relabel, "metricRelabelings": relabel});
    assert_eq!(endpoint, &expected);
}

#[test]
fn spans_may_leave_for_the_port_of_the_collector_and_nowhere_else() {
    for (endpoint, namespace, port) in [
        (
            "http://otel-collector.monitoring.svc:4318",
            "monitoring",
            4318,
        ),
        ("http://10.0.0.7", "", 80),
        ("https://[fd00::7]/v1", "o11y", 443),
    ] {
        let traces = json!({"endpoint": endpoint, "namespace": namespace, "sampler": "parentbased_always_on"});
        let Some(objects) = rendered(&json!({"traces": traces})) else {
            return;
        };
        let flags = pod(&objects)["containers"][0]["args"].to_string();
        assert!(
            flags.contains(&format!("\"--otlp-endpoint={endpoint}\"")),
            "{flags}"
        );
        assert!(
            flags.contains("\"--traces-sampler=parentbased_always_on\""),
            "{flags}"
        );
        let egress = &find(&objects, "NetworkPolicy", "berth-traces")["spec"]["egress"];
        let dns =
            json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
        let rules = egress.as_array().expect("rules");
        assert_eq!((rules.len(), &rules[0]), (2, &dns), "{egress:?}");
        assert_eq!(
            egress[1]["ports"],
            json!([{"port": port, "protocol": "TCP"}])
        );
        let to = &egress[1]["to"][0]["namespaceSelector"]["matchLabels"];
        let to = to["kubernetes.io/metadata.name"].as_str();
        assert_eq!(to.unwrap_or_default(), namespace);
    }
    let objects = rendered(&json!({})).expect("helm");
    let is_for_traces = |it: &&Object| it["metadata"]["name"] == "berth-traces";
    assert_eq!(objects.iter().find(is_for_traces), None);
}

#[test]
fn other_names_of_gpus_reach_the_server_and_the_lint() {
    let values = json!({
        "table": {"manifests": "x"},
        "gpuResources": ["a.example/gpu", "b.example/gpu"],
        "companionResources": ["a.example/nic"],
        "injectedContainers": ["proxy", "agent"],
    });
    let Some(objects) = rendered(&values) else {
        return;
    };
    let expected = json!([
        {"name": "BERTH_GPU_RESOURCES", "value": "a.example/gpu,b.example/gpu"},
        {"name": "BERTH_COMPANION_RESOURCES", "value": "a.example/nic"},
        {"name": "BERTH_INJECTED_CONTAINERS", "value": "proxy,agent"},
    ]);
    let job = &find(&objects, "Job", "berth-lint")["spec"]["template"]["spec"];
    for pod in [pod(&objects), job] {
        assert_eq!(pod["containers"][0]["env"], expected);
    }
    for (command, variable) in ["serve", "lint"].iter().flat_map(|it| {
        expected
            .as_array()
            .expect("a list")
            .iter()
            .map(move |v| (it, v))
    }) {
        let name = variable["name"].as_str().expect("a name");
        let line = Cli::command();
        let line = line.find_subcommand(command).expect("a subcommand");
        let mut flags = line.get_arguments();
        let flag = flags.find(|it| it.get_env().is_some_and(|env| env == name));
        let flag = flag.unwrap_or_else(|| panic!("{command} does not read {name}"));
        assert_eq!(flag.get_value_delimiter(), Some(','), "{command}: {name}");
    }
    let plain = rendered(&json!({})).expect("helm");
    assert!(pod(&plain)["containers"][0]["env"].is_null());
    if let Some(message) = refused(&["--set", "gpuResources={gpu}"]) {
        assert!(message.contains("gpuResources"), "{message}");
    }
}

#[test]
fn more_objects_may_be_maps_or_text_with_templates() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-a"}});
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-b'}\n";
    let Some(objects) = rendered(&json!({"extraObjects": [map, text]})) else {
        return;
    };
    for name in ["berth-a", "berth-b"] {
        find(&objects, "ConfigMap", name);
    }
}

fn values_yaml() -> String {
    fs::read_to_string(path("deploy/chart/berth/values.yaml")).expect("a file")
}

#[test]
fn the_schema_knows_the_values_that_there_are_and_no_others() {
    let values: Value = serde_saphyr::from_str(&values_yaml()).expect("YAML");
    let text = fs::read_to_string(path("deploy/chart/berth/values.schema.json")).expect("a file");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    // helm's own
    let properties = schema["properties"].as_object_mut().expect("properties");
    properties.remove("global");
    same(&schema, &values, "");
}

fn same(schema: &Value, values: &Value, at: &str) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    // a map that is empty unless somebody writes into it
    if values.as_object().is_none_or(serde_json::Map::is_empty) && !at.is_empty() {
        return;
    }
    assert_eq!(schema["additionalProperties"], false, "{at}");
    let keys = |value: &Value| {
        let keys = value.as_object().expect("a map").keys();
        keys.cloned().collect::<BTreeSet<_>>()
    };
    let known: BTreeSet<_> = properties.keys().cloned().collect();
    if at != "resources" {
        assert_eq!(known, keys(values), "left is the schema's, of {at:?}");
    }
    for (name, property) in properties {
        same(property, &values[name], &format!("{at}{name}"));
    }
}

/// A line of values.yaml that is a value, and the comment above it.
struct Row {
    name: String,
    default: String,
    comment: String,
}

/// values.yaml has no list over several lines, and no key without a comment.
fn rows(text: &str) -> Vec<Row> {
    let (mut rows, mut comment, mut names) = (Vec::new(), String::new(), Vec::new());
    for line in text.lines() {
        let bare = line.trim_start();
        if bare.is_empty() {
            comment.clear();
        } else if let Some(more) = bare.strip_prefix('#') {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(more.trim());
        } else {
            let (key, default) = bare.split_once(':').expect("a value");
            names.truncate((line.len() - bare.len()) / 2);
            names.push(key);
            let name = names.join(".");
            assert!(!comment.is_empty(), "{name} has no comment");
            assert!(
                comment.ends_with('.'),
                "{name}: a sentence ends with a full stop: {comment}"
            );
            rows.push(Row {
                name,
                default: default.trim().to_owned(),
                comment: std::mem::take(&mut comment),
            });
        }
    }
    rows
}

fn page() -> String {
    let mut page = String::from(
        "# The chart's values\n\nMade from [values.yaml](values.yaml); `make docs` writes it anew. How to install: \
         [deploy](../../README.md).\n\n| value | default | what it is |\n|---|---|---|\n",
    );
    for row in rows(&values_yaml()) {
        let default = match &*row.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let (name, comment) = (row.name, row.comment.replace('|', "\\|"));
        writeln!(page, "| `{name}` | {default} | {comment} |").expect("text");
    }
    page
}

#[test]
fn the_page_of_the_values_is_made_from_them() {
    let (file, made) = (path("deploy/chart/berth/README.md"), page());
    if env::var_os("BERTH_WRITE_DOCS").is_some() {
        fs::write(&file, &made).expect("written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(committed, made, "run `make docs`");
}

#[test]
fn the_chart_says_to_artifact_hub_what_it_is() {
    let text = fs::read_to_string(path("deploy/chart/berth/Chart.yaml")).expect("a file");
    let chart: Value = serde_saphyr::from_str(&text).expect("YAML");
    let annotations = &chart["annotations"];
    assert_eq!(annotations["artifacthub.io/license"], "Apache-2.0");
    assert_eq!(
        annotations["artifacthub.io/category"],
        "ai-machine-learning"
    );
    let images = annotations["artifacthub.io/images"].as_str().expect("YAML");
    let images: Value = serde_saphyr::from_str(images).expect("YAML");
    let image = format!("berth:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(images, json!([{"name": "berth", "image": image}]));
}

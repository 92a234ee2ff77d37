//! The chart says what kustomize says, and refuses what it does not know.

use std::collections::BTreeMap;

use berth_core::{accelerators::is_accelerator, outcome::Reason};
use serde_json::{Value, json};

use crate::{
    common::{
        self, path,
        process::{arg, command, ends},
    },
    objects::{Object, find},
    render::{base_with, chart, kept, program, refused, succeeded, template},
    webhook::reason,
};

/// What Helm adds to every object's labels.
const HELM: [&str; 3] = [
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];

#[test]
fn the_chart_deploys_what_kustomize_does() {
    let table = format!("table.manifests={}", arg(&path("examples/homelab.yaml")));
    let table = ["--set", "table.allowEmpty=false", "--set-file", &table];
    // with kustomize, the definitions are installed before
    let cluster = ["--set", "table.source=cluster,crds.enabled=false"];
    let alerts = "prometheus.enabled=true,grafana.dashboards.enabled=true";
    let alerts = [&cluster[..], &["--set", alerts]].concat();
    let traces = "traces.endpoint=http://otel-collector.monitoring.svc:4318";
    let traces = [&cluster[..], &["--set", traces]].concat();
    for (components, values) in [
        (&["cert-manager"][..], &cluster[..]),
        (&["cert-manager", "prometheus", "grafana"], &alerts),
        (&["cert-manager", "traces"], &traces),
        (&["cert-manager", "files-table"], &table),
    ] {
        let (Some(chart), Some(kustomize)) = (chart(values), base_with(components)) else {
            return;
        };
        let mut kustomize = by_name(kustomize);
        // the namespace is Helm's user's
        kustomize.remove(&("Namespace".to_owned(), "berth".to_owned()));
        let chart = by_name(kept(chart));
        assert_eq!(
            chart.keys().collect::<Vec<_>>(),
            kustomize.keys().collect::<Vec<_>>()
        );
        for (key, object) in chart {
            assert_eq!(object, kustomize[&key], "left is the chart's {key:?}");
        }
    }
}

fn by_name(objects: Vec<Object>) -> BTreeMap<(String, String), Object> {
    let named = objects.into_iter().map(|mut object| {
        let labels = object["metadata"]["labels"].as_object_mut();
        labels
            .expect("labels")
            .retain(|key, _| !HELM.contains(&key.as_str()));
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let key = (text(&object["kind"]), text(&object["metadata"]["name"]));
        (key, object)
    });
    named.collect()
}

#[test]
fn helm_lint_has_nothing_to_say() {
    let Some(mut helm) = program("helm") else {
        return;
    };
    let chart = path("deploy/chart/berth");
    let lint = helm.args(["lint", "--strict", arg(&chart)]).output();
    let said = succeeded(lint.expect("helm starts"));
    assert!(said.contains("0 chart(s) failed"), "{said}");
}

#[test]
fn the_chart_is_of_this_version() {
    let text = std::fs::read_to_string(path("deploy/chart/berth/Chart.yaml")).expect("a file");
    let chart: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_value_that_is_unknown_or_out_of_range_is_refused() {
    for (values, said) in [
        ("replica=3", "replica"),
        ("webhook.failurepolicy=Ignore", "failurepolicy"),
        ("webhook.failurePolicy=ignore", "failurePolicy"),
        ("webhook.timeoutSeconds=31", "timeoutSeconds"),
        ("webhook.port=0", "port"),
        ("webhook.port=10250,hostNetwork=true", "port"),
        ("tls.mode=certmanager", "mode"),
        ("tls.mode=secret", "secretName"),
        ("tls.mode=secret,tls.secretName=mine", "caBundle"),
        ("tls.secretName=mine", "secretName"),
        ("image.digest=latest", "digest"),
        ("replicas=0", "replicas"),
        ("traces.endpoint=collector:4318", "endpoint"),
        ("traces.sampler=always", "sampler"),
        ("drainSeconds=15s", "drainSeconds"),
    ] {
        if let Some(message) = refused(&["--set", values]) {
            assert!(message.contains(said), "{values}: {message}");
        }
    }
}

#[test]
fn the_certificate_that_helm_makes_is_for_the_service() {
    let Some(objects) = chart(&["--set", "tls.mode=helm"]) else {
        return;
    };
    let data = &find(&objects, "Secret", "berth-tls")["data"];
    let webhook = find(&objects, "MutatingWebhookConfiguration", "berth");
    assert_eq!(
        webhook["webhooks"][0]["clientConfig"]["caBundle"],
        data["ca.crt"]
    );
    let names: Vec<_> = data.as_object().expect("data").keys().collect();
    assert_eq!(
        names,
        ["ca.crt", "tls.crt", "tls.key"],
        "and no key of the CA"
    );
}

#[test]
fn the_test_of_the_chart_is_a_pod_that_gets_a_place_and_no_gpu() {
    let homelab = path("examples/homelab.yaml");
    let table = format!("table.manifests={}", arg(&homelab));
    for (values, class) in [("", "vllm"), ("test.class=whisper", "whisper")] {
        let Some(objects) = chart(&["--set-file", &table, "--set", values]) else {
            return;
        };
        let pod = find(&objects, "Pod", "berth-test");
        assert_eq!(pod["metadata"]["labels"]["berth.dev/workload-class"], class);
        assert_ne!(pod["metadata"]["namespace"], "berth");
        let limits = pod["spec"]["containers"][0]["resources"]["limits"].as_object();
        let mut limits = limits.expect("limits").iter();
        let gpu = limits.find(|(resource, _)| is_accelerator(resource));
        assert_eq!(gpu.expect("a GPU resource").1, "0");
        let mut review = common::example("vllm");
        review["request"]["object"] = pod.clone();
        let admitted = admitted(&review);
        assert_eq!(
            admitted["spec"]["containers"], pod["spec"]["containers"],
            "no GPU for {class}"
        );
        assert_ne!(
            admitted["spec"]["affinity"],
            json!(null),
            "a place for {class}"
        );
        let field = &pod["spec"]["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"];
        assert_eq!(field, "metadata.annotations['berth.dev/pool']");
        let pool = admitted["metadata"]["annotations"]["berth.dev/pool"].as_str();
        assert_eq!(runs(pod, pool.expect("a pool")), 0);
        assert_eq!(runs(pod, ""), 1);
    }
}

/// The code that the Pod's container ends with, where the annotation has this value.
fn runs(pod: &Value, pool: &str) -> i32 {
    let args = pod["spec"]["containers"][0]["args"].as_array();
    let args = args.expect("args").iter();
    let args = args.map(|arg| arg.as_str().expect("text").replace("$(POOL)", pool));
    ends(command().args(args)).0
}

fn admitted(review: &Value) -> Value {
    let view = common::homelab();
    assert_eq!(reason(review, &view), Reason::Placed);
    let body = review.to_string();
    let answer = berth_core::review::review(body.as_bytes(), &view).expect("a review");
    let response: Value = serde_json::from_slice(&answer.body).expect("JSON");
    common::patched(review, &response)
}

#[test]
fn a_test_that_cannot_test_anything_fails_and_says_why() {
    let homelab = path("examples/homelab.yaml");
    let table = format!("table.manifests={}", arg(&homelab));
    let without_class: &[&str] = &["--set", "table.existingConfigMap=mine"];
    let other_class = ["--set-file", &table, "--set", "test.class=unknown"];
    for (values, wanted) in [(without_class, "test.class"), (&other_class, "test.class")] {
        let Some(objects) = chart(values) else { return };
        let pod = find(&objects, "Pod", "berth-cannot-test");
        assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
        assert_eq!(pod["metadata"]["namespace"], "berth");
        let name = &pod["metadata"]["labels"]["app.kubernetes.io/name"];
        assert_ne!(name, "berth", "the Service would lead to it");
        let args = pod["spec"]["containers"][0]["args"].as_array();
        let args = args.expect("args").iter();
        let args = args.map(|it| it.as_str().expect("text").to_owned());
        let (code, said) = ends(command().args(args));
        assert_ne!(code, 0);
        assert!(said.contains(wanted), "{said}");
    }
    for namespace in ["berth", "kube-system"] {
        let namespace = format!("test.namespace={namespace}");
        if let Some(message) = refused(&["--set", &namespace]) {
            assert!(message.contains("name another one"), "{message}");
        }
    }
}

/// helm's `no matches for kind`, once for each object, names neither what is missing nor what to do.
#[test]
fn what_a_cluster_lacks_is_said_in_one_sentence() {
    // every cluster has this one, and `helm template` does not know it
    let cluster = "--api-versions=apiregistration.k8s.io/v1";
    let cert_manager = "--api-versions=cert-manager.io/v1";
    let prometheus = "--api-versions=monitoring.coreos.com/v1";
    let alerts = ["--set", "prometheus.enabled=true"];
    for (flags, values, missing) in [
        (&[cluster][..], &[][..], Some("cert-manager")),
        (&[cluster, cert_manager], &[], None),
        (
            &[cluster, cert_manager],
            &alerts,
            Some("Prometheus operator"),
        ),
        (&[cluster, cert_manager, prometheus], &alerts, None),
        (&[cluster], &["--set", "tls.mode=helm"], None),
        (&[], &alerts, None),
    ] {
        let Some(output) = template(flags, values) else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), missing.is_none(), "{said}");
        let missing = missing.unwrap_or_default();
        assert!(said.contains(missing), "{said}");
        assert!(
            missing != "cert-manager" || said.contains("tls.mode"),
            "{said}"
        );
    }
}

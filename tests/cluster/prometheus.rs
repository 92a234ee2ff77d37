//! A real Prometheus that scrapes the real API server and both replicas, with the rules and the dashboard of `deploy/`.

use std::{collections::BTreeSet, fs};

use berth_cluster::{Cluster, ControlPlane, Homelab, Replicas};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    chooser::{class, homelab_with, replicas_with, way},
    common::{
        example,
        prometheus::{Expression, Prometheus, alerts, expressions, rules},
    },
    eventually,
    objects::{dry_run, object},
};

/// The class of two pools that Pods ask for.
const CLASS: &str = "scraped";
const LABEL: &str = "berth.dev/workload-class";
/// Who may read the API server's metrics, and nothing else.
const USER: &str = "prometheus";
/// The metrics of another exporter, which this cluster has not: kube-state-metrics.
const ELSEWHERE: [&str; 2] = [
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_available",
];

#[tokio::test]
async fn a_prometheus_that_scrapes_has_data_for_each_panel_and_each_rule() {
    let Some(binary) = Prometheus::binary() else {
        return;
    };
    let Some((homelab, setup)) = homelab_with(&[]).await else {
        return;
    };
    let cluster = homelab.cluster().await;
    // the replicas bring a way that leads to them
    calls_fail(&cluster).await;
    let replicas = replicas_with(&homelab, &setup, &cluster, &[]).await;
    class(&cluster, &replicas, CLASS, [2, 2]).await;
    // a series that begins with its first event has not risen: each happens before it scrapes, and again
    every_outcome(&homelab, &cluster, &replicas).await;
    let jobs = [of_berth(&replicas), of_the_api_server(&cluster).await];
    let prometheus = Prometheus::start(binary, &jobs);

    each_target_is_up(&prometheus, 1 + replicas.serving().len()).await;
    every_outcome(&homelab, &cluster, &replicas).await;
    for expression in expressions() {
        has_data(&prometheus, &expression).await;
    }
    for metric in metrics_of_the_rules() {
        if ELSEWHERE.contains(&&*metric) {
            let there = prometheus.query(&metric).await;
            assert_eq!(there, [] as [Value; 0], "{metric} is not only elsewhere");
            continue;
        }
        let selected = Expression {
            title: "a rule".to_owned(),
            expr: metric,
            legend: String::new(),
        };
        has_data(&prometheus, &selected).await;
    }
    each_rule_is_ok(&prometheus).await;
    drop(replicas);
}

/// Lets calls of the webhook fail: with a Pod that is denied for it, and with one that passes without berth.
async fn calls_fail(cluster: &Cluster<'_>) {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(cluster.client());
    let replace = async |field: &str, value: Value| {
        let operations = json!([
            {"op": "replace", "path": format!("/webhooks/0/{field}"), "value": value},
        ]);
        let patch = Patch::Json::<MutatingWebhookConfiguration>(object(operations));
        let params = PatchParams::default();
        let patched = configurations.patch("berth", &params, &patch).await;
        patched.expect("patched");
    };
    let pods: Api<Pod> = cluster.api();
    let pod = pod(&json!({LABEL: CLASS}));
    // nothing listens there
    replace("clientConfig/service/port", json!(1)).await;
    let denied = eventually(async || match pods.create(&dry_run(), &pod).await {
        Err(error) => error
            .to_string()
            .contains("failed calling webhook")
            .then_some(()),
        Ok(_) => None,
    });
    assert!(denied.await.is_some(), "the API server calls berth");
    replace("failurePolicy", json!("Ignore")).await;
    let passes = eventually(async || pods.create(&dry_run(), &pod).await.ok());
    assert!(passes.await.is_some(), "the API server does not fail open");
    replace("failurePolicy", json!("Fail")).await;
}

/// The job of the replicas, with the labels that a `ServiceMonitor` gives.
fn of_berth(replicas: &Replicas<'_>) -> Value {
    let targets = replicas.serving().iter().enumerate().map(|(i, replica)| {
        json!({
            "targets": [replica.admin.to_string()],
            "labels": {"namespace": "berth", "pod": format!("berth-{i}")},
        })
    });
    json!({"job_name": "berth", "static_configs": targets.collect::<Vec<_>>()})
}

/// The job of the API server, which shows its metrics to who has the right.
async fn of_the_api_server(cluster: &Cluster<'_>) -> Value {
    let user = format!("--user={USER}");
    let role = format!("--clusterrole={USER}");
    for create in [
        &[
            "clusterrole",
            USER,
            "--verb=get",
            "--non-resource-url=/metrics",
        ][..],
        &["clusterrolebinding", USER, &role, &user],
    ] {
        let (fine, said) = cluster.kubectl(&[&["create"], create].concat()).await;
        assert!(fine, "{said}");
    }
    let control_plane: &ControlPlane = cluster.homelab().control_plane();
    let kubeconfig = control_plane.kubeconfig_without_rights(USER);
    let text = fs::read_to_string(kubeconfig.expect("a kubeconfig")).expect("a file");
    let kubeconfig: Value = serde_json::from_str(&text).expect("JSON");
    let at = &kubeconfig["clusters"][0]["cluster"];
    let who = &kubeconfig["users"][0]["user"];
    let server = at["server"].as_str().expect("a URL");
    json!({
        "job_name": "apiserver", "scheme": "https",
        "tls_config": {
            "ca_file": at["certificate-authority"],
            "cert_file": who["client-certificate"], "key_file": who["client-key"],
        },
        "static_configs": [{"targets": [server.trim_start_matches("https://")]}],
    })
}

async fn each_target_is_up(prometheus: &Prometheus, count: usize) {
    let targets = async || {
        let data = prometheus.asked("targets", &[("state", "active")]).await;
        data["activeTargets"].as_array().expect("targets").clone()
    };
    let all_up = eventually(async || {
        let targets = targets().await;
        // it finds them some seconds after its start
        let is_up = targets.iter().all(|it| it["health"] == "up");
        (targets.len() == count && is_up).then_some(())
    });
    assert!(all_up.await.is_some(), "{:#?}", targets().await);
}

/// Reviews of every outcome that a panel asks for: from the API server, and to each replica, so that one of them asks the
/// other for its choice.
async fn every_outcome(homelab: &Homelab, cluster: &Cluster<'_>, replicas: &Replicas<'_>) {
    let pods: Api<Pod> = cluster.api();
    // a choice counts if it is stored
    cluster.create(pod(&json!({LABEL: CLASS}))).await;
    let warned = json!({LABEL: CLASS, "berth.dev/workload-clas": CLASS});
    let warned = pods.create(&dry_run(), &pod(&warned)).await;
    warned.expect("it is placed");
    // of no class, and of one
    let mut foreign = pod(&json!({LABEL: CLASS}));
    let container = &mut foreign.spec.as_mut().expect("a spec").containers[0];
    container.resources = Some(object(json!({"limits": {"gpu.intel.com/i915": "1"}})));
    for (denied, says) in [
        (pod(&json!({LABEL: "nobodys"})), "nobodys"),
        (foreign, "gpu.intel.com/i915"),
    ] {
        let denied = pods.create(&dry_run(), &denied).await;
        let denied = denied.expect_err("it is denied").to_string();
        assert!(denied.contains(says), "{denied}");
    }
    for replica in replicas.serving() {
        let (client, url) = way(homelab, replica.webhook);
        let ask = async |body: String| {
            let request = client.post(&url).header("Content-Type", "application/json");
            let answer = request.body(body).send().await.expect("an answer");
            answer.text().await.expect("text")
        };
        let mut placed = example("vllm");
        placed["request"]["object"]["metadata"]["labels"][LABEL] = CLASS.into();
        placed["request"]["dryRun"] = true.into();
        let answer = ask(placed.to_string()).await;
        assert!(answer.contains("JSONPatch"), "{answer}");
        // no review
        ask("{".to_owned()).await;
    }
}

fn pod(labels: &Value) -> Pod {
    object(json!({
        "metadata": {"generateName": "scraped-", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "main"}]},
    }))
}

/// Holds that each rule evaluates with the data that there are by now.
async fn each_rule_is_ok(prometheus: &Prometheus) {
    let rules = async || {
        let data = prometheus.asked("rules", &[]).await;
        let groups = data["groups"].as_array().expect("groups").iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules").clone());
        rules.collect::<Vec<_>>()
    };
    let before = rules().await;
    let again = eventually(async || {
        let rules = rules().await;
        let mut both = rules.iter().zip(&before);
        let is_new = both.all(|(it, before)| it["lastEvaluation"] != before["lastEvaluation"]);
        is_new.then_some(rules)
    });
    let again = again.await.expect("it evaluates each rule again");
    let names: BTreeSet<_> = again.iter().map(|it| it["name"].as_str()).collect();
    let alerts = alerts();
    assert_eq!(names, alerts.iter().map(|it| Some(&**it)).collect());
    assert!(again.iter().all(|it| it["health"] == "ok"), "{again:#?}");
}

/// The metrics that rules select by labels.
fn metrics_of_the_rules() -> BTreeSet<String> {
    let rules = rules();
    let rules = rules["groups"][0]["rules"]
        .as_array()
        .expect("rules")
        .iter();
    let of_rule = |rule: &Value| {
        let expr = rule["expr"].as_str().expect("an expression");
        let parts: Vec<_> = expr.split('{').collect();
        let before = parts[..parts.len() - 1].iter().map(|part| {
            let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
            let start = part.rfind(|it| !is_name(it)).map_or(0, |at| at + 1);
            part[start..].to_owned()
        });
        before.collect::<Vec<_>>()
    };
    rules.flat_map(of_rule).collect()
}

/// Waits until each series of an expression has a number, and one has the labels that its legend shows: a Pod that is
/// denied as there is no such class counts for none.
async fn has_data(prometheus: &Prometheus, expression: &Expression) {
    let is_number = |it: &Value| {
        let value = it["value"][1].as_str().map(str::parse::<f64>);
        value.is_some_and(|value| value.is_ok_and(f64::is_finite))
    };
    let has_labels = |it: &Value| {
        let mut parts = expression.legend.split("{{").skip(1);
        parts.all(|part| {
            let label = part.split("}}").next().unwrap_or_default();
            it["metric"].get(label).is_some()
        })
    };
    let found = eventually(async || {
        let series = prometheus.query(&expression.expr).await;
        let is_data = series.iter().all(is_number) && series.iter().any(has_labels);
        is_data.then_some(())
    });
    if found.await.is_none() {
        let series = prometheus.query(&expression.expr).await;
        panic!("{expression:#?}: {series:#?}");
    }
}

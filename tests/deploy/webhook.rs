//! What the API server asks, whom it trusts, and what wakes a person, in every rendering.

use std::{collections::BTreeSet, fs, time::Duration};

use berth_core::{
    check::{Expected, Outcome, configuration},
    outcome::Reason,
    review::review,
    table::Settings,
    view::View,
};
use berth_server::{
    metrics::{Metrics, Source},
    webhook,
};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::{
    common,
    objects::{find, typed},
    render::chart,
    rendering::{Rendering, flag, renderings},
};

#[test]
fn the_api_server_asks_at_the_port_and_path_that_berth_serves() {
    for rendering in renderings() {
        let name = rendering.name;
        let client = rendering.hook().client_config;
        let asked = client.service.expect("a service");
        assert_eq!(asked.path.as_deref(), Some(webhook::PATH), "{name}");
        assert_eq!((&*asked.name, &*asked.namespace), ("berth", "berth"));
        let service: Service = typed(rendering.find("Service", &asked.name));
        let spec = service.spec.expect("a spec");
        let port = spec.ports.expect("ports");
        let port = port.iter().find(|it| Some(it.port) == asked.port);
        let target = port.and_then(|it| it.target_port.clone());
        assert_eq!(json!(target), "webhook", "{name}");
        let template = rendering.deployment().spec.template;
        assert_eq!(spec.selector, template.metadata.expect("labels").labels);
    }
}

#[test]
fn it_asks_about_the_pods_that_berth_answers_for() {
    let view = common::homelab();
    for rendering in renderings() {
        let name = rendering.name;
        let class_label: String = flag(&rendering.flags(), "class_label");
        assert_eq!(class_label, Settings::default().class_label, "{name}");
        let hook = rendering.hook();
        let opted_out =
            json!({"key": "berth.dev/inject", "operator": "NotIn", "values": ["disabled"]});
        assert_eq!(
            json!(hook.object_selector)["matchExpressions"],
            json!([{"key": class_label, "operator": "Exists"}, opted_out]),
            "{name}"
        );
        let elsewhere = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["berth", "kube-system", "kube-node-lease"]});
        assert_eq!(
            json!(hook.namespace_selector)["matchExpressions"],
            json!([elsewhere, opted_out]),
            "{name}"
        );
        assert_eq!(
            json!(hook.rules),
            json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"}]),
            "{name}"
        );
    }
    let labelled = |key: &str, value: &str| {
        let mut review = common::example("vllm");
        review["request"]["object"]["metadata"]["labels"][key] = json!(value);
        reason(&review, &view)
    };
    assert_eq!(labelled("berth.dev/inject", "disabled"), Reason::OptedOut);
    assert_eq!(labelled("berth.dev/inject", "enabled"), Reason::Placed);
    let mut mirror = common::example("vllm");
    mirror["request"]["object"]["metadata"]["annotations"] =
        json!({"kubernetes.io/config.mirror": ""});
    assert_eq!(reason(&mirror, &view), Reason::MirrorPod);
}

/// What `berth check` compares the configuration with.
#[test]
fn a_check_finds_each_rendering_as_it_is_shipped() {
    for rendering in renderings() {
        let object = rendering.find("MutatingWebhookConfiguration", "berth");
        let expected = Expected {
            class_label: flag(&rendering.flags(), "class_label"),
            reads_cluster: rendering.reads_cluster(),
            path: webhook::PATH.to_owned(),
        };
        let check = configuration(&Ok(vec![typed(object)]), &expected);
        assert_eq!(
            check.outcome,
            Outcome::Passed,
            "{}: {check:?}",
            rendering.name
        );
    }
}

/// A namespace may name the class of its Pods: those without one are asked about there, and nowhere else.
#[test]
fn it_asks_about_pods_without_a_class_where_the_namespace_names_one() {
    for rendering in renderings() {
        let name = rendering.name;
        let hooks = rendering.hooks();
        let names: Vec<_> = hooks.iter().map(|hook| &*hook.name).collect();
        if !rendering.reads_cluster() {
            assert_eq!(names, ["pods.berth.dev"], "{name}");
            continue;
        }
        assert_eq!(names, ["pods.berth.dev", "namespaces.berth.dev"], "{name}");
        let [mut expected, found] = <[_; 2]>::try_from(hooks).expect("two");
        found.name.clone_into(&mut expected.name);
        let class_label: String = flag(&rendering.flags(), "class_label");
        let asked = |operator: &str| json!({"key": class_label, "operator": operator});
        let mut expected = json!(expected);
        let of_pods = expected.pointer_mut("/objectSelector/matchExpressions/0");
        *of_pods.expect("a selector") = asked("DoesNotExist");
        let of_namespaces = expected.pointer_mut("/namespaceSelector/matchExpressions");
        let of_namespaces = of_namespaces.and_then(Value::as_array_mut);
        of_namespaces.expect("a selector").push(asked("Exists"));
        assert_eq!(json!(found), expected, "{name}");
    }
}

/// What a review comes to.
pub fn reason(review_: &Value, view: &View) -> Reason {
    let body = review_.to_string();
    let answer = review(body.as_bytes(), view).expect("a review");
    answer.decision.reason
}

#[test]
fn it_is_asked_again_refuses_when_it_is_down_and_waits_five_seconds() {
    for rendering in renderings() {
        let name = rendering.name;
        let hook = rendering.hook();
        let said = [
            hook.failure_policy.as_deref(),
            hook.match_policy.as_deref(),
            hook.reinvocation_policy.as_deref(),
            Some(&*hook.side_effects),
        ];
        let expected = ["Fail", "Equivalent", "IfNeeded", "NoneOnDryRun"];
        assert_eq!(said, expected.map(Some), "{name}");
        assert_eq!(hook.timeout_seconds, Some(5), "{name}");
        assert_eq!(hook.admission_review_versions, ["v1"], "{name}");
    }
}

#[test]
fn the_certificate_is_for_the_service_and_renewed_at_two_thirds() {
    for rendering in renderings() {
        let name = rendering.name;
        let secret = rendering.pod().volumes.expect("volumes").into_iter();
        let secret = secret.filter_map(|volume| volume.secret?.secret_name);
        assert_eq!(secret.collect::<Vec<_>>(), ["berth-tls"], "{name}");
        if !rendering
            .objects
            .iter()
            .any(|it| it["kind"] == "Certificate")
        {
            continue;
        }
        let leaf = &rendering.find("Certificate", "berth-tls")["spec"];
        assert_eq!(leaf["dnsNames"], json!(["berth.berth.svc"]), "{name}");
        assert_eq!(leaf["secretName"], "berth-tls", "{name}");
        assert_eq!(leaf["privateKey"]["algorithm"], "ECDSA", "{name}");
        let hours = |field: &str| {
            let hours = leaf[field].as_str().and_then(|it| it.strip_suffix('h'));
            hours.and_then(|it| it.parse::<u32>().ok()).expect("hours")
        };
        assert_eq!(hours("duration"), 90 * 24, "{name}");
        assert_eq!(hours("renewBefore") * 3, hours("duration"), "{name}");
        let object = rendering.find("MutatingWebhookConfiguration", "berth");
        let inject = &object["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(inject, "berth/berth-tls", "{name}");
    }
}

#[test]
fn the_alerts_speak_of_metrics_that_there_are() {
    let metrics = Metrics::default();
    metrics.table(&common::homelab().table);
    metrics.invalid(Source::Table);
    metrics.contacted("Node");
    metrics.objects("GPUPool", 0, 1);
    metrics.forwarded("failed");
    metrics.failed(Reason::Overloaded, Duration::ZERO);
    let text = metrics.text().expect("text");
    let known: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for (name, alert) in alerts() {
        let expr = alert["expr"].as_str().expect("an expression");
        let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for metric in words.filter(|word| word.starts_with("berth_")) {
            assert!(known.contains(metric), "{name}: {metric} in {known:?}");
        }
        let values = expr.split("reason=~\"").skip(1);
        for value in values.filter_map(|rest| rest.split('"').next()) {
            for reason in value.split('|') {
                let there = Reason::ALL.iter().any(|it| it.as_str() == reason);
                assert!(there, "{name}: {reason}");
            }
        }
    }
}

/// Every alert, and the way of deploying that it is of.
fn alerts() -> Vec<(&'static str, Value)> {
    let of = |rendering: &'static Rendering| {
        let all = rendering.objects.iter();
        let rules = all.filter(|it| it["kind"] == "PrometheusRule");
        let lists = rules.filter_map(|it| it["spec"]["groups"][0]["rules"].as_array());
        lists.flatten().map(|alert| (rendering.name, alert.clone()))
    };
    renderings().iter().flat_map(of).collect()
}

#[test]
fn what_can_go_wrong_has_an_alert() {
    let names: BTreeSet<_> = alerts()
        .iter()
        .map(|(_, it)| it["alert"].as_str().expect("a name").to_owned())
        .collect();
    if names.is_empty() {
        return;
    }
    for (name, metric) in [
        (
            "BerthFailOpen",
            "apiserver_admission_webhook_fail_open_count",
        ),
        ("BerthStrayRequests", "NotPodCreate"),
        ("BerthReleasesDiffer", "berth_build_info"),
        ("BerthTableEmpty", "berth_table_classes"),
        ("BerthDenials", "result=\"denied\""),
        ("BerthSlow", "berth_review_duration_seconds_bucket"),
        ("BerthReplicas", "kube_deployment_status_replicas_available"),
        (
            "BerthWatchSilent",
            "berth_watch_last_contact_timestamp_seconds",
        ),
        ("BerthObjectNotAccepted", "accepted=\"false\""),
        ("BerthChoosesApart", "berth_forwards_total"),
        ("BerthLogLinesDropped", "berth_log_lines_dropped_total"),
    ] {
        assert!(names.contains(name), "{name} in {names:?}");
        let all = alerts();
        let alert = all.iter().find(|(_, it)| it["alert"] == name);
        let expr = alert.expect("found").1["expr"].as_str();
        let expr = expr.expect("an expression");
        assert!(expr.contains(metric), "{name}: {expr}");
    }
}

/// As a forge makes an anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}

#[test]
fn every_alert_leads_to_a_section_that_exists() {
    let text = fs::read_to_string(common::path("deploy/README.md")).expect("a file");
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchors: BTreeSet<_> = headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    for (name, alert) in alerts() {
        let url = alert["annotations"]["runbook_url"].as_str();
        let url = url.unwrap_or_else(|| panic!("{name}: {alert}"));
        let (file, section) = url.split_once('#').expect("a section");
        assert_eq!(file, "deploy/README.md", "{name}");
        assert!(anchors.contains(section), "{name}: {section}");
        let alert = alert["alert"].as_str().expect("a name");
        assert_eq!(section, alert.to_lowercase(), "{name}");
    }
}

#[test]
fn the_alerts_of_the_chart_follow_its_values() {
    let values = "prometheus.enabled=true,prometheus.runbookUrl=https://wiki.example/berth,webhook.timeoutSeconds=10";
    let Some(objects) = chart(&["--set", values]) else {
        return;
    };
    let rules = find(&objects, "PrometheusRule", "berth").to_string();
    assert!(rules.contains("https://wiki.example/berth#berthdown"));
    assert!(!rules.contains("deploy/README.md"), "{rules}");
    assert!(rules.contains("> 10 / 2"), "{rules}");
    assert!(!rules.contains("> 5 / 2"), "{rules}");
}

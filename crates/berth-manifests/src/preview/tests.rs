use serde_json::{Value, json};

use super::*;
use berth_core::testing::{class, pool, view as view_of};

fn view() -> View {
    let taint = json!([{"key": "gpu", "effect": "NoSchedule"}]);
    view_of(&[
        pool("p", json!({"taints": taint})),
        class("c", &["p"], json!({})),
    ])
}

fn previewed(document: &Value) -> Preview {
    preview(
        document,
        &view(),
        &Namespaces::new("ai", ["berth".to_owned()]),
    )
}

/// A template of class `c` with one container.
fn template() -> Value {
    labelled(json!({"berth.dev/workload-class": "c"}))
}

fn labelled(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main"}]}})
}

fn object(api_version: &str, kind: &str, spec: Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec})
}

fn deployment(strategy: Value, replicas: u64) -> Value {
    let spec = json!({"strategy": strategy, "replicas": replicas, "template": template()});
    object("apps/v1", "Deployment", spec)
}

/// The code and the field of each diagnostic.
fn topics(document: &Value) -> Vec<(&'static str, String)> {
    let diagnostics = previewed(document).diagnostics.into_iter();
    diagnostics
        .map(|it| (it.code.unwrap_or_default(), it.field))
        .collect()
}

#[test]
fn a_template_is_previewed_as_the_pod_that_its_controller_makes() {
    let document = deployment(json!({"type": "Recreate"}), 1);
    let preview = previewed(&document);
    let pod = &preview.pods[0];
    assert_eq!(
        (pod.reason(), pod.pool(), pod.container()),
        (Reason::Placed, Some("p"), Some("main"))
    );
    assert_eq!(
        (&*pod.kind, &*pod.name, &*pod.namespace),
        ("Deployment", "x", "ai")
    );
    assert_eq!(
        pod.summary(),
        "1 term, 1 toleration, amd.com/gpu=1 on \"main\""
    );
    let patched = preview.patched.expect("it changes");
    let spec = &patched["spec"]["template"]["spec"];
    assert_eq!(
        spec["containers"][0]["resources"]["limits"]["amd.com/gpu"],
        "1"
    );
    // and again: nothing is left to do
    let again = previewed(&patched);
    assert_eq!(again.pods[0].reason(), Reason::InPlace);
    assert_eq!(again.patched, None);
}

#[test]
fn a_review_is_answered_as_the_server_answers_it() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template()["metadata"], "spec": template()["spec"]});
    let mut review = creation(&pod, "team");
    let preview = previewed(&review);
    assert_eq!(preview.pods[0].namespace, "team");
    assert!(
        preview.patched.expect("it changes")["request"]["object"]["spec"]["tolerations"].is_array()
    );
    review["request"]["operation"] = json!("UPDATE");
    assert_eq!(previewed(&review).pods[0].reason(), Reason::NotPodCreate);
    review["request"]["uid"] = json!("");
    let preview = previewed(&review);
    assert_eq!(preview.pods[0].reason(), Reason::BadReview);
    assert_eq!(preview.severity(), Some(Severity::Error));
}

#[test]
fn an_object_with_a_denied_pod_is_as_it_was() {
    let denied = labelled(json!({"berth.dev/workload-class": "cc"}));
    let mixed = object(
        "example.com/v1",
        "Mixed",
        json!({"one": template(), "two": denied}),
    );
    let preview = previewed(&mixed);
    let reasons: Vec<Reason> = preview.pods.iter().map(PodPreview::reason).collect();
    assert_eq!(reasons, [Reason::Placed, Reason::ClassUnavailable]);
    assert_eq!(preview.patched, None);
    assert_eq!(preview.severity(), Some(Severity::Error));
    // another object of the same list is another matter
    let right = object("example.com/v1", "Right", json!({"one": template()}));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [mixed, right]});
    let patched = previewed(&list).patched.expect("it changes");
    assert_eq!(patched["items"][0], list["items"][0]);
    assert_ne!(patched["items"][1], list["items"][1]);
}

#[test]
fn a_label_that_no_pod_gets_is_found() {
    let label = json!({"berth.dev/workload-class": "c"});
    let mut document = object(
        "apps/v1",
        "Deployment",
        json!({"template": labelled(json!({}))}),
    );
    assert_eq!(topics(&document), []);
    document["metadata"]["labels"] = label.clone();
    let found = previewed(&document).diagnostics.remove(0);
    assert_eq!(found.code, Some(Topic::LabelElsewhere.as_str()));
    assert_eq!(found.field, "metadata.labels[\"berth.dev/workload-class\"]");
    let help = "move it to spec.template.metadata.labels";
    assert_eq!(found.help.as_deref(), Some(help));
    document["metadata"]["labels"] = json!({});
    document["spec"]["template"]["metadata"]["annotations"] = label;
    assert_eq!(topics(&document)[0].0, "LabelElsewhere");
}

#[test]
fn a_rollout_that_needs_a_spare_gpu_is_found() {
    let rolling = |update: Value| json!({"type": "RollingUpdate", "rollingUpdate": update});
    for (strategy, replicas, hangs) in [
        (json!(null), 1, true),
        (json!(null), 3, true),
        // a quarter of four may be gone meanwhile
        (json!(null), 4, false),
        (json!(null), 0, false),
        (json!({"type": "Recreate"}), 1, false),
        (rolling(json!({"maxSurge": 0})), 1, false),
        (
            rolling(json!({"maxSurge": "0%", "maxUnavailable": 1})),
            1,
            false,
        ),
        (rolling(json!({"maxUnavailable": 1})), 1, false),
        (rolling(json!({"maxUnavailable": "50%"})), 2, false),
        (
            rolling(json!({"maxSurge": 1, "maxUnavailable": 0})),
            9,
            true,
        ),
    ] {
        let document = deployment(strategy, replicas);
        let severity = previewed(&document).severity();
        let expected = hangs.then(|| match document["spec"]["strategy"] {
            // the default is nobody's mistake
            Value::Null => Severity::Note,
            _ => Severity::Error,
        });
        assert_eq!(severity, expected, "{document}");
        let found = topics(&document);
        assert_eq!(
            found.iter().any(|(topic, _)| *topic == "SurgeNeedsGpu"),
            hangs,
            "{document}"
        );
    }
}

#[test]
fn a_daemon_sets_template_must_say_what_its_controller_reads() {
    let document = object("apps/v1", "DaemonSet", json!({"template": template()}));
    let preview = previewed(&document);
    assert_eq!(
        topics(&document),
        [
            (
                "DaemonSetGpu",
                "spec.template.spec.containers[0]".to_owned()
            ),
            ("DaemonSetTemplate", "spec.template.spec".to_owned())
        ]
    );
    assert_eq!(topics(&preview.patched.expect("it changes")), []);
}

#[test]
fn who_reads_the_limit_early_is_named() {
    let ray = |params: Value| {
        let group = json!({"rayStartParams": params, "template": template()});
        object(
            "ray.io/v1",
            "RayCluster",
            json!({"workerGroupSpecs": [group]}),
        )
    };
    let mut job = object("batch/v1", "Job", json!({"template": template()}));
    let volcano = json!({"tasks": [{"template": template()}]});
    for (document, reader) in [
        (ray(json!({})), Some("KubeRay")),
        (ray(json!({"num-gpus": "1"})), None),
        (
            object("batch.volcano.sh/v1alpha1", "Job", volcano),
            Some("Volcano"),
        ),
        (job.clone(), None),
    ] {
        let diagnostics = previewed(&document).diagnostics;
        let found = diagnostics
            .first()
            .map(|diagnostic| diagnostic.message.split(' ').next().unwrap_or_default());
        assert_eq!(found, reader, "{document}");
    }
    job["metadata"]["labels"] = json!({"kueue.x-k8s.io/queue-name": "q"});
    let preview = previewed(&job);
    assert!(preview.diagnostics[0].message.starts_with("Kueue"));
    assert_eq!(topics(&preview.patched.expect("it changes")), []);
}

#[test]
fn a_wrong_quantity_and_a_missing_name_are_found_by_their_field() {
    let mut document = deployment(json!({"type": "Recreate"}), 1);
    let containers = &mut document["spec"]["template"]["spec"]["containers"];
    containers[0]["resources"] =
        json!({"limits": {"cpu": "<N>", "memory": "2Gi"}, "requests": {"cpu": 1}});
    *containers = json!([containers[0], {"image": "x"}]);
    let field = "spec.template.spec.containers";
    assert_eq!(
        topics(&document),
        [
            (
                "NotAQuantity",
                format!("{field}[0].resources.limits[\"cpu\"]")
            ),
            ("ContainerWithoutName", format!("{field}[1].name"))
        ]
    );
}

#[test]
fn knative_gets_what_it_takes_and_the_rest_is_said() {
    let document = object(
        "serving.knative.dev/v1",
        "Service",
        json!({"template": template()}),
    );
    let preview = previewed(&document);
    assert_eq!(
        topics(&document),
        [
            ("SurgeNeedsGpu", "spec".to_owned()),
            ("NotInTemplate", "spec.template.spec".to_owned())
        ]
    );
    assert_eq!(preview.severity(), Some(Severity::Note));
    let patched = preview.patched.expect("it changes");
    let spec = patched["spec"]["template"]["spec"].as_object().unwrap();
    assert_eq!(spec.keys().collect::<Vec<_>>(), ["containers"]);
    assert_eq!(previewed(&patched).patched, None);
}

#[test]
fn what_is_not_an_object_is_said() {
    for document in [
        json!("text"),
        json!(["a"]),
        json!({"replicaCount": 1}),
        json!({"kind": "Pod"}),
    ] {
        assert_eq!(topics(&document), [("NotAnObject", String::new())]);
    }
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {}});
    assert_eq!(topics(&other), []);
    let misspelt = json!({"apiversion": "v1", "kind": "ConfigMap"});
    let help = previewed(&misspelt).diagnostics.remove(0).help;
    let meant = "did you mean apiVersion instead of \"apiversion\"?";
    assert_eq!(help.as_deref(), Some(meant));
}

#[test]
fn a_pod_without_containers_is_answered_as_the_server_answers() {
    let label = json!({"berth.dev/workload-class": "c"});
    for spec in [json!(null), json!("text"), json!({})] {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": label}, "spec": spec});
        let preview = previewed(&pod);
        assert_eq!(preview.severity(), Some(Severity::Error), "{preview:?}");
        assert!(!preview.pods[0].is_allowed());
    }
}

#[test]
fn where_no_container_is_to_be_seen_that_is_said() {
    let label = json!({"berth.dev/workload-class": "c"});
    let predictor = |labels: Value| {
        let spec =
            json!({"predictor": {"labels": labels, "model": {"modelFormat": {"name": "x"}}}});
        object("serving.kserve.io/v1beta1", "InferenceService", spec)
    };
    assert_eq!(
        topics(&predictor(label.clone())),
        [("NoContainer", "spec.predictor".to_owned())]
    );
    assert_eq!(topics(&predictor(json!({}))), []);
    let runtime = object(
        "serving.kserve.io/v1alpha1",
        "ClusterServingRuntime",
        template()["spec"].clone(),
    );
    assert_eq!(topics(&runtime)[0].0, "NotATemplate");
    let other = object(
        "example.com/v1",
        "Model",
        json!({"pods": {"labels": label}}),
    );
    let field = "spec.pods.labels[\"berth.dev/workload-class\"]".to_owned();
    assert_eq!(topics(&other), [("NoContainer", field)]);
    for document in [&runtime, &other] {
        assert_eq!(previewed(document).severity(), Some(Severity::Note));
    }
}

#[test]
fn what_is_not_rendered_says_how_to_render_it() {
    for (version, kind, words) in [
        (
            "kustomize.config.k8s.io/v1beta1",
            "Kustomization",
            "kubectl kustomize",
        ),
        (
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            "flux build",
        ),
        ("helm.toolkit.fluxcd.io/v2", "HelmRelease", "helm template"),
        (
            "argoproj.io/v1alpha1",
            "Application",
            "argocd app manifests",
        ),
    ] {
        let document = object(version, kind, json!({"values": {"podLabels": {}}}));
        let found = previewed(&document).diagnostics.remove(0);
        assert_eq!(found.code, Some("NotRendered"), "{kind}");
        assert!(
            found.help.is_some_and(|help| help.contains(words)),
            "{kind}"
        );
    }
}

#[test]
fn what_the_webhook_is_never_asked_about_is_left_alone() {
    let mut namespaces = Namespaces::new("kube-system", ["berth".to_owned()]);
    let labels = json!({"berth.dev/inject": "disabled"});
    namespaces.learn(&json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sandbox", "labels": labels}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ai", "labels": {}}},
    ]}));
    for (namespace, left_out) in [
        (json!(null), Some(LeftOut::Excluded)),
        (json!("kube-node-lease"), Some(LeftOut::Excluded)),
        (json!("berth"), Some(LeftOut::Excluded)),
        (json!("sandbox"), Some(LeftOut::OptedOut)),
        (json!("ai"), None),
    ] {
        let mut document = deployment(json!({"type": "Recreate"}), 1);
        document["metadata"]["namespace"] = namespace.clone();
        let preview = preview(&document, &view(), &namespaces);
        assert_eq!(preview.pods[0].left_out, left_out, "{namespace}");
        assert_eq!(preview.patched.is_none(), left_out.is_some(), "{namespace}");
    }
}

#[test]
fn a_live_pod_is_judged_without_its_node() {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template()["metadata"], "spec": template()["spec"]});
    pod["spec"]["nodeName"] = json!("n");
    assert_eq!(previewed(&pod).pods[0].reason(), Reason::NodeNameSet);
    pod["metadata"]["uid"] = json!("u");
    assert_eq!(previewed(&pod).pods[0].reason(), Reason::Placed);
}

#[test]
fn an_annotation_that_no_pod_gets_is_found() {
    let mut document = deployment(json!({"type": "Recreate"}), 1);
    document["metadata"]["annotations"] = json!({"berth.dev/container": "main"});
    let found = previewed(&document).diagnostics.remove(0);
    assert_eq!(found.code, Some(Topic::LabelElsewhere.as_str()));
    assert_eq!(found.field, "metadata.annotations[\"berth.dev/container\"]");
    let help = "move it to spec.template.metadata.annotations";
    assert_eq!(found.help.as_deref(), Some(help));
    document["metadata"]["annotations"] = json!({});
    document["metadata"]["labels"] = json!({"berth.dev/inject": "disabled"});
    assert_eq!(
        topics(&document),
        [(
            "LabelElsewhere",
            "metadata.labels[\"berth.dev/inject\"]".to_owned()
        )]
    );
    // where it stands, it is right
    document["spec"]["template"]["metadata"]["labels"]["berth.dev/workload-class"] = json!(7);
    document["metadata"]["labels"] = json!({});
    assert_eq!(topics(&document), []);
}

#[test]
fn a_rollout_of_argo_that_needs_a_second_set_is_found() {
    for (strategy, severity) in [
        (
            json!({"blueGreen": {"activeService": "x"}}),
            Some(Severity::Error),
        ),
        (json!({"canary": {}}), Some(Severity::Note)),
        (
            json!({"canary": {"maxSurge": 1, "maxUnavailable": 0}}),
            Some(Severity::Error),
        ),
        (
            json!({"canary": {"maxSurge": 0, "maxUnavailable": 1}}),
            None,
        ),
    ] {
        let spec = json!({"strategy": strategy, "replicas": 1, "template": template()});
        let document = object("argoproj.io/v1alpha1", "Rollout", spec);
        assert_eq!(previewed(&document).severity(), severity, "{document}");
    }
}

#[test]
fn a_rollout_of_others_that_need_a_second_set_is_found() {
    let lws = |update: Value| {
        let strategy = json!({"type": "RollingUpdate", "rollingUpdateConfiguration": update});
        let spec = json!({"rolloutStrategy": strategy, "leaderWorkerTemplate": {"workerTemplate": template()}});
        object("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", spec)
    };
    let ray = |upgrade: Value| {
        // the ray container is told of its GPU, so that nothing else is to be said
        let head = json!({"rayStartParams": {"num-gpus": "1"}, "template": template()});
        let spec = json!({"upgradeStrategy": upgrade, "rayClusterConfig": {"headGroupSpec": head}});
        object("ray.io/v1", "RayService", spec)
    };
    let kserve = |more: Value| {
        let mut predictor =
            json!({"labels": template()["metadata"]["labels"], "containers": [{"name": "main"}]});
        let fields = predictor.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        object(
            "serving.kserve.io/v1beta1",
            "InferenceService",
            json!({"predictor": predictor}),
        )
    };
    let recreate = json!({"deploymentStrategy": {"type": "Recreate"}});
    let spec = "spec.predictor.deploymentStrategy";
    let written =
        json!({"deploymentStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}});
    for (document, field) in [
        (kserve(written), spec),
        (ray(json!({"type": "NewCluster"})), "spec.upgradeStrategy"),
        (
            lws(json!({"maxSurge": 1, "maxUnavailable": 0})),
            "spec.rolloutStrategy",
        ),
    ] {
        assert_eq!(topics(&document)[0].1, field, "{document}");
    }
    for (document, severity) in [
        (lws(json!(null)), None),
        (lws(json!({"maxSurge": 1})), None),
        (
            lws(json!({"maxSurge": 1, "maxUnavailable": 0})),
            Some(Severity::Error),
        ),
        (ray(json!(null)), Some(Severity::Note)),
        (ray(json!({"type": "NewCluster"})), Some(Severity::Error)),
        (ray(json!({"type": "None"})), None),
        (kserve(json!({})), Some(Severity::Note)),
        (kserve(json!({"minReplicas": 0})), None),
        (kserve(recreate), None),
        (
            object(
                "serving.knative.dev/v1",
                "Service",
                json!({"template": template()}),
            ),
            Some(Severity::Note),
        ),
    ] {
        let found = previewed(&document).diagnostics.into_iter();
        let mut found = found.filter(|it| it.code == Some("SurgeNeedsGpu"));
        assert_eq!(found.next().map(|it| it.severity), severity, "{document}");
    }
}

#[test]
fn a_gpu_without_a_class_is_a_note() {
    let limited = |amount: &str| {
        let container =
            json!({"name": "main", "resources": {"limits": {"nvidia.com/gpu": amount}}});
        object(
            "apps/v1",
            "StatefulSet",
            json!({"template": {"metadata": {}, "spec": {"containers": [container]}}}),
        )
    };
    let preview = previewed(&limited("1"));
    assert_eq!(preview.severity(), Some(Severity::Note));
    let field = "spec.template.spec.containers[0].resources.limits[\"nvidia.com/gpu\"]";
    assert_eq!(
        topics(&limited("1")),
        [("GpuWithoutClass", field.to_owned())]
    );
    for nothing in ["0", "0m", "0.0"] {
        assert_eq!(topics(&limited(nothing)), [], "{nothing}");
    }
    let mut init = limited("0");
    let spec = &mut init["spec"]["template"]["spec"];
    spec["initContainers"] = limited("1")["spec"]["template"]["spec"]["containers"].take();
    let field = "spec.template.spec.initContainers[0].resources.limits[\"nvidia.com/gpu\"]";
    assert_eq!(topics(&init), [("GpuWithoutClass", field.to_owned())]);
}

#[test]
fn an_object_of_a_version_that_has_no_such_kind_is_told_the_right_one() {
    let pod = |version: &str| {
        json!({"apiVersion": version, "kind": "Pod",
            "metadata": template()["metadata"], "spec": template()["spec"]})
    };
    let of = |version: &str, kind: &str| object(version, kind, json!({"template": template()}));
    for (document, right) in [
        (pod("apps/v1"), Some("v1")),
        (pod("v1"), None),
        (of("v1", "StatefulSet"), Some("apps/v1")),
        (of("extensions/v1beta1", "Deployment"), Some("apps/v1")),
        (of("batch/v1beta1", "Job"), Some("batch/v1")),
        (of("batch.volcano.sh/v1alpha1", "Job"), None),
        (of("example.com/v1", "Deployment"), None),
    ] {
        let found = previewed(&document).diagnostics.into_iter();
        let mut found = found.filter(|it| it.code == Some("Invalid"));
        let help = found.next().and_then(|it| it.help);
        let expected = right.map(|right| format!("write apiVersion: {right}"));
        assert_eq!(help, expected, "{document}");
    }
    // without the label, berth has nothing to say
    let mut other = of("v1", "StatefulSet");
    other["spec"]["template"]["metadata"] = json!({});
    assert_eq!(topics(&other), []);
}

#[test]
fn a_container_that_a_controller_adds_is_named() {
    let document = object(
        "ray.io/v1",
        "RayCluster",
        json!({"enableInTreeAutoscaling": true, "headGroupSpec": {"rayStartParams": {"num-gpus": "1"}, "template": template()}}),
    );
    let preview = previewed(&document);
    assert_eq!(preview.pods[0].reason(), Reason::ContainerAmbiguous);
    assert!(preview.diagnostics[0].message.contains("\"autoscaler\""));
}

#[test]
fn a_wrong_amount_of_gpus_is_told_once() {
    let mut document = deployment(json!({"type": "Recreate"}), 1);
    document["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"limits": {"amd.com/gpu": "1:1"}});
    assert_eq!(topics(&document), []);
    assert_eq!(previewed(&document).severity(), Some(Severity::Error));
}

#[test]
fn a_null_in_a_map_is_an_empty_entry_as_it_is_to_the_api_server() {
    let pod = |class: Value, limits: Value| {
        let container = json!({"name": "main", "resources": {"limits": limits}});
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"labels": {"berth.dev/workload-class": class}}, "spec": {"containers": [container]}})
    };
    let zero = previewed(&pod(json!("c"), json!({"amd.com/gpu": null})));
    assert_eq!(zero.pods[0].container(), None);
    assert_eq!(zero.pods[0].warnings()[0].as_str(), "ZeroGpus");
    let blank = previewed(&pod(json!("c"), json!({"amd.com/gpu": " 1 "})));
    assert_eq!(blank.pods[0].reason(), Reason::Placed);
    let none = previewed(&pod(json!(null), json!({})));
    assert_eq!(none.pods[0].reason(), Reason::ClassUnavailable);
    let mut selects = pod(json!("c"), json!({}));
    selects["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": null});
    assert_eq!(
        previewed(&selects).pods[0].reason(),
        Reason::PlacementContradiction
    );
}

#[test]
fn what_the_api_server_denies_whatever_berth_answers_is_an_error() {
    let invalid = |pointer: &str, value: Value| {
        let mut document = deployment(json!({"type": "Recreate"}), 1);
        let (parent, key) = pointer.rsplit_once('/').expect("a field");
        document.pointer_mut(parent).expect("there")[key] = value;
        let text = document.to_string();
        let source = crate::diagnostic::SourceText::new("x.yaml", &*text);
        let mut namespaces = Namespaces::new("ai", []);
        namespaces.learn_from(&source);
        let piece = pieces(&source).remove(0);
        let mut found = Document::read(&source, piece, &view(), &namespaces)
            .preview
            .diagnostics;
        found.retain(|it| it.severity == Severity::Error);
        let words = |it: Diagnostic| {
            format!(
                "{}: {}: {}",
                it.field,
                it.message,
                it.help.unwrap_or_default()
            )
        };
        found.into_iter().map(words).collect::<Vec<_>>().join("\n")
    };
    let spec = "/spec/template/spec";
    for (field, value, says) in [
        (
            "hostNetwork",
            json!("yes"),
            "spec.template.spec.hostNetwork: \"yes\" is not a boolean, and the API server takes nothing else here: write true or false, without quotes",
        ),
        (
            "activeDeadlineSeconds",
            json!("5"),
            "\"5\" is not a whole number",
        ),
        (
            "dnsPolicy",
            json!(1),
            "1 is not a string, and the API server takes nothing else here: 1 is a number; quote it: \"1\"",
        ),
        ("volumes", json!({"a": 1}), "an object is not a list"),
        ("securityContext", json!([1]), "a list is not an object"),
        (
            "containers",
            json!([{"name": "main", "ports": [{"containerPort": 80, "hostPort": "x"}]}]),
            "containers[0].ports[0].hostPort: \"x\" is not a whole number",
        ),
        (
            "initContainers",
            json!([{"name": "main"}]),
            "another container of this Pod is called \"main\"",
        ),
        (
            "affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}),
            "there is no term in nodeSelectorTerms",
        ),
        ("runtimeClassName", json!(""), "runtimeClassName is empty"),
    ] {
        let found = invalid(&format!("{spec}/{field}"), value);
        assert!(found.contains(says), "{field}: {found}");
        assert_eq!(found.lines().count(), 1, "{field}: {found}");
    }
    // right as it is
    for (field, value) in [
        ("overhead", json!({"cpu": 1})),
        ("terminationGracePeriodSeconds", json!(5)),
        ("hostname", json!(null)),
        (
            "volumes",
            json!([{"name": "x", "emptyDir": {"sizeLimit": 1}}]),
        ),
        (
            "containers",
            json!([{"name": "main", "livenessProbe": {"httpGet": {"port": "http"}}, "unknown": 1}]),
        ),
    ] {
        assert_eq!(invalid(&format!("{spec}/{field}"), value), "", "{field}");
    }
    let namespace = invalid("/metadata/namespace", json!("Kube"));
    assert!(
        namespace.contains("\"Kube\" is not the name of a namespace"),
        "{namespace}"
    );
    let zero =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "0%", "maxUnavailable": 0}});
    let still = invalid("/spec/strategy", zero);
    assert!(still.contains("are both 0"), "{still}");
}

#[test]
fn where_the_label_reaches_the_pods_it_is_not_told_to_be_moved() {
    let labels = json!({"labels": {"berth.dev/workload-class": "c"}});
    let told = |group: &str, kind: &str, pointer: &str| {
        let mut document = object(
            group,
            kind,
            json!({"templates": [{"container": {}}],
            "workflowSpec": {"podMetadata": {}}, "template": {}}),
        );
        let (parent, key) = pointer.rsplit_once('/').expect("a field");
        document.pointer_mut(parent).expect("there")[key] = labels.clone();
        let found = previewed(&document).diagnostics.remove(0);
        (
            found.code.unwrap_or_default(),
            found.help.unwrap_or_default(),
        )
    };
    for (group, kind, right, wrong) in [
        (
            "argoproj.io/v1alpha1",
            "Workflow",
            "/spec/podMetadata",
            "/metadata",
        ),
        (
            "argoproj.io/v1alpha1",
            "CronWorkflow",
            "/spec/workflowSpec/podMetadata",
            "/spec/metadata",
        ),
        (
            "argoproj.io/v1alpha1",
            "WorkflowTemplate",
            "/spec/templates/0/metadata",
            "/metadata",
        ),
        ("tekton.dev/v1", "TaskRun", "/metadata", "/spec/x"),
        (
            "kubevirt.io/v1",
            "VirtualMachine",
            "/spec/template/metadata",
            "/metadata",
        ),
        (
            "kubevirt.io/v1",
            "VirtualMachineInstance",
            "/metadata",
            "/spec/x",
        ),
    ] {
        let (code, help) = told(group, kind, right);
        assert_eq!(code, "NoContainer", "{kind}");
        assert!(!help.contains("put it into"), "{kind}: {help}");
        let (code, help) = told(group, kind, wrong);
        assert_eq!(code, "LabelElsewhere", "{kind}");
        assert!(help.contains("put it into"), "{kind}: {help}");
    }
}

#[test]
fn an_opt_out_that_is_a_boolean_is_not_told_to_be_quoted() {
    let mut document = deployment(json!({"type": "Recreate"}), 1);
    document["spec"]["template"]["metadata"]["labels"]["berth.dev/inject"] = json!(false);
    let denials = previewed(&document).pods.remove(0).denials;
    let help = denials[0].help.as_deref().unwrap_or_default();
    assert!(help.starts_with("write disabled"), "{help}");
}

#[test]
fn the_pod_that_submits_a_job_to_ray_is_not_counted_early() {
    let document = object(
        "ray.io/v1",
        "RayJob",
        json!({"submitterPodTemplate": template(),
            "rayClusterSpec": {"headGroupSpec": {"template": template()}}}),
    );
    assert_eq!(
        topics(&document),
        [(
            "LimitReadEarly",
            "spec.rayClusterSpec.headGroupSpec.template.spec".to_owned()
        )]
    );
}

#[test]
fn a_label_written_as_an_annotation_is_told_once() {
    let mut document = deployment(json!({"type": "Recreate"}), 1);
    let metadata = &mut document["spec"]["template"]["metadata"];
    metadata["annotations"] = metadata["labels"].take();
    let field = "spec.template.metadata.annotations[\"berth.dev/workload-class\"]";
    assert_eq!(topics(&document), [("LabelElsewhere", field.to_owned())]);
}

#[test]
fn a_denial_of_a_template_names_the_field_in_its_document() {
    let spec = "spec.template.spec";
    for (field, value, begins) in [
        (
            "nodeSelector",
            json!({"a.b": 7}),
            "nodeSelector[\"a.b\"]: expected a string",
        ),
        ("nodeName", json!("n"), "nodeName \"n\" bypasses"),
        (
            "containers",
            json!([{"name": "main", "resources": {"limits": {"amd.com/gpu": "0.5"}}}]),
            "containers[0].resources.limits[\"amd.com/gpu\"]: \"0.5\" is not a whole number",
        ),
    ] {
        let mut document = deployment(json!({"type": "Recreate"}), 1);
        document["spec"]["template"]["spec"][field] = value;
        let denial = previewed(&document).pods.remove(0).denials.remove(0);
        let begins = format!("{spec}.{begins}");
        assert!(denial.message.starts_with(&begins), "{}", denial.message);
    }
}

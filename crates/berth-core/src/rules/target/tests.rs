use serde_json::{Value, json};

use crate::{
    outcome::Reason,
    placement::Way,
    table::{Settings, compile},
    testing::{Admitted, admit, class, pod, pool, view},
};

fn admitted(annotations: &Value, spec: &Value) -> Result<Admitted, (Reason, String)> {
    let view = view(&[
        pool("p", json!({})),
        class("c", &["p"], json!({"containerNames": ["vllm", "server"]})),
    ]);
    let mut pod = pod(spec.clone());
    pod["metadata"]["annotations"] = annotations.clone();
    admit(&view, &pod)
}

/// The containers that end with a GPU.
fn targets(annotations: &Value, spec: &Value) -> Vec<String> {
    let pod = admitted(annotations, spec)
        .unwrap_or_else(|denial| panic!("{spec}: {denial:?}"))
        .pod;
    let lists = [&pod["spec"]["initContainers"], &pod["spec"]["containers"]];
    let containers = lists.into_iter().filter_map(Value::as_array).flatten();
    let with_gpu = containers.filter(|container| {
        container["resources"]["limits"]
            .get("amd.com/gpu")
            .is_some()
    });
    with_gpu
        .map(|container| container["name"].as_str().unwrap().to_owned())
        .collect()
}

fn containers(names: &[&str]) -> Value {
    json!({"containers": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()})
}

fn asking(name: &str) -> Value {
    json!({"name": name, "resources": {"limits": {"amd.com/gpu": 1}}})
}

fn sidecar(name: &str) -> Value {
    json!({"name": name, "restartPolicy": "Always"})
}

#[test]
fn one_container_is_chosen_in_the_order_of_the_rule() {
    let none = json!({});
    let named = |name: &str| json!({"berth.dev/container": name});
    let default = |name: &str| json!({"kubectl.kubernetes.io/default-container": name});
    for (annotations, spec, target) in [
        // the annotation, also of a native sidecar
        (named("b"), containers(&["a", "b", "vllm"]), "b"),
        (
            named("s"),
            json!({"initContainers": [sidecar("s")], "containers": [{"name": "a"}]}),
            "s",
        ),
        // who asks
        (
            none.clone(),
            json!({"containers": [{"name": "vllm"}, asking("b")]}),
            "b",
        ),
        (
            named("b"),
            json!({"containers": [{"name": "a"}, asking("b")]}),
            "b",
        ),
        // the class's names, in their order
        (none.clone(), containers(&["a", "server", "vllm"]), "vllm"),
        (none.clone(), containers(&["a", "server"]), "server"),
        // the only regular one, whatever is injected beside it
        (none.clone(), containers(&["a"]), "a"),
        (
            none.clone(),
            containers(&["istio-proxy", "a", "linkerd-proxy"]),
            "a",
        ),
        (none.clone(), containers(&["queue-proxy"]), "queue-proxy"),
        (
            none.clone(),
            json!({"initContainers": [{"name": "i"}, sidecar("s")], "containers": [{"name": "a"}]}),
            "a",
        ),
        (default("b"), containers(&["a"]), "a"),
        // kubectl's default
        (default("b"), containers(&["a", "b"]), "b"),
        (
            default("kserve-container"),
            containers(&["a", "kserve-container"]),
            "kserve-container",
        ),
        // the frameworks' names
        (
            none.clone(),
            containers(&["a", "kserve-container"]),
            "kserve-container",
        ),
        (
            none.clone(),
            containers(&["a", "user-container"]),
            "user-container",
        ),
        (
            default("gone"),
            containers(&["a", "user-container"]),
            "user-container",
        ),
    ] {
        assert_eq!(
            targets(&annotations, &spec),
            [target],
            "{annotations} {spec}"
        );
    }
}

#[test]
fn every_container_that_asks_keeps_its_gpu_and_no_other_gets_one() {
    let view = view(&[
        pool("p", json!({})),
        class("c", &["p"], json!({"gpus": {"max": 4}})),
    ]);
    let pod = pod(json!({"containers": [asking("a"), {"name": "b"}, asking("c")]}));
    let after = admit(&view, &pod).expect("admitted").pod;
    assert_eq!(after["spec"]["containers"], pod["spec"]["containers"]);
}

#[test]
fn an_init_container_gets_a_gpu_only_if_it_asks_and_the_main_one_still_does() {
    let spec = json!({"initContainers": [asking("warm-up")], "containers": [{"name": "a"}]});
    assert_eq!(targets(&json!({}), &spec), ["warm-up", "a"]);
}

#[test]
fn what_is_unclear_is_denied_and_lists_the_names() {
    let (reason, message) =
        admitted(&json!({}), &containers(&["a", "b", "istio-proxy"])).expect_err("denied");
    assert_eq!(reason, Reason::ContainerAmbiguous);
    assert!(
        message.contains("(a, b, istio-proxy)") && message.contains("berth.dev/container"),
        "{message}"
    );
    let two = containers(&["kserve-container", "user-container"]);
    assert_eq!(
        admitted(&json!({}), &two).expect_err("denied").0,
        Reason::ContainerAmbiguous
    );
}

#[test]
fn an_annotation_that_misses_is_denied_and_names_both() {
    let named = |name: &str| json!({"berth.dev/container": name});
    for (annotation, spec, names) in [
        (named("gone"), containers(&["a", "b"]), ["gone", "a, b"]),
        (
            named("i"),
            json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}),
            ["i", "a"],
        ),
        (
            named("a"),
            json!({"containers": [{"name": "a"}, asking("b")]}),
            ["\"a\"", "\"b\""],
        ),
    ] {
        let (reason, message) = admitted(&annotation, &spec).expect_err("denied");
        assert_eq!(reason, Reason::ContainerConflict);
        assert!(names.iter().all(|name| message.contains(name)), "{message}");
    }
}

#[test]
fn a_claim_may_be_the_gpu() {
    let claiming = |name: &str| json!({"name": name, "resources": {"claims": [{"name": "gpu"}]}});
    let alone = json!({"containers": [claiming("a"), {"name": "b"}]});
    let only = admitted(&json!({}), &alone).expect("admitted");
    assert_eq!(targets(&json!({}), &alone), Vec::<String>::new());
    assert_eq!(
        only.warnings,
        ["berth: container a has resource claims: placed, but given no GPU limit"]
    );
    assert!(only.pod["spec"].get("affinity").is_some());
    // another asks: no warning, and the claim is left
    let beside = json!({"containers": [claiming("a"), asking("b")]});
    assert_eq!(targets(&json!({}), &beside), ["b"]);
    assert_eq!(
        admitted(&json!({}), &beside).expect("admitted").warnings,
        Vec::<String>::new()
    );
    // one that claims and asks is as any other
    let both = json!({"name": "a", "resources": {"claims": [{"name": "channel"}], "limits": {"amd.com/gpu": 1}}});
    assert_eq!(targets(&json!({}), &json!({"containers": [both]})), ["a"]);
}

#[test]
fn a_pod_without_containers_is_told_so() {
    let (reason, message) = admitted(&json!({}), &json!({"containers": []})).unwrap_err();
    assert_eq!(reason, Reason::ContainerAmbiguous);
    assert!(message.contains("(no container)"), "{message}");
}

#[test]
fn the_placement_says_by_which_way_the_container_was_found() {
    let none = json!({});
    let named = json!({"berth.dev/container": "b"});
    let kubectl = json!({"kubectl.kubernetes.io/default-container": "b"});
    let claiming = json!([{"name": "a", "resources": {"claims": [{"name": "gpu"}]}}]);
    for (annotations, spec, way) in [
        (&named, containers(&["a", "b"]), Way::Annotated),
        (
            &named,
            json!({"containers": [{"name": "a"}, asking("b")]}),
            Way::Annotated,
        ),
        (
            &none,
            json!({"containers": [{"name": "a"}, asking("b")]}),
            Way::Asks,
        ),
        (&none, json!({"containers": claiming}), Way::Claims),
        (&none, containers(&["a", "vllm"]), Way::NamedByClass),
        (&none, containers(&["istio-proxy", "a"]), Way::OnlyOne),
        (&kubectl, containers(&["a", "b"]), Way::KubectlDefault),
        (
            &none,
            containers(&["a", "user-container"]),
            Way::NamedByFramework,
        ),
    ] {
        let found = admitted(annotations, &spec).expect("admitted").way;
        assert_eq!(found, Some(way), "{annotations} {spec}");
    }
}

#[test]
fn the_operator_adds_what_is_injected() {
    let documents = [pool("p", json!({})), class("c", &["p"], json!({}))];
    let settings = Settings {
        injected_containers: vec!["gke-gcsfuse-sidecar".to_owned()],
        ..Settings::default()
    };
    let [said, unsaid] =
        [settings, Settings::default()].map(|it| compile(&documents, &it).0.into());
    let spec = containers(&["gke-gcsfuse-sidecar", "server"]);
    let admitted = admit(&said, &pod(spec.clone())).expect("admitted");
    let limits = &admitted.pod["spec"]["containers"][1]["resources"]["limits"];
    assert_eq!(*limits, json!({"amd.com/gpu": "1"}));
    let denied = admit(&unsaid, &pod(spec)).map(|it| it.pod);
    assert_eq!(denied.expect_err("denied").0, Reason::ContainerAmbiguous);
    // where nothing else is there, it is meant
    assert!(admit(&said, &pod(containers(&["gke-gcsfuse-sidecar"]))).is_ok());
}

#[test]
fn a_message_is_bounded_and_has_no_control_characters_whatever_the_names() {
    let long = "n\n".repeat(1_000);
    let spec = json!({"containers": (0..9).map(|i| json!({"name": format!("{i}{long}")})).collect::<Vec<_>>()});
    let annotation = json!({"berth.dev/container": long});
    for annotations in [json!({}), annotation] {
        let (_, message) = admitted(&annotations, &spec)
            .map(|it| it.pod)
            .expect_err("denied");
        assert!(message.len() <= 1024, "{}", message.len());
        assert!(!message.contains(char::is_control), "{message}");
        assert!(
            message.ends_with(')') && message.contains(" (table "),
            "{message}"
        );
    }
}

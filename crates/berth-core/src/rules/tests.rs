//! Rules 0, 3, 29 and 32: what is asked before and around the rules of a group.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    labels::Namespaces,
    names::HOSTNAME_LABEL,
    outcome::Reason,
    table::{Settings, compile},
    testing::{NAMESPACE, Said, admit, class, one_pool, pod, pool, view, with_free},
    validate::NamespaceLabels,
    view::View,
};

/// A class of three pools in two groups, AMD first.
fn two_vendors() -> View {
    view(&[
        pool(
            "amd",
            json!({"taints": [{"key": "amd", "effect": "NoSchedule"}]}),
        ),
        pool("nvidia", json!({"resourceName": "nvidia.com/gpu"})),
        pool("amd-too", json!({})),
        class(
            "c",
            &["amd", "nvidia", "amd-too"],
            json!({"gpus": {"max": 2}}),
        ),
    ])
}

fn denial(spec: Value) -> (Reason, String) {
    let denied = admit(&two_vendors(), &pod(spec));
    denied.map(|admitted| admitted.pod).expect_err("denied")
}

fn chosen(view: &View, spec: Value) -> String {
    let admitted =
        admit(view, &pod(spec.clone())).unwrap_or_else(|denial| panic!("{spec}: {denial:?}"));
    admitted.pool.expect("a pool")
}

#[test]
fn the_first_group_is_chosen_unless_the_pod_or_the_live_picture_says_another() {
    let view = two_vendors;
    let asks =
        |name: &str| json!({"containers": [{"name": "main", "resources": {"limits": {name: 2}}}]});
    assert_eq!(chosen(&view(), json!({})), "amd,amd-too");
    assert_eq!(chosen(&view(), asks("nvidia.com/gpu")), "nvidia");
    assert_eq!(
        chosen(
            &view(),
            json!({"nodeSelector": {"kubernetes.io/hostname": "nvidia-node"}})
        ),
        "nvidia"
    );
    for (free, pool) in [
        (
            &[("amd", 1), ("amd-too", 0), ("nvidia", 1)][..],
            "amd,amd-too",
        ),
        (&[("amd", 0), ("amd-too", 1)], "amd,amd-too"),
        (&[("amd", 0), ("amd-too", 0), ("nvidia", 1)], "nvidia"),
        (&[("amd", 0), ("amd-too", 0)], "nvidia"),
        (&[("amd", 0)], "amd,amd-too"),
        (&[("amd", 0), ("amd-too", 0), ("nvidia", 0)], "amd,amd-too"),
    ] {
        assert_eq!(
            chosen(&with_free(view(), free), json!({})),
            pool,
            "{free:?}"
        );
    }
    // two are needed, and one is free
    let one_each = with_free(view(), &[("amd", 1), ("amd-too", 1), ("nvidia", 2)]);
    let two = json!({"initContainers": [{"name": "i", "restartPolicy": "Always"}]});
    assert_eq!(chosen(&one_each, two), "amd,amd-too");
}

#[test]
fn a_pod_that_is_placed_stays_where_it_is_placed() {
    let admitted = admit(
        &two_vendors(),
        &pod(json!({"nodeSelector": {"kubernetes.io/hostname": "nvidia-node"}})),
    )
    .expect("admitted");
    assert_eq!(admitted.pool.as_deref(), Some("nvidia"));
    let full = with_free(two_vendors(), &[("nvidia", 0)]);
    let again = admit(&full, &admitted.pod).expect("admitted");
    assert_eq!(
        (again.pool.as_deref(), again.reason),
        (Some("nvidia"), Reason::InPlace)
    );
    assert_eq!(again.patch, Vec::<Value>::new());
}

#[test]
fn where_no_group_fits_each_says_why_and_one_reason_is_said_once() {
    let spec =
        json!({"containers": [{"name": "main", "resources": {"limits": {"gpu.intel.com/xe": 1}}}]});
    let (reason, message) = denial(spec);
    assert_eq!(reason, Reason::OtherGpu);
    let sentence = "container \"main\" asks for gpu.intel.com/xe, and pools \"amd,amd-too\" of workload class \"c\" have amd.com/gpu, \
         and pool \"nvidia\" of workload class \"c\" has nvidia.com/gpu: \
         remove gpu.intel.com/xe (berth adds what is needed), or use a class that has it (table ";
    assert!(message.starts_with(sentence), "{message}");
    // a reason that is not of the groups at all
    let ambiguous = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    let (reason, message) = denial(ambiguous);
    assert_eq!(reason, Reason::ContainerAmbiguous);
    assert!(
        message
            .starts_with("workload class \"c\" cannot tell which container gets the GPU (a, b): "),
        "{message}"
    );
}

#[test]
fn the_reason_is_that_of_the_group_that_is_nearest_to_serving_the_pod() {
    let on = |resources: Value, node: &str| json!({"nodeSelector": {"kubernetes.io/hostname": node}, "containers": [{"name": "main", "resources": resources}]});
    let nvidia = |limit: u8, request: u8| json!({"limits": {"nvidia.com/gpu": limit}, "requests": {"nvidia.com/gpu": request}});
    for (spec, expected) in [
        (
            json!({"containers": [{"name": "main", "resources": nvidia(1, 2)}]}),
            Reason::RequestDiffers,
        ),
        (on(nvidia(3, 3), "nvidia-node"), Reason::TooManyGpus),
        // the nodes are not there: the group with the GPU says so
        (on(nvidia(1, 1), "amd-node"), Reason::PlacementContradiction),
        (on(json!({}), "elsewhere"), Reason::PlacementContradiction),
    ] {
        let (reason, message) = denial(spec.clone());
        assert_eq!(reason, expected, "{spec}: {message}");
        if expected != Reason::PlacementContradiction {
            assert!(message.contains("pools \"amd,amd-too\": "), "{message}");
        }
    }
}

#[test]
fn what_bypasses_the_scheduler_or_is_out_of_bounds_is_denied() {
    let containers = |count: usize| {
        (0..count)
            .map(|i| json!({"name": format!("c{i}")}))
            .collect::<Value>()
    };
    let tolerations = |count: usize| {
        (0..count)
            .map(|i| json!({"key": format!("k{i}"), "operator": "Exists"}))
            .collect::<Value>()
    };
    for (spec, reason) in [
        (json!({"nodeName": "p-node"}), Reason::NodeNameSet),
        (
            json!({"containers": containers(101)}),
            Reason::TooManyContainers,
        ),
        (
            json!({"containers": containers(50), "initContainers": containers(51)}),
            Reason::TooManyContainers,
        ),
        (
            json!({"tolerations": tolerations(1001)}),
            Reason::TooManyTolerations,
        ),
        (json!({"os": {"name": "windows"}}), Reason::WindowsPod),
    ] {
        let denied = admit(&one_pool(), &pod(spec))
            .map(|admitted| admitted.pod)
            .expect_err("denied");
        assert_eq!(denied.0, reason, "{}", denied.1);
    }
    assert_eq!(
        chosen(&one_pool(), json!({"tolerations": tolerations(1000)})),
        "p"
    );
    assert_eq!(
        chosen(
            &one_pool(),
            json!({"os": {"name": "linux"}, "nodeName": ""})
        ),
        "p"
    );
    let windows = json!({"nodeSelector": {"matchLabels": {"kubernetes.io/os": "windows"}}});
    let windows = view(&[pool("w", windows), class("c", &["w"], json!({}))]);
    assert_eq!(chosen(&windows, json!({"os": {"name": "windows"}})), "w");
}

#[test]
fn a_node_that_is_chosen_already_must_be_known_and_of_a_pool() {
    let labels = |hostname: &str| [(HOSTNAME_LABEL.to_owned(), hostname.to_owned())].into();
    let nodes = [("n1", "nvidia-node"), ("n2", "elsewhere")];
    let nodes = nodes.map(|(name, hostname)| (name.to_owned(), labels(hostname)));
    let view = two_vendors().with_live(Arc::new(Said {
        nodes: nodes.into(),
        ..Said::default()
    }));
    let on = |node: &str| admit(&view, &pod(json!({"nodeName": node})));
    // the second group has it: all that the Pod needs there, and no node affinity
    let admitted = on("n1").expect("admitted");
    assert_eq!(admitted.pool.as_deref(), Some("nvidia"));
    let spec = &admitted.pod["spec"];
    assert_eq!(spec.get("affinity"), None);
    assert_eq!(
        spec["containers"][0]["resources"]["limits"],
        json!({"nvidia.com/gpu": "1"})
    );
    for (node, says) in [
        (
            "n2",
            "is not a Node of pools \"amd,amd-too\" of workload class \"c\" or pool \"nvidia\"",
        ),
        ("n3", "bypasses the scheduler"),
        ("nvidia-node", "bypasses the scheduler"),
    ] {
        let (reason, message) = on(node).map(|it| it.pod).expect_err("denied");
        assert_eq!(reason, Reason::NodeNameSet);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_class_is_open_to_the_namespaces_whose_labels_it_selects() {
    let class = class(
        "c",
        &["p"],
        json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}),
    );
    let settings = Settings {
        namespaces: NamespaceLabels::All,
        ..Settings::default()
    };
    let (table, problems) = compile(&[pool("p", json!({})), class], &settings);
    assert_eq!(problems, []);
    let view = View::from(table);
    let labels = |team: &str| [("team".to_owned(), team.to_owned())].into();
    let admitted = |view: &View| admit(view, &pod(json!({}))).map(|it| it.reason);
    let known = |team| {
        view.clone()
            .with_namespaces(Namespaces::new([(NAMESPACE.to_owned(), labels(team))]))
    };
    assert_eq!(admitted(&known("a")), Ok(Reason::Placed));
    for view in [known("b"), view.clone()] {
        let (reason, _) = admitted(&view).expect_err("denied");
        assert_eq!(reason, Reason::ClassUnavailable);
    }
}

#[test]
fn a_daemon_set_is_warned_where_its_template_lacks_what_we_add() {
    let owned = |kind: &str, spec: Value| {
        let mut pod = pod(spec);
        pod["metadata"]["ownerReferences"] =
            json!([{"kind": kind, "name": "x", "controller": true}]);
        admit(&one_pool(), &pod).expect("admitted").warnings.len()
    };
    // the second is that each Pod takes a GPU
    assert_eq!(owned("DaemonSet", json!({})), 2);
    let container = |gpus: u8| {
        let limits = json!({"amd.com/gpu": gpus});
        let selector = json!({"kubernetes.io/hostname": "p-node"});
        json!({"nodeSelector": selector, "containers": [{"name": "main", "resources": {"limits": limits}}]})
    };
    // who asks knows; who opts out hears of the zero
    assert_eq!(owned("DaemonSet", container(1)), 0);
    assert_eq!(owned("DaemonSet", container(0)), 1);
    assert_eq!(
        owned(
            "DaemonSet",
            json!({"nodeSelector": {"kubernetes.io/hostname": "p-node"}})
        ),
        1
    );
    assert_eq!(owned("ReplicaSet", json!({})), 0);
}

use serde_json::{Value, json};

use crate::{
    outcome::Reason,
    table::{Settings, compile},
    testing::{admit, class, one_pool, pod, pool, view},
    view::View,
};

fn resources(resources: Value) -> Value {
    pod(json!({"containers": [{"name": "main", "resources": resources}]}))
}

/// The resources of the first container.
fn after(view: &View, pod: &Value) -> Value {
    let admitted = admit(view, pod).unwrap_or_else(|denial| panic!("{pod}: {denial:?}"));
    admitted.pod["spec"]["containers"][0]["resources"].clone()
}

fn denial(view: &View, pod: &Value) -> (Reason, String) {
    admit(view, pod)
        .map(|admitted| admitted.pod)
        .expect_err("denied")
}

fn of(spec: Value) -> View {
    view(&[pool("p", json!({})), class("c", &["p"], spec)])
}

fn shared() -> View {
    view(&[
        pool(
            "p",
            json!({"resourceName": "nvidia.com/gpu", "resourceAliases": ["nvidia.com/gpu.shared", "x.io/gpu"]}),
        ),
        class("c", &["p"], json!({"gpus": {"max": 2}})),
    ])
}

#[test]
fn the_limit_is_written_where_there_is_none() {
    let one = json!({"limits": {"amd.com/gpu": "1"}});
    for there in [
        Value::Null,
        json!({}),
        json!({"limits": null}),
        json!({"limits": {}}),
    ] {
        assert_eq!(
            after(&one_pool(), &resources(there.clone())),
            one,
            "{there}"
        );
    }
    let cpu = json!({"limits": {"cpu": "1", "future": {"x": 1}}, "requests": {"cpu": "1"}});
    let both = json!({"limits": {"cpu": "1", "future": {"x": 1}, "amd.com/gpu": "1"}, "requests": {"cpu": "1"}});
    let cpu = json!({"limits": {"cpu": cpu["limits"]["cpu"]}, "requests": cpu["requests"]});
    let both = json!({"limits": {"cpu": "1", "amd.com/gpu": both["limits"]["amd.com/gpu"]}, "requests": {"cpu": "1"}});
    assert_eq!(after(&one_pool(), &resources(cpu)), both);
    let three = after(&of(json!({"gpus": {"default": 3}})), &resources(json!({})));
    assert_eq!(three, json!({"limits": {"amd.com/gpu": "3"}}));
}

#[test]
fn what_the_author_asked_for_stays() {
    let two = of(json!({"gpus": {"default": 1, "max": 2}}));
    for limit in [
        json!(2),
        json!("2"),
        json!("2e0"),
        json!("2000m"),
        json!(2.0),
    ] {
        let there = json!({"limits": {"amd.com/gpu": limit}, "requests": {"amd.com/gpu": "2"}});
        assert_eq!(after(&two, &resources(there.clone())), there);
    }
    let request = after(&two, &resources(json!({"requests": {"amd.com/gpu": "2"}})));
    assert_eq!(
        request,
        json!({"requests": {"amd.com/gpu": "2"}, "limits": {"amd.com/gpu": "2"}})
    );
}

#[test]
fn zero_on_the_target_opts_out_of_the_gpu_and_not_of_the_place() {
    for zero in [json!("0"), json!(0), Value::Null, json!("0m")] {
        let there = json!({"limits": {"amd.com/gpu": zero}});
        let admitted = admit(&one_pool(), &resources(there.clone())).expect("admitted");
        assert_eq!(admitted.pod["spec"]["containers"][0]["resources"], there);
        assert!(admitted.pod["spec"].get("affinity").is_some());
        let warning = "berth: container main gets no GPU: its limit of amd.com/gpu is 0 (a LimitRange's?); remove it to get one";
        assert_eq!(admitted.warnings, [warning]);
    }
}

#[test]
fn an_amount_below_zero_is_no_zero() {
    let view = view(&[
        pool("amd", json!({})),
        pool("nvidia", json!({"resourceName": "nvidia.com/gpu"})),
        class("c", &["amd", "nvidia"], json!({})),
    ]);
    // it is invalid, and no opt-out
    let there = json!({"limits": {"nvidia.com/gpu": "-1"}});
    let (reason, message) = denial(&view, &resources(there));
    assert_eq!(reason, Reason::FractionalGpu);
    assert!(message.contains("\"-1\" is less than zero"), "{message}");
}

#[test]
fn what_is_more_than_kubernetes_counts_is_told_as_that() {
    let view = view(&[pool("amd", json!({})), class("c", &["amd"], json!({}))]);
    for amount in ["99999999999999999999", "9223372036854775807"] {
        let (reason, message) = denial(
            &view,
            &resources(json!({"limits": {"amd.com/gpu": amount}})),
        );
        assert_eq!(reason, Reason::TooManyGpus);
        let told = "asks for 9223372036854775807 or more of amd.com/gpu";
        assert!(message.contains(told), "{message}");
    }
}

#[test]
fn a_zero_of_any_group_opts_out_of_the_gpu_in_every_group() {
    let nvidia = json!({"resourceName": "nvidia.com/gpu", "resourceAliases": ["x.io/gpu"],
        "runtimeClassName": "nvidia", "env": [{"name": "A", "value": "1"}]});
    let amd = json!({"runtimeClassName": "amd", "env": [{"name": "B", "value": "1"}]});
    let view = view(&[
        pool("amd", amd),
        pool("nvidia", nvidia),
        class("c", &["amd", "nvidia"], json!({})),
    ]);
    for name in ["amd.com/gpu", "nvidia.com/gpu", "x.io/gpu"] {
        for list in ["limits", "requests"] {
            let there = json!({list: {name: "0"}});
            let admitted = admit(&view, &resources(there.clone())).expect("admitted");
            let spec = &admitted.pod["spec"];
            assert_eq!(admitted.pool.as_deref(), Some("amd"), "{there}");
            let main = json!({"name": "main", "resources": there});
            assert_eq!(spec["containers"][0], main);
            assert_eq!(spec.get("runtimeClassName"), None, "{there}");
            assert!(spec.get("affinity").is_some());
            let said = format!("its {} of {name} is 0", list.trim_end_matches('s'));
            assert!(
                admitted.warnings[0].contains(&said),
                "{:?}",
                admitted.warnings
            );
        }
    }
    // a GPU above zero is an ask, whatever else is zero; nobody's GPU opts out of nothing
    for (there, given) in [
        (
            json!({"nvidia.com/gpu": "0", "amd.com/gpu": "1"}),
            "amd.com/gpu",
        ),
        (
            json!({"nvidia.com/gpu": "1", "amd.com/gpu": "0"}),
            "nvidia.com/gpu",
        ),
        (json!({"gpu.intel.com/xe": "0"}), "amd.com/gpu"),
    ] {
        let mut limits = there.clone();
        limits[given] = json!("1");
        let admitted = admit(&view, &resources(json!({"limits": there}))).expect("admitted");
        let container = &admitted.pod["spec"]["containers"][0];
        assert_eq!(container["resources"]["limits"], limits);
        assert_eq!(admitted.warnings, Vec::<String>::new());
    }
}

#[test]
fn amounts_that_kubernetes_would_refuse_are_denied() {
    for (resources_there, reason) in [
        (
            json!({"limits": {"amd.com/gpu": "1"}, "requests": {"amd.com/gpu": "2"}}),
            Reason::RequestDiffers,
        ),
        (
            json!({"limits": {"amd.com/gpu": "1"}, "requests": {"amd.com/gpu": "0"}}),
            Reason::RequestDiffers,
        ),
        (
            json!({"limits": {"amd.com/gpu": "500m"}}),
            Reason::FractionalGpu,
        ),
        (
            json!({"limits": {"amd.com/gpu": 0.5}}),
            Reason::FractionalGpu,
        ),
        (
            json!({"limits": {"amd.com/gpu": -1}}),
            Reason::FractionalGpu,
        ),
        (json!({"limits": {"amd.com/gpu": "one"}}), Reason::PodShape),
        (json!({"limits": {"amd.com/gpu": "2"}}), Reason::TooManyGpus),
    ] {
        let (found, message) = denial(&one_pool(), &resources(resources_there.clone()));
        assert_eq!(found, reason, "{resources_there}: {message}");
        assert!(message.contains("amd.com/gpu"), "{message}");
    }
}

#[test]
fn the_pod_is_counted_as_the_scheduler_counts_it() {
    let gpu = |name: &str, gpus: u8, sidecar: bool| {
        let mut container = json!({"name": name, "resources": {"limits": {"amd.com/gpu": gpus}}});
        if sidecar {
            container["restartPolicy"] = json!("Always");
        }
        container
    };
    let two = of(json!({"gpus": {"max": 2}}));
    for (init, regular, counted) in [
        (vec![gpu("i", 2, false)], vec![gpu("a", 1, false)], None),
        (
            vec![gpu("i", 2, false), gpu("j", 2, false)],
            vec![gpu("a", 2, false)],
            None,
        ),
        (vec![gpu("s", 1, true)], vec![gpu("a", 1, false)], None),
        (vec![], vec![gpu("a", 1, false), gpu("b", 1, false)], None),
        (
            vec![gpu("i", 1, false), gpu("s", 1, true)],
            vec![gpu("a", 1, false)],
            None,
        ),
        (
            vec![gpu("s", 1, true), gpu("i", 2, false)],
            vec![gpu("a", 1, false)],
            Some(3),
        ),
        (vec![gpu("s", 1, true)], vec![gpu("a", 2, false)], Some(3)),
        (vec![gpu("i", 3, false)], vec![gpu("a", 1, false)], Some(3)),
        (
            vec![],
            vec![gpu("a", 2, false), gpu("b", 2, false)],
            Some(4),
        ),
    ] {
        let pod = pod(json!({"initContainers": init, "containers": regular}));
        match counted {
            None => drop(admit(&two, &pod).expect("admitted")),
            Some(count) => {
                let (reason, message) = denial(&two, &pod);
                assert_eq!(reason, Reason::TooManyGpus);
                assert!(
                    message.contains(&format!("asks for {count} of")),
                    "{message}"
                );
                assert!(message.contains("LimitRange"), "{message}");
            }
        }
    }
}

#[test]
fn another_gpu_is_denied_wherever_it_is_asked_for() {
    for name in [
        "nvidia.com/gpu",
        "nvidia.com/mig-1g.5gb",
        "gpu.intel.com/xe",
        "huawei.com/Ascend910",
        "nvidia.com/TU104GL_Tesla_T4",
        "amd.com/cpx_nps4",
    ] {
        let container = json!({"name": "x", "resources": {"limits": {name: "1"}}});
        let own = json!({"name": "main"});
        for spec in [
            json!({"containers": [container]}),
            json!({"containers": [own, container]}),
            json!({"containers": [own], "initContainers": [container]}),
        ] {
            let (reason, message) = denial(&one_pool(), &pod(spec));
            assert_eq!(reason, Reason::OtherGpu);
            assert!(
                message.contains(name) && message.contains("amd.com/gpu"),
                "{message}"
            );
        }
    }
    for harmless in [
        json!({"nvidia.com/gpu": 0}),
        json!({"nvidia.com/gpumem": 4}),
        json!({"huawei.com/Ascend910-memory": 4}),
    ] {
        let mut limits = harmless.clone();
        limits["amd.com/gpu"] = json!("1");
        assert_eq!(
            after(&one_pool(), &resources(json!({"limits": harmless}))),
            json!({"limits": limits})
        );
    }
}

#[test]
fn what_is_no_gpu_or_may_be_none_is_left_and_said() {
    for (resource, says) in [
        (
            "nvidia.com/gpumem",
            Some("berth: nvidia.com/gpumem is NVIDIA's, and no node of pool p has it: remove it"),
        ),
        (
            "amd.com/whatever",
            Some(
                "berth: unknown whether amd.com/whatever is a GPU: who runs berth can add it, by --gpu-resource",
            ),
        ),
        ("nvidia.com/rdma_a", None),
        ("amd.com/gpu-memory", None),
        ("rdma/hca", None),
    ] {
        let there =
            json!({"limits": {resource: "4", "amd.com/gpu": "1"}, "requests": {resource: "4"}});
        let admitted = admit(&one_pool(), &resources(there.clone())).expect("admitted");
        assert_eq!(admitted.pod["spec"]["containers"][0]["resources"], there);
        assert_eq!(admitted.warnings, Vec::from_iter(says), "{resource}");
        let none = json!({"limits": {resource: "0"}});
        let admitted = admit(&one_pool(), &resources(none)).expect("admitted");
        assert_eq!(admitted.warnings, Vec::<String>::new(), "{resource}");
    }
}

#[test]
fn the_operator_says_what_is_a_gpu_and_what_is_none() {
    let documents = [pool("p", json!({})), class("c", &["p"], json!({}))];
    let table = |settings: &Settings| compile(&documents, settings).0;
    let (gpu, companion) = ("nvidia.com/a100", "nvidia.com/B200_fabric");
    let settings = Settings {
        gpu_resources: vec![gpu.to_owned(), companion.to_owned()],
        companion_resources: vec!["nvidia.com/H100_fabric".to_owned()],
        ..Settings::default()
    };
    let asks = |name: &str| resources(json!({"limits": {name: "1"}}));
    let said = table(&settings).into();
    for name in [gpu, companion] {
        assert_eq!(denial(&said, &asks(name)).0, Reason::OtherGpu, "{name}");
    }
    let admitted = admit(&said, &asks("nvidia.com/H100_fabric")).expect("admitted");
    assert_eq!(admitted.warnings, Vec::<String>::new());
    let unsaid = table(&Settings::default()).into();
    assert!(admit(&unsaid, &asks(gpu)).is_ok());
    assert_eq!(
        denial(&unsaid, &asks("nvidia.com/H100_fabric")).0,
        Reason::OtherGpu
    );
    // two replicas that say different things have different tables
    let [said, unsaid] =
        [&settings, &Settings::default()].map(|it| table(it).revision().to_owned());
    assert_ne!(said, unsaid);
    let mut reordered = settings.clone();
    reordered.gpu_resources.reverse();
    assert_eq!(table(&reordered).revision(), said);
}

#[test]
fn an_alias_is_rewritten_in_limits_and_requests() {
    for alias in ["nvidia.com/gpu.shared", "x.io/gpu"] {
        let there = json!({"limits": {"cpu": "1", alias: "2"}, "requests": {alias: "2"}});
        let ours = json!({"limits": {"cpu": "1", "nvidia.com/gpu": "2"}, "requests": {"nvidia.com/gpu": "2"}});
        assert_eq!(after(&shared(), &resources(there)), ours);
        let request = after(&shared(), &resources(json!({"requests": {alias: 1}})));
        assert_eq!(
            request,
            json!({"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": 1}})
        );
    }
    let two_names = json!({"limits": {"nvidia.com/gpu": "1", "nvidia.com/gpu.shared": "1"}});
    let (reason, message) = denial(&shared(), &resources(two_names));
    assert_eq!(reason, Reason::AliasConflict);
    assert!(
        message.contains("nvidia.com/gpu and nvidia.com/gpu.shared")
            || message.contains("nvidia.com/gpu.shared and nvidia.com/gpu"),
        "{message}"
    );
}

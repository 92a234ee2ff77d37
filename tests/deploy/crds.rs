//! The definitions are those of the types, bounded and described.

use std::fs;

use berth_core::api::{GPUPool, WorkloadClass, crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::validate_cel;
use serde_json::{Value, json};

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    for definition in crds() {
        let name = format!("deploy/crds/{}.yaml", definition.spec.names.plural);
        let text = fs::read_to_string(crate::common::path(&name)).expect("`make crds` writes it");
        let committed: CustomResourceDefinition =
            serde_saphyr::from_str(&text).expect("a definition");
        assert_eq!(committed, definition, "{name}: run `make crds`");
        // helm reads no file outside the chart
        let chart = name.replace("deploy/crds", "deploy/chart/berth/definitions");
        let copy = fs::read_to_string(crate::common::path(&chart)).expect("a copy");
        assert_eq!(copy, text, "{chart}: run `make crds`");
    }
}

/// A cluster stores the objects whoever reads them, so that nothing else would tell.
#[test]
fn the_definitions_and_their_help_say_who_reads_such_objects() {
    let mut told: Vec<String> = crds()
        .iter()
        .filter_map(|definition| {
            let schema = definition.spec.versions[0].schema.as_ref()?;
            schema.open_api_v3_schema.as_ref()?.description.clone()
        })
        .collect();
    assert_eq!(told.len(), crds().len());
    let help = crate::common::process::command()
        .args(["crds", "--help"])
        .output();
    told.push(String::from_utf8(help.expect("berth starts").stdout).expect("UTF-8"));
    for text in told {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("ignores"), "{text}");
        assert!(text.contains("--table-source cluster"), "{text}");
    }
}

#[test]
fn every_string_and_list_is_bounded_and_every_field_described() {
    for definition in crds() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).expect("JSON");
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        bounded(spec, &definition.spec.names.kind);
    }
}

/// So that server-side apply knows what is one entry, and the API server warns of nothing.
#[test]
fn every_list_has_its_type_and_every_number_a_format_that_the_api_server_knows() {
    for definition in crds() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).expect("JSON");
        known(&schema["openAPIV3Schema"], &definition.spec.names.kind);
    }
}

fn known(schema: &Value, path: &str) {
    match schema["type"].as_str() {
        Some("array") => {
            let list_type = schema["x-kubernetes-list-type"].as_str();
            assert!(list_type.is_some(), "{path}");
        }
        Some("integer") => {
            let format = schema["format"].as_str();
            assert!(
                matches!(format, Some("int32" | "int64")),
                "{path}: {format:?}"
            );
            // only observedGeneration has no least value of ours
            assert!(
                schema["minimum"].is_number() || path.ends_with("Generation"),
                "{path}"
            );
        }
        _ => {}
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        assert!(property.get("description").is_some(), "{path}");
        known(property, &path);
    }
    for below in ["items", "additionalProperties"] {
        if schema.get(below).is_some() {
            known(&schema[below], &format!("{path}.{below}"));
        }
    }
}

fn bounded(schema: &Value, path: &str) {
    let has = |key: &str| schema.get(key).is_some();
    match schema["type"].as_str() {
        Some("string") => assert!(has("maxLength") || has("enum"), "{path}"),
        Some("array") => assert!(has("maxItems"), "{path}"),
        Some("integer") => assert!(has("maximum"), "{path}"),
        Some("object") if has("additionalProperties") => assert!(has("maxProperties"), "{path}"),
        Some("object") => {}
        _ => assert!(has("maxLength"), "{path}: {schema}"),
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        assert!(property.get("description").is_some(), "{path}");
        bounded(property, &path);
    }
    for below in ["items", "additionalProperties"] {
        if has(below) {
            bounded(&schema[below], &format!("{path}.{below}"));
        }
    }
}

fn pool(spec: Value) -> GPUPool {
    let object = json!({"apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": "p"}, "spec": spec});
    serde_json::from_value(object).expect("a pool")
}

fn class(name: &str, gpus: Value) -> WorkloadClass {
    let spec = json!({"pools": [{"name": "p"}], "gpus": gpus});
    let object = json!({"apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": name}, "spec": spec});
    serde_json::from_value(object).expect("a class")
}

/// The rules in CEL by kube's evaluator; the API server's own has the last word.
#[test]
fn the_rules_of_the_schemas_say_what_validation_says() {
    let a = "amd.com/gpu";
    for (spec, holds) in [
        (json!({"resourceName": a, "hostnames": ["n"]}), true),
        (
            json!({"resourceName": a, "nodeSelector": {"matchLabels": {"a": "b"}}}),
            true,
        ),
        (json!({"resourceName": a}), false),
        (
            json!({"resourceName": a, "hostnames": ["n"], "nodeSelector": {"matchLabels": {"a": "b"}}}),
            false,
        ),
        (json!({"resourceName": a, "nodeSelector": {}}), false),
        (
            json!({"resourceName": a, "hostnames": ["n"], "resourceAliases": ["x/y"]}),
            true,
        ),
        (
            json!({"resourceName": a, "hostnames": ["n"], "resourceAliases": [a]}),
            false,
        ),
        (
            json!({"resourceName": a, "hostnames": ["n"], "sharing": {"strategy": "None"}}),
            true,
        ),
        (
            json!({"resourceName": a, "hostnames": ["n"], "sharing": {"strategy": "MPS", "replicas": 2}}),
            true,
        ),
        (
            json!({"resourceName": a, "hostnames": ["n"], "sharing": {"strategy": "None", "replicas": 2}}),
            false,
        ),
        (
            json!({"resourceName": a, "hostnames": ["n"], "sharing": {"strategy": "MPS"}}),
            false,
        ),
    ] {
        assert_eq!(validate_cel(&pool(spec.clone())).is_ok(), holds, "{spec}");
    }
    for (name, gpus, holds) in [
        ("vllm", json!({}), true),
        ("vllm", json!({"default": 2}), true),
        ("vllm", json!({"max": 2}), true),
        ("vllm", json!({"default": 2, "max": 1}), false),
        ("v.llm", json!({}), false),
    ] {
        assert_eq!(
            validate_cel(&class(name, gpus.clone())).is_ok(),
            holds,
            "{name} {gpus}"
        );
    }
}

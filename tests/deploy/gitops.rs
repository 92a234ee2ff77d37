//! The recipes of docs/gitops.md install what they say, and the pools of docs/platforms.md load.

use std::fs;

use berth_core::table::Settings;
use berth_manifests::table_files::TableFiles;
use serde_json::{Value, json};

use crate::{
    common::{path, process::arg},
    objects::{Object, check, find, objects},
    render::{succeeded, template},
};

/// The YAML of a page, block by block.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(path(page)).expect("a page");
    let blocks = text.split("```yaml\n").skip(1);
    let ends = blocks.map(|rest| rest.split("```").next().expect("the end of a block"));
    ends.map(str::to_owned).collect()
}

/// The two files of values: with the table in the cluster, and with a table of files.
fn values() -> [String; 2] {
    let blocks = blocks("docs/gitops.md").into_iter();
    let values: Vec<_> = blocks.filter(|block| block.starts_with("image:")).collect();
    values.try_into().expect("two files of values")
}

/// The objects of every other block.
fn recipes() -> Vec<Object> {
    let blocks = blocks("docs/gitops.md").into_iter();
    let others = blocks.filter(|block| !block.starts_with("image:"));
    others.flat_map(|block| objects(&block)).collect()
}

/// What helm makes of a file of values.
fn rendered(values: &str) -> Option<Vec<Object>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("values.yaml");
    fs::write(&file, values).expect("written");
    let output = template(&["--namespace", "berth"], &["--values", arg(&file)])?;
    Some(objects(&succeeded(output)))
}

/// The number of classes of a table.
fn classes(table: &str) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("table.yaml");
    fs::write(&file, table).expect("written");
    let files = TableFiles {
        paths: vec![file],
        settings: Settings::default(),
    };
    let table = files.load().unwrap_or_else(|error| panic!("{error}"));
    table.len()
}

#[test]
fn the_values_install_berth() {
    let [cluster, files] = values();
    let (Some(cluster), Some(files)) = (rendered(&cluster), rendered(&files)) else {
        return;
    };
    for objects in [&cluster, &files] {
        check(objects);
        find(objects, "Deployment", "berth");
    }
    find(&cluster, "CustomResourceDefinition", "gpupools.berth.dev");
    let table = &find(&files, "ConfigMap", "berth-table")["data"]["table.yaml"];
    assert_eq!(classes(table.as_str().expect("a table")), 1);
}

#[test]
fn the_table_that_is_shown_loads() {
    let mut blocks = blocks("docs/gitops.md").into_iter();
    let table = blocks.find(|block| block.starts_with("apiVersion: berth.dev/"));
    assert_eq!(classes(&table.expect("a table")), 1);
}

#[test]
fn the_recipes_name_what_there_is() {
    let recipes = recipes();
    let flux = find(&recipes, "HelmRelease", "berth");
    let argo = find(&recipes, "Application", "berth");
    let source = &argo["spec"]["sources"][0];
    for chart in [&flux["spec"]["chart"]["spec"]["chart"], &source["path"]] {
        let chart = path(chart.as_str().expect("a path")).join("Chart.yaml");
        assert!(chart.exists(), "{}", chart.display());
    }
    // Argo CD writes the Application's name into the label by which the Service selects
    assert_eq!(source["helm"]["releaseName"], argo["metadata"]["name"]);
    let generated = recipes
        .iter()
        .find(|it| !it["configMapGenerator"].is_null());
    let generated = &generated.expect("a kustomization")["configMapGenerator"][0];
    let from = &flux["spec"]["valuesFrom"][0];
    assert_eq!(from["name"], generated["name"]);
    assert_eq!(from["valuesKey"], generated["files"][0]);
    let health = &find(&recipes, "Kustomization", "berth")["spec"]["healthChecks"][0];
    assert_eq!(health["name"], flux["metadata"]["name"]);
    assert_eq!(health["namespace"], flux["metadata"]["namespace"]);
}

#[test]
fn the_ca_that_cert_manager_writes_is_no_difference() {
    let Some(objects) = rendered(&values()[0]) else {
        return;
    };
    let recipes = recipes();
    let argo = find(&recipes, "Application", "berth");
    let ignored = &argo["spec"]["ignoreDifferences"][0];
    let (kind, name) = (ignored["kind"].as_str(), ignored["name"].as_str());
    let webhook = find(&objects, kind.expect("a kind"), name.expect("a name"));
    let version = webhook["apiVersion"].as_str().expect("a version");
    let group = ignored["group"].as_str().expect("a group");
    assert!(version.starts_with(&format!("{group}/")), "{version}");
    for webhook in webhook["webhooks"].as_array().expect("webhooks") {
        let config = &webhook["clientConfig"];
        assert_eq!(config["caBundle"], Value::Null, "the chart sets none");
    }
    let expression = &ignored["jqPathExpressions"][0];
    assert_eq!(expression, ".webhooks[]?.clientConfig.caBundle");
}

#[test]
fn the_pools_of_each_platform_load() {
    let blocks = blocks("docs/platforms.md");
    assert_eq!(blocks.len(), 6, "one for each platform");
    for pool in blocks {
        let name = objects(&pool)[0]["metadata"]["name"].clone();
        let class = json!({
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "WorkloadClass",
            "metadata": {"name": "any"},
            "spec": {"pools": [{"name": name}]},
        });
        assert_eq!(classes(&format!("{pool}---\n{class}\n")), 1);
    }
}

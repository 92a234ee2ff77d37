//! The manifests as kubectl and helm render them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use serde_json::{Value, json};

use crate::{
    common::{overlays, path, process::arg},
    objects::{Object, objects},
};

/// Programs by name. Empty where they cannot be built, which the script says.
static PROGRAMS: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(|| {
    let build = Command::new(path("tools/control-plane/build"))
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&build.stderr);
    match build.status.code() {
        Some(0) => {}
        Some(3) => eprintln!("{said}"),
        _ => panic!("tools/control-plane/build: {said}"),
    }
    let lines = String::from_utf8(build.stdout).expect("UTF-8");
    let parts = lines.lines().filter_map(|line| line.split_once('='));
    parts
        .map(|(name, path)| (name.to_owned(), path.into()))
        .collect()
});

/// A program that renders.
pub fn program(name: &str) -> Option<Command> {
    PROGRAMS.get(name).map(Command::new)
}

/// An overlay of `deploy/kustomize/overlays`.
pub fn overlay(name: &str) -> Option<Vec<Object>> {
    kustomize(&path("deploy/kustomize/overlays").join(name))
}

/// The overlay for development.
pub fn dev() -> Option<Vec<Object>> {
    program("kubectl")?;
    let copy = overlays::copy();
    kustomize(&copy.path().join("deploy/kustomize/overlays/dev"))
}

/// The base with components, as an overlay would put them together, with the homelab's table where it is of files.
pub fn base_with(components: &[&str]) -> Option<Vec<Object>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let root = relative_root(folder.path());
    let paths = components
        .iter()
        .map(|name| format!("{root}/components/{name}"));
    let labels = json!({"app.kubernetes.io/name": "berth", "app.kubernetes.io/instance": "berth"});
    let table = json!({
        "name": "berth-table", "namespace": "berth", "files": ["table.yaml"],
        "options": {"disableNameSuffixHash": true, "labels": labels},
    });
    let of_files = components.contains(&"files-table");
    let tables = of_files.then_some(table).into_iter().collect::<Vec<_>>();
    let kustomization = json!({
        "resources": [format!("{root}/base")],
        "components": paths.collect::<Vec<_>>(),
        "configMapGenerator": tables,
    });
    fs::copy(
        path("examples/homelab.yaml"),
        folder.path().join("table.yaml"),
    )
    .expect("a file");
    let text = kustomization.to_string();
    fs::write(folder.path().join("kustomization.yaml"), text).expect("a file");
    kustomize(folder.path())
}

/// kustomize takes relative paths alone.
fn relative_root(from: &Path) -> String {
    let up = "../".repeat(from.components().count() - 1);
    let root = path("deploy/kustomize");
    format!("{up}{}", arg(&root).trim_start_matches('/'))
}

/// An overlay of one's own over an overlay: what a kustomization adds to it. A file `table.yaml` is beside it.
pub fn own_overlay(of: &str, components: &[&str], more: &Value) -> Option<Vec<Object>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let root = relative_root(folder.path());
    let paths = components
        .iter()
        .map(|name| format!("{root}/components/{name}"));
    let mut kustomization = json!({
        "resources": [format!("{root}/overlays/{of}")],
        "components": paths.collect::<Vec<_>>(),
    });
    fs::copy(
        path("examples/homelab.yaml"),
        folder.path().join("table.yaml"),
    )
    .expect("a file");
    let more = more.as_object().expect("fields").clone();
    kustomization.as_object_mut().expect("fields").extend(more);
    let text = kustomization.to_string();
    fs::write(folder.path().join("kustomization.yaml"), text).expect("a file");
    kustomize(folder.path())
}

fn kustomize(folder: &Path) -> Option<Vec<Object>> {
    let output = program("kubectl")?
        .args(["kustomize", arg(folder)])
        .output();
    Some(objects(&succeeded(output.expect("kubectl starts"))))
}

/// A table of files, which may be empty, unless other values follow.
const FILES: [&str; 2] = ["--set", "table.source=files,table.allowEmpty=true"];

/// The chart as `helm template` renders the release berth in the namespace berth, with [`FILES`].
pub fn chart(values: &[&str]) -> Option<Vec<Object>> {
    let values = [&FILES, values].concat();
    template(&["--namespace", "berth"], &values).map(|output| objects(&succeeded(output)))
}

/// What the chart creates and keeps: without the hooks, which helm runs beside it.
pub fn kept(objects: Vec<Object>) -> Vec<Object> {
    let hook = |it: &Object| !it["metadata"]["annotations"]["helm.sh/hook"].is_null();
    objects.into_iter().filter(|it| !hook(it)).collect()
}

/// What helm says where the values, besides [`FILES`], are invalid.
pub fn refused(values: &[&str]) -> Option<String> {
    let values = [&FILES, values].concat();
    refused_as_it_is(&values)
}

/// What helm says where the values are invalid.
pub fn refused_as_it_is(values: &[&str]) -> Option<String> {
    let output = template(&["--namespace", "berth"], values)?;
    assert!(!output.status.success(), "{values:?} are taken");
    Some(String::from_utf8(output.stderr).expect("UTF-8"))
}

/// `helm template` of the release berth.
pub fn template(flags: &[&str], values: &[&str]) -> Option<Output> {
    let chart = path("deploy/chart/berth");
    let mut helm = program("helm")?;
    helm.args(["template", "berth", arg(&chart)]).args(flags);
    Some(helm.args(values).output().expect("helm starts"))
}

/// The standard output of what went well.
pub fn succeeded(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

//! The chart and its table: never empty by accident, and never a broken one unseen.

use std::fs;

use serde_json::{Value, json};

use crate::{
    common::{
        path,
        process::{arg, command, ends},
    },
    objects::{find, objects as parsed},
    render::{base_with, chart, refused_as_it_is, succeeded, template},
};

/// Where the table is, if not in the cluster.
const FILES: &str = "table.source=files";

fn homelab() -> String {
    format!(
        "table.manifests={}",
        path("examples/homelab.yaml").display()
    )
}

#[test]
fn a_table_is_named_once_or_said_to_be_empty() {
    for values in ["replicas=3", "table.manifests=", "table.allowEmpty=false"] {
        let Some(message) = refused_as_it_is(&["--set", FILES, "--set", values]) else {
            return;
        };
        for word in ["table", "table.existingConfigMap", "table.allowEmpty"] {
            assert!(message.contains(word), "{values}: {message}");
        }
    }
    let both = [
        "--set-file",
        &homelab(),
        "--set",
        "table.source=files,table.existingConfigMap=mine",
    ];
    if let Some(message) = refused_as_it_is(&both) {
        assert!(message.contains("both"), "{message}");
    }
    // the default is the table in the cluster
    if let Some(message) = refused_as_it_is(&["--set-file", &homelab()]) {
        assert!(message.contains("kubectl apply"), "{message}");
        assert!(message.contains(FILES), "{message}");
    }
    for values in ["table.existingConfigMap=mine", "table.allowEmpty=true"] {
        let rendered = template(&["-n", "berth"], &["--set", FILES, "--set", values]);
        assert!(rendered.is_none_or(|it| it.status.success()), "{values}");
    }
}

#[test]
fn chart_and_kustomize_have_the_table_in_the_cluster_unless_one_says_files() {
    let Some(output) = template(&["-n", "berth"], &[]) else {
        return;
    };
    let chart = parsed(&succeeded(output));
    let kustomize = base_with(&["cert-manager"]).expect("kubectl");
    for objects in [chart, kustomize] {
        let deployment = find(&objects, "Deployment", "berth");
        let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let args = args.as_array().expect("args");
        assert!(args.contains(&json!("--table-source=cluster")), "{args:?}");
    }
}

/// The text was the value `table` itself, which helm would take for the whole map.
#[test]
fn the_old_name_of_the_table_is_refused_with_the_new_one() {
    let old = homelab().replace("table.manifests", "table");
    if let Some(message) = refused_as_it_is(&["--set-file", &old]) {
        let new = "--set-file table.manifests=FILE";
        assert!(message.contains(new), "{message}");
    }
}

#[test]
fn the_chart_renders_without_a_namespace() {
    let table = ["--set", FILES, "--set-file", &homelab()];
    let Some(output) = template(&[], &table) else {
        return;
    };
    let objects = parsed(&succeeded(output));
    // a Pod in the release's own namespace would never be asked about
    let pod = find(&objects, "Pod", "berth-cannot-test");
    let said = pod["spec"]["containers"][0]["args"].to_string();
    assert!(said.contains("test.namespace"), "{said}");
    let elsewhere = [&table[..], &["--set", "test.namespace=team"]].concat();
    let output = template(&[], &elsewhere).expect("helm");
    let objects = parsed(&succeeded(output));
    assert_eq!(
        find(&objects, "Pod", "berth-test")["metadata"]["namespace"],
        "team"
    );
}

#[test]
fn a_broken_table_stops_an_upgrade_before_anything_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("broken.yaml");
    let pool = "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {name: a}\nspec: {hostname: [a]}\n";
    fs::write(&broken, pool).expect("written");
    let broken = format!("table.manifests={}", arg(&broken));
    for (table, code) in [(homelab(), 0), (broken, 1)] {
        let Some(objects) = chart(&["--set-file", &table]) else {
            return;
        };
        let job = find(&objects, "Job", "berth-lint");
        before(job, "pre-install,pre-upgrade");
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], "berth-lint");
        let account = find(&objects, "ServiceAccount", "berth-lint");
        before(account, "pre-install,pre-upgrade");
        assert_eq!(account["automountServiceAccountToken"], false);
        assert_eq!(pod["automountServiceAccountToken"], false);
        let volume = &pod["volumes"][0]["configMap"]["name"];
        let map = find(&objects, "ConfigMap", volume.as_str().expect("a name"));
        before(map, "pre-install,pre-upgrade");
        // what the Job would read, and what it would run
        let mounted = folder.path().join(format!("mounted-{code}"));
        fs::create_dir(&mounted).expect("a folder");
        for (name, text) in map["data"].as_object().expect("data") {
            let text = text.as_str().expect("text");
            fs::write(mounted.join(name), text).expect("written");
        }
        let args = pod["containers"][0]["args"].as_array();
        let args = args.expect("args").iter().map(|it| {
            let it = it.as_str().expect("text");
            it.replace("/etc/berth/table", arg(&mounted))
        });
        let (ended, said) = ends(command().args(args));
        assert_eq!(ended != 0, code != 0, "{said}");
    }
}

fn before(object: &Value, events: &str) {
    let annotations = &object["metadata"]["annotations"];
    assert_eq!(annotations["helm.sh/hook"], events, "{object}");
    // a failed Job stays for its log, until the next one or for ten minutes
    let policy = annotations["helm.sh/hook-delete-policy"].as_str();
    assert_eq!(policy, Some("before-hook-creation,hook-succeeded"));
}

#[test]
fn a_table_of_ones_own_is_linted_before_an_upgrade_only() {
    // before an installation it may not be there yet
    let Some(objects) = chart(&["--set", "table.existingConfigMap=mine"]) else {
        return;
    };
    let job = find(&objects, "Job", "berth-lint");
    before(job, "pre-upgrade");
    let volume = &job["spec"]["template"]["spec"]["volumes"][0];
    assert_eq!(volume["configMap"], json!({"name": "mine"}));
    for values in [
        "table.allowEmpty=true",
        "table.existingConfigMap=mine,table.lint=false",
    ] {
        let objects = chart(&["--set", values]).expect("helm");
        assert!(objects.iter().all(|it| it["kind"] != "Job"), "{values}");
    }
}

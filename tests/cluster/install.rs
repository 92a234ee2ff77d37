//! berth installed as people install it, by helm and by kubectl. The API server has a quota like that of GKE.

use std::{collections::BTreeSet, fs, process::Output};

use berth_cluster::until;
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde_json::json;

use crate::{
    bare::{Bare, bare, is_placed, said},
    common::{
        overlays, path,
        process::{arg, command},
    },
    eventually,
    objects::{limits, plain, pod},
};

#[tokio::test]
async fn the_chart_is_installed_tested_upgraded_and_taken_away() {
    let Some(bare) = bare().await else { return };
    restricted_namespace(&bare).await;
    let notes = upgrade(&bare, "replicas=2").await;
    let (made, ca) = (bare.secret().await, bare.ca().await);
    assert_eq!(nodes(&bare).await.len(), 2, "each on a node of its own");

    // nothing serves yet: the Pod of the test is refused, and the message says by whom
    let test = "test berth -n berth --timeout=60s";
    assert!(notes.contains("helm test berth -n berth"), "{notes}");
    let failed = bare.helm(test, &[]).await;
    let message = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success(), "{message}");
    assert!(message.contains("pods.berth.dev"), "{message}");
    bystanders_do_not_wait(&bare).await;

    upgrade(&bare, "replicas=3").await;
    assert!(
        bare.secret().await.data == made.data,
        "the certificate is kept"
    );
    assert!(bare.ca().await == ca, "and so is its CA");

    bare.serve().await;
    let shown = bare.placed("vllm").await;
    assert_eq!(limits(&shown)["amd.com/gpu"], "1");
    let mut lines = notes.lines().map(str::trim);
    let next = lines.find_map(|line| line.strip_prefix("kubectl run "));
    let next = format!("run {}", next.expect("a command to try"));
    let tried = said(&bare.kubectl(&next, &[]).await);
    assert!(tried.contains("berth.dev/pool: strix-halo"), "{tried}");
    let (tested, ()) = tokio::join!(bare.helm(test, &[]), play_kubelet(&bare));
    assert!(said(&tested).contains("Succeeded"), "{tested:?}");

    let uninstalled = bare.helm("uninstall berth -n berth --wait", &[]);
    let creates = creates_while(&bare, uninstalled).await;
    assert!(creates.contains(&true), "some were placed before the end");
    bare.is_gone().await;
}

/// The chart's default: cert-manager issues the certificate, and no upgrade and no rollback touches it or its CA.
#[tokio::test]
async fn the_chart_with_cert_manager_is_upgraded_and_rolled_back() {
    let Some(bare) = bare().await else { return };
    restricted_namespace(&bare).await;
    let delete = "delete --ignore-not-found --timeout=60s -f";
    said(&bare.kubectl(delete, &[bare.definitions()]).await);
    let failed = helm_upgrade(&bare, &["replicas=2"]).await;
    let message = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success(), "{message}");
    assert!(
        message.contains("cert-manager is not installed"),
        "{message}"
    );
    assert!(!message.contains("no matches for kind"), "{message}");

    bare.start_cert_manager().await;
    said(&helm_upgrade(&bare, &["replicas=2"]).await);
    let ca = trusted(&bare).await;
    let issued = bare.secret().await;
    let authority = issued.data.as_ref().expect("data")["ca.crt"].0.clone();
    assert!(ca == authority, "the API server trusts who signed");
    assert_eq!(nodes(&bare).await.len(), 2, "each on a node of its own");

    said(&helm_upgrade(&bare, &["replicas=3", "logLevel=debug"]).await);
    assert!(bare.ca().await.as_ref() == Some(&ca), "after the upgrade");
    said(
        &bare
            .helm("rollback berth 1 -n berth --wait --timeout=60s", &[])
            .await,
    );
    assert!(bare.ca().await.as_ref() == Some(&ca), "after the rollback");
    assert!(
        bare.secret().await.data == issued.data,
        "nothing is issued anew"
    );

    bare.serve().await;
    assert_eq!(limits(&bare.placed("vllm").await)["amd.com/gpu"], "1");
    let uninstalled = bare.helm("uninstall berth -n berth --wait", &[]);
    creates_while(&bare, uninstalled).await;
    bare.is_gone().await;
}

/// Waits until cert-manager has told the API server whom to trust.
async fn trusted(bare: &Bare) -> Vec<u8> {
    let hooks: Api<MutatingWebhookConfiguration> = bare.all();
    let injected = until(hooks, watcher::Config::default(), |hooks| {
        let hook = hooks.get("berth")?.webhooks.as_ref()?.first()?;
        hook.client_config.ca_bundle.as_ref().map(|ca| ca.0.clone())
    });
    injected.await.expect("a CA is injected")
}

/// The nodes of the replicas.
async fn nodes(bare: &Bare) -> BTreeSet<String> {
    let pods: Api<Pod> = bare.within("berth");
    let replicas = ListParams::default().labels("app.kubernetes.io/name=berth");
    let pods = pods.list(&replicas).await.expect("Pods");
    let nodes = pods.items.into_iter().filter_map(|pod| pod.spec?.node_name);
    nodes.collect()
}

/// With its rights alone, the ServiceAccount reads the table, and nothing that would harm if berth were taken over.
#[tokio::test]
async fn the_chart_reads_its_table_from_the_cluster_with_the_rights_it_brings() {
    let Some(bare) = bare().await else { return };
    restricted_namespace(&bare).await;
    let upgrade = async || {
        let line = "upgrade --install berth -n berth --wait --timeout=60s --set";
        let chart = path("deploy/chart/berth");
        // the cluster gives them by name, and the first one is for another node
        let values = "tls.mode=helm,test.class=vllm";
        said(&bare.helm(line, &[values, arg(&chart)]).await)
    };
    let notes = upgrade().await;
    assert!(notes.contains("kubectl get gpupools,workloadclasses"));
    assert!(notes.contains("`helm test` will fail"), "{notes}");
    let table = path("examples/homelab.yaml");
    said(&bare.kubectl("apply -f", &[arg(&table)]).await);
    // now there is a class to test with
    let notes = upgrade().await;
    assert!(notes.contains("helm test berth -n berth"), "{notes}");

    bystanders_do_not_wait(&bare).await;
    nobody_answers_for_a_namespace_with_a_class(&bare).await;
    bare.serve_from_cluster().await;
    let shown = bare.placed("vllm").await;
    assert_eq!(limits(&shown)["amd.com/gpu"], "1");
    Box::pin(the_namespace_names_the_class(&bare)).await;
    the_statuses_are_written(&bare).await;
    for request in REFUSED {
        let line = format!("{request} --as=system:serviceaccount:berth:berth");
        let refused = bare.kubectl(&line, &[]).await;
        let message = String::from_utf8_lossy(&refused.stderr);
        let words = "User \"system:serviceaccount:berth:berth\" cannot ";
        assert!(message.contains(words), "{request}: {message}");
    }
    for right in READ {
        assert_eq!(bare.can(right).await, "yes", "{right}");
    }
    for right in DENIED {
        assert_eq!(bare.can(right).await, "no", "{right}");
    }
    let test = "test berth -n berth --timeout=60s";
    let (tested, ()) = tokio::join!(bare.helm(test, &[]), play_kubelet(&bare));
    assert!(said(&tested).contains("Succeeded"), "{tested:?}");

    // and berth has asked for nothing else
    let asked = bare.asked_by("system:serviceaccount:berth:berth");
    for right in ["\"watch\"", "\"patch\"", "\"update\""] {
        assert!(
            asked.iter().any(|(what, _)| what.starts_with(right)),
            "{right}: {asked:?}"
        );
    }
    let refused = asked.iter().filter(|(_, code)| *code == 403);
    assert_eq!(refused.collect::<Vec<_>>(), Vec::<&(String, u64)>::new());

    said(&bare.helm("uninstall berth -n berth --wait", &[]).await);
    // the table is the people's
    let left = said(
        &bare
            .kubectl("get gpupools,workloadclasses -o name", &[])
            .await,
    );
    assert_eq!(left.lines().count(), 9, "{left}");
    // and another installation takes it over
    let notes = upgrade().await;
    assert!(notes.contains("helm test berth -n berth"), "{notes}");
    said(&bare.helm("uninstall berth -n berth --wait", &[]).await);
    said(&bare.kubectl(NO_DEFINITIONS, &[]).await);
    bare.is_gone().await;
}

/// Deletes the definitions, and with them the table.
const NO_DEFINITIONS: &str = "delete crd gpupools.berth.dev workloadclasses.berth.dev";

/// What berth asks for.
const READ: &[&str] = &[
    "list gpupools",
    "watch workloadclasses",
    "list namespaces",
    "watch nodes",
    "list pods",
    "watch deviceclasses.resource.k8s.io",
    "patch gpupools --subresource=status",
    "patch workloadclasses --subresource=status",
    "create events.events.k8s.io",
    "update leases/berth -n berth",
    "watch leases/berth -n berth",
];
/// What the API server refuses when it is asked as berth.
const REFUSED: &[&str] = &[
    "get secrets -n berth",
    "get secret berth-tls -n berth",
    "create secret generic mine -n berth",
    "get pod none -n default",
    "run mine --image=none -n default",
    "delete pods --all -n berth",
    "get mutatingwebhookconfigurations",
    "delete mutatingwebhookconfiguration berth",
    "delete gpupools --all",
    "cordon khelben.home.arpa",
    "create namespace mine",
    "create token berth -n berth",
];
/// What it must never be able to do.
const DENIED: &[&str] = &[
    "get secrets",
    "list secrets",
    "get pods",
    "create pods",
    "patch pods",
    "create pods/binding",
    "patch mutatingwebhookconfigurations",
    "create mutatingwebhookconfigurations",
    "patch gpupools",
    "update gpupools --subresource=status",
    "patch events.events.k8s.io",
    "create leases -n berth",
    "update leases/other -n berth",
    "update leases/berth -n kube-system",
    "patch nodes",
    "impersonate users",
    "escalate clusterroles",
    "create serviceaccounts/token",
];

#[tokio::test]
async fn the_overlay_for_development_serves_and_is_taken_away() {
    let Some(bare) = bare().await else { return };
    let copy = overlays::copy();
    let overlay = copy.path().join("deploy/kustomize/overlays/dev");
    // in the order that README.md gives
    bare.define().await;
    said(&bare.kubectl("apply -k", &[arg(&overlay)]).await);
    rolled_out(&bare).await;
    let refused = bare.dry_run("berth", &pod("vllm")).await;
    let message = refused.expect_err("it may do too much").to_string();
    assert!(
        message.contains("violates PodSecurity \"restricted"),
        "{message}"
    );

    bare.serve_from_cluster().await;
    assert_eq!(limits(&bare.placed("whisper").await)["nvidia.com/gpu"], "1");

    // in the order that deploy/README.md gives
    let first = "delete mutatingwebhookconfiguration berth";
    said(&bare.kubectl(first, &[]).await);
    // the API server says to nobody when it has noticed
    let left_alone = eventually(async || {
        let created = bare.dry_run("default", &pod("whisper")).await;
        (!is_placed(&created.expect("none is refused"))).then_some(())
    });
    assert!(left_alone.await.is_some(), "berth is still asked");
    let rest = "delete --ignore-not-found --timeout=60s -k";
    let creates = creates_while(&bare, bare.kubectl(rest, &[arg(&overlay)])).await;
    assert_eq!(creates, BTreeSet::from([false]), "and none is refused");
    said(&bare.kubectl(NO_DEFINITIONS, &[]).await);
    bare.is_gone().await;
}

#[tokio::test]
async fn the_overlay_for_production_runs_each_replica_on_a_node_of_its_own() {
    let Some(bare) = bare().await else { return };
    define(&bare).await;
    let overlay = path("deploy/kustomize/overlays/ha");
    said(&bare.kubectl("apply -k", &[arg(&overlay)]).await);
    rolled_out(&bare).await;
    assert_eq!(nodes(&bare).await.len(), 3);
    let deleted = bare
        .kubectl("delete --timeout=60s -k", &[arg(&overlay)])
        .await;
    said(&deleted);
    bare.is_gone().await;
}

async fn restricted_namespace(bare: &Bare) {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"});
    let namespace = json!({"metadata": {"name": "berth", "labels": labels}});
    let namespace: Namespace = serde_json::from_value(namespace).expect("a namespace");
    let created = bare.all().create(&PostParams::default(), &namespace).await;
    created.expect("the namespace");
}

/// `helm upgrade --install`, with the homelab's table in a ConfigMap.
async fn helm_upgrade(bare: &Bare, values: &[&str]) -> Output {
    let line = "upgrade --install berth -n berth --wait --timeout=60s";
    let (chart, table) = (path("deploy/chart/berth"), path("examples/homelab.yaml"));
    let (table, values) = (format!("table.manifests={}", arg(&table)), values.join(","));
    let values = format!("table.source=files,{values}");
    let rest = ["--set", &values, "--set-file", &table, arg(&chart)];
    bare.helm(line, &rest).await
}

/// The same, with a certificate of Helm's.
async fn upgrade(bare: &Bare, values: &str) -> String {
    said(&helm_upgrade(bare, &["tls.mode=helm", values]).await)
}

/// Runs the container of the chart's test, and reports how it ends, as a kubelet does.
async fn play_kubelet(bare: &Bare) {
    let pods: Api<Pod> = bare.within("default");
    let test = watcher::Config::default().fields("metadata.name=berth-test");
    let running = until(pods.clone(), test, |pods| {
        let pod = pods.get("berth-test")?;
        let phase = pod.status.as_ref()?.phase.as_deref();
        (phase == Some("Running")).then(|| pod.clone())
    });
    let running = running.await.expect("the test's Pod runs");
    assert_eq!(limits(&running)["amd.com/gpu"], "0");
    let pool = &running.annotations()["berth.dev/pool"];
    let spec = running.spec.as_ref().expect("a spec");
    assert_eq!(spec.node_name.as_deref(), Some("khelben.home.arpa"));
    let args = spec.containers[0].args.iter().flatten();
    let args = args.map(|it| it.replace("$(POOL)", pool));
    let ended = command().args(args).output().expect("berth starts");
    let phase = if ended.status.success() {
        "Succeeded"
    } else {
        "Failed"
    };
    let status = Patch::Merge(json!({"status": {"phase": phase}}));
    let ours = PatchParams::default();
    let patched = pods.patch_status("berth-test", &ours, &status).await;
    patched.expect("a status");
}

/// While no replica answers: Pods without a class, mirror Pods, and those of the namespaces that are left out.
async fn bystanders_do_not_wait(bare: &Bare) {
    let mut plain = pod("vllm");
    plain.metadata.labels = None;
    bare.dry_run("default", &plain).await.expect("no class");
    let mut mirror = pod("vllm");
    let annotation = ("kubernetes.io/config.mirror".to_owned(), "hash".to_owned());
    mirror.metadata.annotations = Some([annotation].into());
    mirror.spec.as_mut().expect("a spec").node_name = Some("danilo.home.arpa".to_owned());
    bare.dry_run("default", &mirror).await.expect("a mirror");
    let vllm = pod("vllm");
    bare.dry_run("kube-system", &vllm).await.expect("left out");
    let refused = bare.dry_run("default", &vllm).await;
    let message = refused.expect_err("no one answers").to_string();
    let named = "failed calling webhook \"pods.berth.dev\"";
    assert!(message.contains(named), "{message}");
}

/// The namespace of the Pods whose class it names.
const WHOLE: &str = "whole";

/// Labels a new namespace with a class: its Pods wait for berth from then on.
async fn nobody_answers_for_a_namespace_with_a_class(bare: &Bare) {
    let namespace = json!({"metadata": {"name": WHOLE}});
    let namespace: Namespace = serde_json::from_value(namespace).expect("a namespace");
    let created = bare.all().create(&PostParams::default(), &namespace).await;
    created.expect("the namespace");
    let account = "wait --for=create serviceaccount/default --timeout=60s -n";
    said(&bare.kubectl(account, &[WHOLE]).await);
    let shown = bare.dry_run(WHOLE, &plain("x")).await;
    assert!(!is_placed(&shown.expect("nobody is asked")));
    let label = "label namespace whole berth.dev/workload-class=vllm";
    said(&bare.kubectl(label, &[]).await);
    // the API server sees the label a little later
    let refused = eventually(async || bare.dry_run(WHOLE, &plain("x")).await.err());
    let message = refused.await.expect("it is asked about").to_string();
    let named = "failed calling webhook \"namespaces.berth.dev\"";
    assert!(message.contains(named), "{message}");
}

/// The class of the namespace is for Pods that name none and have not opted out, and only there.
async fn the_namespace_names_the_class(bare: &Bare) {
    // berth sees the label on its own way
    let placed = eventually(async || {
        bare.dry_run(WHOLE, &plain("x"))
            .await
            .ok()
            .filter(is_placed)
    });
    let placed = placed.await.expect("the namespace's class");
    assert_eq!(placed.annotations()["berth.dev/pool"], "strix-halo");
    assert_eq!(limits(&placed)["amd.com/gpu"], "1");
    let own = bare.dry_run(WHOLE, &pod("whisper")).await.expect("a Pod");
    assert_eq!(own.annotations()["berth.dev/pool"], "rtx-2070");
    let mut out = plain("x");
    let label = ("berth.dev/inject".to_owned(), "disabled".to_owned());
    out.metadata.labels = Some([label].into());
    let out = bare.dry_run(WHOLE, &out).await.expect("a Pod");
    assert!(!is_placed(&out), "it opted out");
    let elsewhere = bare.dry_run("default", &plain("x")).await.expect("a Pod");
    assert!(!is_placed(&elsewhere), "its namespace names no class");
    said(
        &bare
            .kubectl("delete namespace whole --wait=false", &[])
            .await,
    );
}

/// Waits for what kubectl shows of the table, which the holder of the Lease writes.
async fn the_statuses_are_written(bare: &Bare) {
    let written = "wait --for=condition=Ready --timeout=60s gpupool/strix-halo workloadclass/vllm";
    said(&bare.kubectl(written, &[]).await);
    let holder = "get lease berth -n berth -o jsonpath={.spec.holderIdentity}";
    let holder = said(&bare.kubectl(holder, &[]).await);
    assert!(!holder.is_empty(), "the Lease that was installed is held");
}

/// Creates Pods of a class until something has ended: whether each was placed. None may be refused.
async fn creates_while(bare: &Bare, something: impl Future<Output = Output>) -> BTreeSet<bool> {
    let (mut placed, whisper) = (BTreeSet::new(), pod("whisper"));
    let mut something = Box::pin(something);
    loop {
        tokio::select! {
            biased;
            created = bare.dry_run("default", &whisper) => {
                let created = created.unwrap_or_else(|error| panic!("{error}"));
                placed.insert(is_placed(&created));
            }
            ended = &mut something => {
                said(&ended);
                return placed;
            }
        }
    }
}

/// The definitions that the overlay needs: cert-manager's own, and of Prometheus' operator no more than the names.
async fn define(bare: &Bare) {
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, plural) in [
        ("ServiceMonitor", "servicemonitors"),
        ("PrometheusRule", "prometheusrules"),
    ] {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
            "spec": {
                "group": "monitoring.coreos.com",
                "names": {"kind": kind, "plural": plural},
                "scope": "Namespaced",
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
            },
        });
        let file = folder.path().join(format!("{plural}.json"));
        fs::write(file, definition.to_string()).expect("written");
    }
    let files = ["-f", bare.definitions(), "-f", arg(folder.path())];
    said(&bare.kubectl("apply --server-side", &files).await);
    let established = "wait --for=condition=Established crd --all --timeout=60s";
    said(&bare.kubectl(established, &[]).await);
}

/// The Deployment's Pods were admitted, by the Pod Security Standard and by the quota, and are ready.
async fn rolled_out(bare: &Bare) {
    let status = "rollout status deployment/berth -n berth --timeout=60s";
    said(&bare.kubectl(status, &[]).await);
}

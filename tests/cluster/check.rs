//! `berth check` on a real control plane: all is well, then each link is broken. That line fails and no other, and its hint,
//! run as it is printed, fixes it.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
};

use regex::Regex;
use serde_json::json;

use self::{
    breaks::{BREAKS, BY_DRA, OF_THE_SERVICE},
    operator::{Operator, check, printed},
    way::{Goes, Way},
};
use crate::{
    common::{path, process::arg},
    eventually,
};

mod breaks;
mod operator;
mod way;

#[tokio::test]
async fn all_is_well_and_each_link_that_is_broken_is_the_one_that_fails() {
    let Some(operator) = Operator::of_homelab().await else {
        return;
    };
    let said = operator.is_well().await;
    for line in [
        "√ Kubernetes is 1.33 or newer",
        "√ the definition of GPUPool is installed",
        "√ berth has the rights that it needs: 19 rights",
        "√ 2 replicas are ready",
        "√ the webhook configuration is as it is shipped",
        "√ the caBundle verifies the certificate that is served at localhost:",
        "comes back placed from a dry run: pool ",
        "√ 4 GPUPools and 5 WorkloadClasses are accepted",
        "√ every replica has the same table (",
        "√ strix-halo: 1 node with 1 amd.com/gpu, taint dedicated=vllm:NoSchedule",
        "√ rtx-2070: 1 node with 2 nvidia.com/gpu, no taint",
        "√ a replica holds the Lease: ",
        "· the guard is in force and as the table",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    for link in BREAKS {
        operator.breaks(link).await;
    }
    if std::env::var(crate::KUBERNETES).is_err() {
        operator.breaks(&BY_DRA).await;
    } else {
        // past libtest, which shows what a test that passes prints to nobody
        let sentence =
            "SKIPPED: a pool by DRA, because this Kubernetes has no extendedResourceName";
        let _ = writeln!(io::stderr(), "{sentence}");
    }
    // nothing was left behind by the dry runs
    let pods = operator.shell("kubectl get pods -n default -o name").await;
    assert_eq!(pods, "");
    before_an_installation(&operator).await;
    without_rights(&operator).await;
    waits(&operator).await;
}

/// Before an installation: who may not install it, and what is in the way.
async fn before_an_installation(operator: &Operator) {
    let (code, text) = printed(&operator.check("--pre").await);
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "√ you may create what berth consists of",
        "‼ cert-manager is installed\n    there is no CustomResourceDefinition certificates.cert-manager.io, issuers.cert-manager.io",
        "√ no other webhook configuration is named berth",
        "√ no webhook of an earlier installation points nowhere",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let foreign = r#"echo '{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"other"}}' | kubectl apply -f -"#;
    operator.shell(foreign).await;
    let (code, text) = printed(&operator.check("--pre --name other").await);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("× no other webhook configuration is named other"),
        "{text}"
    );
    operator
        .shell("kubectl delete mutatingwebhookconfiguration other")
        .await;
    let (code, text) = printed(&operator.check_as("nobody", "--pre -n gpu").await);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("create deployments.apps in namespace gpu"),
        "{text}"
    );
    assert!(text.contains("cluster-admin"), "{text}");
}

/// Who may read nothing is told so, and no line looks like a broken link.
async fn without_rights(operator: &Operator) {
    let (code, text) = printed(&operator.check_as("nobody", "").await);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains('×') && !text.contains('‼'), "{text}");
    for line in [
        "√ Kubernetes is 1.33 or newer",
        "· the webhook configuration is as it is shipped\n    you may not read MutatingWebhookConfigurations",
        "· each pool has its Nodes",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let end = text.lines().last().unwrap_or_default();
    assert!(
        end.starts_with("· nothing failed; ") && end.ends_with("could not be checked"),
        "{end}"
    );
}

/// How long it waits, and how it ends.
async fn waits(operator: &Operator) {
    operator.shell("kubectl cordon danilo.home.arpa").await;
    let (code, text) = printed(&operator.check("--wait 2s -o short").await);
    assert_eq!(code, Some(124), "{text}");
    assert!(
        text.starts_with("berth-nodes\n-----------\n× intel-arc: its Nodes take Pods\n"),
        "{text}"
    );
    // what is pasted goes to the cluster that was checked
    let (_, text) = printed(&operator.check("-o short --context berth").await);
    assert!(
        text.contains("kubectl --context=berth uncordon danilo.home.arpa"),
        "{text}"
    );
    let (waited, _) = tokio::join!(
        operator.check("--wait 60s"),
        operator.shell("kubectl uncordon danilo.home.arpa")
    );
    assert_eq!(waited.status.code(), Some(0));
}

/// With a Service as it is installed: what leads to the replicas, and a control plane that does not reach them.
#[tokio::test]
async fn a_service_that_leads_nowhere_and_a_port_that_is_not_reached_are_told_apart() {
    let (Some(mut way), Some(mut admin)) = (Way::new(), Way::new()) else {
        return;
    };
    let addresses = [way.address, admin.address];
    let Some((operator, serving)) = Operator::of_chart(addresses).await else {
        return;
    };
    let replica = Goes::To(serving.webhook);
    way.leads(replica).await;
    admin.leads(Goes::To(serving.admin)).await;
    let said = operator.is_well().await;
    the_page_shows_it(&operator, &said).await;
    let at = format!(
        "√ the caBundle verifies the certificate that is served at {}",
        way.address
    );
    assert!(said.contains(&at), "{said}");

    replicas_with_two_tables(&operator).await;
    for link in OF_THE_SERVICE {
        operator.breaks(link).await;
    }
    // the control plane alone does not get there
    for (goes, means, advice) in [
        (
            Goes::Nowhere,
            "the control plane does not reach the port",
            "--set webhook.port=10250",
        ),
        (
            Goes::To(SocketAddr::from(([127, 0, 0, 1], 1))),
            "nothing listens at the port",
            "see whether berth runs",
        ),
    ] {
        way.leads(goes).await;
        let only = async || {
            let bad = operator.bad().await;
            let [one] = bad.as_slice() else { return None };
            one.found.starts_with(means).then_some(bad)
        };
        let Some(bad) = eventually(only).await else {
            panic!("{means}: {:#?}", operator.bad().await);
        };
        assert!(
            bad[0].what.contains("comes back placed from a dry run"),
            "{bad:?}"
        );
        let (_, said) = printed(&operator.check("-o short").await);
        assert!(said.contains(advice), "{said}");
        // the API server reaches the other port, and tells of the table
        let (_, said) = printed(&operator.check("").await);
        assert!(said.contains("is not reached from here"), "{said}");
        assert!(
            said.contains("√ every replica has the same table ("),
            "{said}"
        );
        way.leads(replica).await;
        operator.is_well().await;
    }
}

/// A second replica behind the Service has another table: that line fails and no other.
async fn replicas_with_two_tables(operator: &Operator) {
    let mut way = Way::new().expect("another port");
    let table = path("examples/homelab.yaml");
    let table = fs::read_to_string(table).expect("a table");
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("table.yaml");
    fs::write(
        &other,
        table.replace("memoryPerGPU: 8Gi", "memoryPerGPU: 7Gi"),
    )
    .expect("written");
    let second = operator.serve(&["--table", arg(&other)]).await;
    way.leads(Goes::To(second.webhook)).await;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "second", "namespace": "berth", "labels": {"kubernetes.io/service-name": "berth"}},
        "ports": [{"name": "webhook", "port": way.address.port()}],
        "endpoints": [{"addresses": [way.address.ip()], "conditions": {"ready": true}}],
    });
    let file = folder.path().join("slice.json");
    fs::write(&file, slice.to_string()).expect("written");
    operator
        .shell(&format!("kubectl apply -f {}", arg(&file)))
        .await;
    let only = async || {
        let bad = operator.bad().await;
        let [one] = bad.as_slice() else { return None };
        let is_it = one.what == "every replica has the same table" && one.result == "error";
        is_it.then(|| one.found.clone())
    };
    let Some(found) = eventually(only).await else {
        panic!("{:#?}", operator.bad().await);
    };
    assert!(found.contains(&format!("{} has ", way.address)), "{found}");
    operator
        .shell("kubectl delete endpointslice second -n berth")
        .await;
    operator.is_well().await;
    second.terminate().expect("it ends");
}

/// What differs from one run to another, in the form of the page.
fn normal(text: &str) -> String {
    let mut text = text.trim_end().to_owned();
    for (varies, form) in [
        (r"served at \S+", "served at ADDRESS"),
        (r"valid for \d+ days", "valid for N days"),
        (r"holds the Lease: \S+", "holds the Lease: ID"),
    ] {
        let varies = Regex::new(varies).expect("an expression");
        text = varies.replace_all(&text, form).into_owned();
    }
    text
}

/// docs/check.md shows what a check prints where all is well, and where a Node has a taint.
async fn the_page_shows_it(operator: &Operator, said: &str) {
    let page = fs::read_to_string(path("docs/check.md")).expect("the page");
    let block = |command: &str| {
        let (_, rest) = page
            .split_once(&format!("```console\n$ {command}\n"))
            .expect("a block");
        let (block, _) = rest.split_once("```").expect("its end");
        normal(block)
    };
    assert_eq!(block("berth check"), normal(said));
    let readme = fs::read_to_string(path("README.md")).expect("the README");
    let end = said.lines().last().unwrap_or_default();
    assert!(readme.contains(end), "{end}");
    let taint = "kubectl taint nodes elminster.home.arpa gpu=true:NoSchedule";
    operator.shell(taint).await;
    let short = async || normal(&printed(&operator.check("-o short").await).1);
    let wanted = block("berth check -o short");
    let same = eventually(async || (short().await == wanted).then_some(())).await;
    assert!(same.is_some(), "{}", short().await);
    operator.shell(&format!("{taint}-")).await;
    operator.is_well().await;
}

/// berth then needs no object of the cluster: nothing of that fails.
#[tokio::test]
async fn with_a_table_of_files_what_is_of_the_cluster_is_skipped() {
    let Some(homelab) = crate::shared().await else {
        return;
    };
    let kubeconfig = homelab.control_plane().kubeconfig().expect("a file");
    // kwok may not have run the Pods of berth's Deployment yet
    let (code, text) = printed(&check(kubeconfig, "--wait 60s").await);
    assert_eq!(code, Some(0), "{text}");
    let skipped = |what: &str| format!("· {what}\n    the table is of files");
    for line in [
        skipped("the definitions are installed"),
        skipped("every GPUPool and WorkloadClass is accepted"),
        skipped("each pool has its Nodes"),
        skipped("a replica holds the Lease"),
        "√ berth has the rights that it needs: 0 rights".to_owned(),
        "√ the webhook configuration is as it is shipped".to_owned(),
        "√ the caBundle verifies the certificate that is served at localhost:".to_owned(),
        "√ every replica has the same table (".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}: {text}");
    }
}

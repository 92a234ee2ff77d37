//! What berth has around its webhook: the guard of a table, and the word at apply.

use std::{fs, path::Path, process::Command};

use axum::http::Request;
use berth_cluster::Serving;
use k8s_openapi::{ByteString, api::rbac::v1::ClusterRoleBinding};
use kube::{Api, Client, client::Body};
use serde_json::{Value, json};

use crate::{
    Failure,
    measure::path,
    subjects::{LABEL, Subject, in_force, post, post_as},
};

/// The word's webhook as it is shipped.
const SHIPPED: &str = include_str!("../../deploy/kustomize/base/webhook.yaml");

/// Who may create Pods, and no more.
const AUTHOR: &str = "author";

/// Guards its namespace.
pub(crate) async fn guard(client: &Client, berth: &Path, table: &Path) -> Result<(), Failure> {
    let rendered = Command::new(berth)
        .args(["guard", "--action=deny", "--table"])
        .arg(table)
        .output()?;
    let rendered = String::from_utf8(rendered.stdout)?;
    let subject = Subject::Guard;
    for mut object in serde_saphyr::from_multiple::<Value>(&rendered)? {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if kind.ends_with("Binding") {
            let here = json!({"matchLabels": {LABEL: subject.namespace()}});
            object["spec"]["matchResources"]["namespaceSelector"] = here;
        }
        post_as(client, &kind, object).await?;
    }
    // an administrator passes
    let author = json!({"kind": "User", "name": AUTHOR, "apiGroup": "rbac.authorization.k8s.io"});
    let edit =
        json!({"kind": "ClusterRole", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"});
    let binding = json!({"metadata": {"name": AUTHOR}, "roleRef": edit, "subjects": [author]});
    post::<ClusterRoleBinding>(&Api::all(client.clone()), binding).await?;
    let denied = async || {
        let mut tolerates_all = subject.object().2;
        tolerates_all["metadata"]["labels"] = json!({});
        tolerates_all["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        let request = Request::post(path(subject, true))
            .header("Impersonate-User", AUTHOR)
            .header("Content-Type", "application/json");
        let Ok(request) = request.body(tolerates_all.to_string().into_bytes()) else {
            return false;
        };
        let answer = client.request::<Value>(request).await;
        answer.is_err_and(|error| error.to_string().contains("ValidatingAdmissionPolicy"))
    };
    in_force("the guard", denied).await
}

/// Has a word about the Deployments of two namespaces.
pub(crate) async fn word(client: &Client, berth: Serving, certs: &Path) -> Result<(), Failure> {
    let shipped = serde_saphyr::from_multiple::<Value>(SHIPPED)?;
    let configuration = shipped
        .into_iter()
        .find(|object| object["kind"] == "ValidatingWebhookConfiguration");
    let mut configuration = configuration.ok_or("no word at apply is shipped")?;
    let webhook = &mut configuration["webhooks"][0];
    let namespaces = [Subject::WordUnlabelled, Subject::WordLabelled].map(Subject::namespace);
    webhook["namespaceSelector"] =
        json!({"matchExpressions": [{"key": LABEL, "operator": "In", "values": namespaces}]});
    let name = Subject::Berth.namespace();
    webhook["clientConfig"] = json!({
        "service": {"name": name, "namespace": name, "path": "/warn", "port": berth.webhook.port()},
        "caBundle": ByteString(fs::read(certs.join("ca.crt"))?),
    });
    post_as(client, "ValidatingWebhookConfiguration", configuration).await?;
    let warned = async || {
        let (_, _, mut misspelt) = Subject::WordLabelled.object();
        misspelt["spec"]["template"]["metadata"]["labels"]["berth.dev/workload-class"] =
            "clas-1".into();
        let request = Request::post(path(Subject::WordLabelled, true));
        let request = request.header("Content-Type", "application/json");
        let Ok(request) = request.body(Body::from(misspelt.to_string().into_bytes())) else {
            return false;
        };
        let answer = client.send(request).await;
        answer.is_ok_and(|answer| answer.headers().contains_key("Warning"))
    };
    in_force("the word at apply", warned).await
}

//! What is compared: each is alone in a namespace of its own.

use std::{
    fmt::{Debug, Display},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use berth_cluster::{ControlPlane, PATIENCE, Serving, until};
use berth_core::names::CLASS_LABEL;
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        core::v1::{Namespace, Service, ServiceAccount},
    },
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, PostParams},
    runtime::watcher,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::{
    CLASSES, Failure, around,
    measure::create,
    policy::{self, Policy},
    table,
};

/// The class of the Pods: a number that the table has.
const CLASS: usize = 4;
/// The label of the namespaces.
pub(crate) const LABEL: &str = "bench";

/// What changes the Pods of its namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    Nothing,
    Constant,
    Berth,
    PolicyNever,
    PolicyIfNeeded,
    /// berth, and the guard of its table.
    Guard,
    /// A Deployment, with no webhook for it.
    Deployment,
    /// A Deployment without the label, with the word at apply: the API server finds that nobody is to be asked.
    WordUnlabelled,
    /// A Deployment with a class, about which berth is asked.
    WordLabelled,
}

impl Subject {
    /// Those that are compared on Pods, with the first one.
    pub(crate) const PODS: [Self; 6] = [
        Self::Nothing,
        Self::Constant,
        Self::Berth,
        Self::PolicyNever,
        Self::PolicyIfNeeded,
        Self::Guard,
    ];
    /// Those that are compared on Deployments, with the first one.
    pub(crate) const DEPLOYMENTS: [Self; 3] =
        [Self::Deployment, Self::WordUnlabelled, Self::WordLabelled];

    /// Its namespace.
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Constant => "constant",
            Self::Berth => "berth",
            Self::PolicyNever => "policy-never",
            Self::PolicyIfNeeded => "policy-if-needed",
            Self::Guard => "berth-and-guard",
            Self::Deployment => "deployment",
            Self::WordUnlabelled => "word-unlabelled",
            Self::WordLabelled => "word-labelled",
        }
    }

    /// The API and the resource of its objects, and what is created there.
    pub(crate) fn object(self) -> (&'static str, &'static str, Value) {
        let class = match self {
            Self::Deployment | Self::WordUnlabelled => None,
            Self::WordLabelled => Some(table::name(CLASS)),
            _ => return ("api/v1", "pods", pod(CLASS)),
        };
        ("apis/apps/v1", "deployments", deployment(class))
    }

    /// Installs all, and returns when each is in force in its namespace.
    pub(crate) async fn install_all(control_plane: &ControlPlane) -> Result<(), Failure> {
        let client = control_plane.client().await?;
        let berth = PathBuf::from(env!("CARGO_BIN_EXE_berth"));
        let served = [Self::Constant, Self::Berth, Self::Guard].map(Self::namespace);
        let servers = Servers::new(control_plane, &client, &served)?;
        let table = control_plane.path("bench-table.json");
        fs::write(&table, table::text(CLASSES))?;
        for subject in Self::PODS.into_iter().chain(Self::DEPLOYMENTS) {
            namespace(&client, subject.namespace()).await?;
        }
        let this = std::env::current_exe()?;
        let serve = async |subject: Self, server| {
            let name = subject.namespace();
            servers.serve(name, server, &table).await
        };
        serve(Self::Constant, &this).await?;
        serve(Self::Guard, &berth).await?;
        let serving = serve(Self::Berth, &berth).await?;
        for (subject, reinvocation) in [
            (Self::PolicyNever, "Never"),
            (Self::PolicyIfNeeded, "IfNeeded"),
        ] {
            let policy = Policy {
                name: subject.namespace(),
                reinvocation,
            };
            policy::literal(&client, policy, CLASSES, CLASSES).await?;
        }
        around::guard(&client, &berth, &table).await?;
        around::word(&client, serving, &servers.certs).await?;
        for subject in &Self::PODS[1..] {
            let placed = async || {
                let stored = create(&client, *subject, true).await;
                stored.is_ok_and(|pod| is_placed(&pod))
            };
            in_force(subject.namespace(), placed).await?;
        }
        Ok(())
    }
}

/// What starts webhooks, with their certificate.
pub(crate) struct Servers<'a> {
    control_plane: &'a ControlPlane,
    client: &'a Client,
    pub(crate) certs: PathBuf,
}

impl<'a> Servers<'a> {
    /// For webhooks of these names.
    pub(crate) fn new(
        control_plane: &'a ControlPlane,
        client: &'a Client,
        names: &[impl Display],
    ) -> Result<Self, Failure> {
        let certs = control_plane.path("bench-certs");
        let made = Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(["certs", "dev", "--out"])
            .arg(&certs)
            .args(names.iter().map(|name| format!("--name={name}.{name}.svc")))
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        Ok(Self {
            control_plane,
            client,
            certs,
        })
    }

    /// Starts one behind a Service, as in production, for the Pods of the namespace of its name.
    pub(crate) async fn serve(
        &self,
        name: &str,
        server: &Path,
        table: &Path,
    ) -> Result<Serving, Failure> {
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let flags = [
            flag("table", table),
            flag("tls-cert", &self.certs.join("tls.crt")),
            flag("tls-key", &self.certs.join("tls.key")),
        ];
        let serving = Serving::start(self.control_plane, server, &flags).await?;
        let client = self.client;
        let service = json!({"metadata": {"name": name}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
        post::<Service>(&Api::namespaced(client.clone(), name), service).await?;
        let service = json!({"name": name, "namespace": name, "path": "/mutate", "port": serving.webhook.port()});
        let ca = ByteString(fs::read(self.certs.join("ca.crt"))?);
        let webhook = json!({
            "name": format!("{name}.bench.berth.dev"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": service, "caBundle": ca}, "reinvocationPolicy": "IfNeeded", "timeoutSeconds": 5,
            "namespaceSelector": {"matchLabels": {LABEL: name}},
            "objectSelector": {"matchExpressions": [{"key": CLASS_LABEL, "operator": "Exists"}]},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"}],
        });
        let configuration = json!({"metadata": {"name": name}, "webhooks": [webhook]});
        post::<MutatingWebhookConfiguration>(&Api::all(client.clone()), configuration).await?;
        Ok(serving)
    }
}

/// The API server notices a configuration some time after it is there, and says so to nobody.
pub(crate) async fn in_force(what: &str, noticed: impl AsyncFn() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !noticed().await {
        if Instant::now() > deadline {
            return Err(format!("{what} is not in force").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Creates an object of admissionregistration.k8s.io.
pub(crate) async fn post_as(client: &Client, kind: &str, object: Value) -> Result<(), Failure> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    let mut object = object;
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    let api = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    post::<DynamicObject>(&api, object).await
}

/// Whether a stored Pod carries all that the patch of its class adds.
pub(crate) fn is_placed(pod: &Value) -> bool {
    let spec = &pod["spec"];
    let node = pod["metadata"]["labels"][CLASS_LABEL]
        .as_str()
        .unwrap_or_default();
    let limit = &spec["containers"][0]["resources"]["limits"]["amd.com/gpu"];
    let tolerated = spec["tolerations"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|it| it["value"] == node);
    let affinity = spec["affinity"].to_string().contains(node);
    affinity
        && tolerated
        && limit == "1"
        && pod["metadata"]["annotations"]["berth.dev/pool"] == node
}

/// A Pod of a class, as a user writes it.
pub(crate) fn pod(class: usize) -> Value {
    let variable = |i: usize| json!({"name": format!("MODEL_OPTION_{i}"), "value": "/models/llama-3.1-70b-instruct"});
    let env: Vec<Value> = (0..16).map(variable).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "vllm-", "labels": {"app": "vllm", CLASS_LABEL: table::name(class)}},
        "spec": {
            "schedulerName": "nobody",
            "containers": [{
                "name": "vllm", "image": "vllm/vllm-openai:v0.11.0", "env": env,
                "args": ["--model", "/models/llama-3.1-70b-instruct", "--max-model-len", "32768"],
                "ports": [{"containerPort": 8000, "name": "http"}],
                "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 10},
                "volumeMounts": [{"name": "models", "mountPath": "/models"}, {"name": "shm", "mountPath": "/dev/shm"}],
            }],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}, {"name": "shm", "emptyDir": {"medium": "Memory"}}],
        },
    })
}

/// A Deployment of such Pods, of which it makes none.
fn deployment(class: Option<String>) -> Value {
    let mut template = pod(CLASS);
    template["metadata"] = json!({"labels": {"app": "vllm"}});
    if let Some(class) = class {
        template["metadata"]["labels"][CLASS_LABEL] = class.into();
    }
    let spec = json!({"metadata": template["metadata"], "spec": template["spec"]});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"generateName": "vllm-"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "vllm"}}, "template": spec},
    })
}

pub(crate) async fn namespace(client: &Client, name: &str) -> Result<(), Failure> {
    let namespace = json!({"metadata": {"name": name, "labels": {LABEL: name}}});
    post::<Namespace>(&Api::all(client.clone()), namespace).await?;
    // made by the controller-manager, some time later
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    let there = until(accounts, watcher::Config::default(), |accounts| {
        accounts.contains_key("default").then_some(())
    });
    there.await.map_err(|_| "no service account".into())
}

/// Creates an object.
pub(crate) async fn post<K: Clone + Debug + DeserializeOwned + Serialize>(
    api: &Api<K>,
    object: Value,
) -> Result<(), Failure> {
    let object: K = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

//! The cluster that a command asks, with the rights of whoever runs it.

use std::{fmt, future::Future, path::PathBuf};

use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::ListParams,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use super::report::Failure;
use berth_core::{
    api::{GPUPool, WorkloadClass},
    check::shell,
    labels::{Labels, Namespaces},
    objects::{Compiled, compile_each},
    table::Settings,
    validate::NamespaceLabels,
};
use berth_server::sources::cluster;

/// So many objects come in an answer.
const PAGE: u32 = 500;
/// The status of an answer: a right is missing.
pub(super) const FORBIDDEN: u16 = 403;
/// The status of an answer: there is no such object, or no such kind.
pub(super) const NOT_FOUND: u16 = 404;
/// The status of an answer: the API server does not know who asks.
const UNAUTHORIZED: u16 = 401;
/// What to do then.
const LOG_IN: &str =
    "log in again: the token or certificate of the kubeconfig's user is not accepted";

/// How the cluster is reached.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterOptions {
    /// The kubeconfig file; if none is given, as kubectl finds it: $KUBECONFIG, else ~/.kube/config, else the Pod's service
    /// account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, if not its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A cluster that is asked.
pub(super) struct Cluster {
    runtime: Runtime,
    /// Asks with the person's rights.
    pub(super) client: Client,
    /// The namespace of the context.
    pub(super) namespace: String,
}

/// What the API server did not give.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {}", cluster::said(error))]
pub(super) struct Unanswered {
    /// What was asked for, as `Nodes`.
    pub(super) what: String,
    /// Its answer.
    #[source]
    pub(super) error: Box<kube::Error>,
}

impl ClusterOptions {
    /// A flag that is given.
    pub(super) fn flag(&self) -> Option<&'static str> {
        let kubeconfig = self.kubeconfig.as_ref().map(|_| "--kubeconfig");
        kubeconfig.or_else(|| self.context.as_ref().map(|_| "--context"))
    }

    /// The flags by which kubectl asks the same cluster; none where it does by itself.
    pub(super) fn kubectl_flags(&self) -> String {
        let kubeconfig = self
            .kubeconfig
            .iter()
            .map(|it| format!("--kubeconfig={}", shell(&it.to_string_lossy())));
        let context = self
            .context
            .iter()
            .map(|it| format!("--context={}", shell(it)));
        kubeconfig.chain(context).collect::<Vec<_>>().join(" ")
    }

    /// A client; nothing is asked yet.
    pub(super) fn connect(&self) -> Result<Cluster, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::usage)?;
        let connecting = cluster::connect(self.kubeconfig.as_deref(), self.context.as_deref());
        let (client, namespace) = runtime.block_on(connecting).map_err(Failure::usage)?;
        Ok(Cluster {
            runtime,
            client,
            namespace,
        })
    }
}

impl Unanswered {
    pub(super) fn of(what: &str, error: kube::Error) -> Self {
        Self {
            what: what.to_owned(),
            error: Box::new(error),
        }
    }

    /// The status of the answer, if an API server gave one.
    pub(super) fn code(&self) -> Option<u16> {
        cluster::status(&self.error).map(|status| status.code)
    }
}

impl From<Unanswered> for Failure {
    fn from(error: Unanswered) -> Self {
        Self::unreadable(match error.code() {
            Some(NOT_FOUND) => format!(
                "{error}; are berth's definitions installed? `berth crds | kubectl apply -f -`"
            ),
            Some(UNAUTHORIZED) => format!("{error}; {LOG_IN}"),
            Some(_) => error.to_string(),
            None => format!("{error}; is the cluster of the kubeconfig's context there?"),
        })
    }
}

impl Cluster {
    /// Waits for what asks.
    pub(super) fn wait<T>(&self, asking: impl Future<Output = T>) -> T {
        self.runtime.block_on(asking)
    }

    /// Every object of a kind, page by page.
    pub(super) fn list<K>(&self, what: &str, api: &Api<K>) -> Result<Vec<K>, Unanswered>
    where
        K: Clone + DeserializeOwned + fmt::Debug,
    {
        let mut all = Vec::new();
        self.each(what, api, "", |it| all.push(it))?;
        Ok(all)
    }

    /// Takes every object of a kind that the field selector selects, page by page, so that one page is kept at a time.
    pub(super) fn each<K>(
        &self,
        what: &str,
        api: &Api<K>,
        fields: &str,
        take: impl FnMut(K),
    ) -> Result<(), Unanswered>
    where
        K: Clone + DeserializeOwned + fmt::Debug,
    {
        let read = self.wait(each(api, fields, take));
        read.map_err(|error| Unanswered::of(what, error))
    }

    /// One object.
    pub(super) fn get<K>(&self, what: &str, api: &Api<K>, name: &str) -> Result<K, Unanswered>
    where
        K: Clone + DeserializeOwned + fmt::Debug,
    {
        let read = self.wait(api.get(name));
        read.map_err(|error| Unanswered::of(what, error))
    }

    /// The `GPUPool`s, as they are.
    pub(super) fn pools(&self) -> Result<Vec<DynamicObject>, Unanswered> {
        self.objects("GPUPools", &ApiResource::erase::<GPUPool>(&()))
    }

    /// The `WorkloadClass`es, as they are.
    pub(super) fn classes(&self) -> Result<Vec<DynamicObject>, Unanswered> {
        self.objects("WorkloadClasses", &ApiResource::erase::<WorkloadClass>(&()))
    }

    fn objects(&self, what: &str, kind: &ApiResource) -> Result<Vec<DynamicObject>, Unanswered> {
        self.list(what, &Api::all_with(self.client.clone(), kind))
    }

    /// The labels of every namespace.
    pub(super) fn namespaces(&self) -> Result<Namespaces, Unanswered> {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
        let all = self.list("Namespaces", &api)?;
        Ok(Namespaces::new(all.into_iter().map(|it| {
            let labels: Labels = it.metadata.labels.unwrap_or_default().into_iter().collect();
            (it.metadata.name.unwrap_or_default(), labels)
        })))
    }

    /// The table of the cluster's objects as berth compiles it, with a verdict on each.
    pub(super) fn compiled(&self, settings: &Settings) -> Result<Compiled, Unanswered> {
        let settings = Settings {
            namespaces: NamespaceLabels::All,
            ..settings.clone()
        };
        Ok(compile_each(&self.pools()?, &self.classes()?, &settings))
    }
}

async fn each<K>(api: &Api<K>, fields: &str, mut take: impl FnMut(K)) -> Result<(), kube::Error>
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    let mut page = ListParams::default().limit(PAGE);
    if !fields.is_empty() {
        page = page.fields(fields);
    }
    loop {
        let list = api.list(&page).await?;
        page.continue_token = list.metadata.continue_.filter(|it| !it.is_empty());
        list.items.into_iter().for_each(&mut take);
        if page.continue_token.is_none() {
            return Ok(());
        }
    }
}

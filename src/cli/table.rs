//! Where the table of a command comes from: files, or the objects of a cluster.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use k8s_openapi::api::{
    core::v1::{Namespace, Node},
    resource::v1::DeviceClass,
};
use kube::{
    Api,
    core::{DynamicObject, PartialObjectMeta},
};
use serde_json::json;

use super::{
    SettingsOptions,
    cluster::{Cluster, ClusterOptions, FORBIDDEN, NOT_FOUND, Unanswered},
    is_plugin,
    report::{Failure, tell},
};
use berth_core::{
    labels::Namespaces,
    manifest::Document,
    names::{GROUP, VERSION},
    objects::{Compiled, Judged},
    table::{AllocationTable, Settings},
    view::View,
};
use berth_manifests::{
    diagnostic::SourceText,
    lint::{Report, Seen, lint_objects},
    table_files::TableFiles,
    yaml,
};

const NO_OBJECT: &str =
    "the cluster has no GPUPool and no WorkloadClass; `berth init` proposes a first table";

/// Where the table comes from. It comes last of a command's flags, since clap puts what follows under its headings.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Table")]
pub(super) struct TableOrigin {
    /// Take the table from the GPUPools and WorkloadClasses of the cluster. The plugin `kubectl berth` does so where no
    /// --table is given
    #[arg(long, conflicts_with = "table")]
    from_cluster: bool,
    /// A file of GPUPools and WorkloadClasses, or a folder of such files; repeatable
    #[arg(
        long,
        env = "BERTH_TABLE",
        value_name = "FILE|DIR",
        value_delimiter = ','
    )]
    table: Vec<PathBuf>,
    #[command(flatten)]
    settings: SettingsOptions,
    #[command(flatten)]
    cluster: ClusterOptions,
}

/// Where a table is.
pub(super) enum Origin {
    Files(TableFiles),
    Cluster(Cluster, Settings),
}

impl TableOrigin {
    /// The origin, which a command cannot do without.
    pub(super) fn named(self) -> Result<Origin, Failure> {
        match self.origin()? {
            Origin::Files(files) if files.paths.is_empty() => Err(Failure::usage(
                "there is no table; name its files with --table FILE|DIR, or take the cluster's with --from-cluster",
            )),
            named => Ok(named),
        }
    }

    /// The cluster, for a command that asks it about more than the table.
    pub(super) fn cluster(self) -> Result<(Cluster, Settings), Failure> {
        Ok((self.cluster.connect()?, self.settings.try_into()?))
    }

    /// The origin: no files where none is named. Nothing is asked yet.
    pub(super) fn origin(self) -> Result<Origin, Failure> {
        let settings = self.settings.try_into()?;
        if self.from_cluster || (is_plugin() && self.table.is_empty()) {
            return Ok(Origin::Cluster(self.cluster.connect()?, settings));
        }
        if let Some(flag) = self.cluster.flag() {
            return Err(Failure::usage(format_args!(
                "{flag} is of use with --from-cluster alone; add it"
            )));
        }
        Ok(Origin::Files(TableFiles {
            paths: self.table,
            settings,
        }))
    }
}

impl Origin {
    /// The namespace of what names none.
    pub(super) fn namespace(&self) -> &str {
        match self {
            Self::Cluster(cluster, _) => &cluster.namespace,
            Self::Files(_) => "default",
        }
    }

    /// The view of the table. Of a cluster's, it is said what is not in the table, and where not every Namespace can be
    /// read, one is asked for.
    pub(super) fn view(&self, namespace: Option<&str>) -> Result<View, Failure> {
        match self {
            Self::Files(files) => Ok(files.load()?.into()),
            Self::Cluster(cluster, settings) => view(cluster, settings, namespace),
        }
    }

    /// The table and the manifests that it is of. Of a cluster's, it is said what is not in it.
    pub(super) fn documents(&self) -> Result<(Vec<Document>, Arc<AllocationTable>), Failure> {
        match self {
            Self::Files(files) => {
                let (documents, table) = files.load_with_documents()?;
                Ok((documents, Arc::new(table)))
            }
            Self::Cluster(cluster, settings) => {
                let compiled = compiled(cluster, settings)?;
                Ok((compiled.documents(), compiled.table))
            }
        }
    }

    /// What lint says of the table, held against what was seen; if nothing was, against the Nodes of its own cluster.
    pub(super) fn lint(&self, seen: Option<Seen>) -> Result<Report, Failure> {
        match self {
            Self::Files(files) => Ok(files.lint(seen.as_ref())?),
            Self::Cluster(cluster, _) => lint(cluster, seen),
        }
    }
}

/// The cluster's table; it is said what is not in it.
fn compiled(cluster: &Cluster, settings: &Settings) -> Result<Compiled, Failure> {
    let compiled = cluster.compiled(settings).map_err(unanswered)?;
    if compiled.pools.is_empty() && compiled.classes.is_empty() {
        tell(NO_OBJECT);
    }
    left_out("GPUPool", &compiled.pools);
    left_out("WorkloadClass", &compiled.classes);
    Ok(compiled)
}

fn view(cluster: &Cluster, settings: &Settings, namespace: Option<&str>) -> Result<View, Failure> {
    let table = compiled(cluster, settings)?.table;
    let namespaces = namespaces(cluster, namespace)?;
    Ok(View::from(table).with_namespaces(namespaces))
}

fn left_out<S>(kind: &str, objects: &[Judged<S>]) {
    for object in objects {
        if let Some(refusal) = &object.refusal {
            let (name, message) = (&object.name, &refusal.message);
            tell(format_args!(
                "not in the cluster's table: {kind} {name}: {message}"
            ));
        }
    }
}

/// The labels of all namespaces; of the one given, where the person may read no more.
fn namespaces(cluster: &Cluster, one: Option<&str>) -> Result<Namespaces, Failure> {
    let error = match cluster.namespaces() {
        Ok(namespaces) => return Ok(namespaces),
        Err(error) if error.code() == Some(FORBIDDEN) => error,
        Err(error) => return Err(error.into()),
    };
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(cluster.client.clone());
    let found = one.map(|name| (name, cluster.wait(api.get_metadata(name))));
    if let Some((name, Ok(namespace))) = found {
        let labels = namespace.metadata.labels.unwrap_or_default();
        tell(format_args!(
            "{error}; so of other namespaces than {name} the name counts here, and no label"
        ));
        return Ok(Namespaces::new([(name.to_owned(), labels)]));
    }
    tell(format_args!(
        "{error}; so the names of namespaces count here, and no label: a class for namespaces with a label is available in none"
    ));
    Ok(Namespaces::default())
}

fn lint(cluster: &Cluster, seen: Option<Seen>) -> Result<Report, Failure> {
    let (pools, classes) = (cluster.pools(), cluster.classes());
    let pools = pools.map_err(unanswered)?;
    let classes = classes.map_err(unanswered)?;
    let pools = pools.iter().map(|pool| text("GPUPool", pool));
    let classes = classes.iter().map(|class| text("WorkloadClass", class));
    let texts: Vec<SourceText> = pools.chain(classes).collect();
    if texts.is_empty() {
        tell(NO_OBJECT);
    }
    let seen = match seen {
        None => nodes(cluster)?,
        seen => seen,
    };
    Ok(lint_objects(&texts, seen.as_ref()))
}

/// The Nodes, and what DRA provides there; none where the person may not read them.
pub(super) fn nodes(cluster: &Cluster) -> Result<Option<Seen>, Failure> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let nodes = match cluster.list("Nodes", &api) {
        Ok(nodes) => nodes,
        Err(error) if error.code() == Some(FORBIDDEN) => {
            tell(format_args!(
                "{error}; so the table is not held against the Nodes: --nodes FILE takes what somebody else printed"
            ));
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let api: Api<DeviceClass> = Api::all(cluster.client.clone());
    let classes = match cluster.list("DeviceClasses", &api) {
        Ok(classes) => classes,
        // an old cluster has none
        Err(error) if error.code() == Some(NOT_FOUND) => Vec::new(),
        Err(error) if error.code() == Some(FORBIDDEN) => {
            tell(format_args!(
                "{error}; so BRT021 may name a Node whose GPUs DRA provides"
            ));
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let by_dra = classes
        .into_iter()
        .filter_map(|it| it.spec?.extended_resource_name);
    Ok(Some(Seen {
        nodes: nodes.into_iter().map(Into::into).collect(),
        by_dra: by_dra.collect(),
    }))
}

/// An object as its author would write it in a file, whose name is what kubectl calls it.
fn text(kind: &str, object: &DynamicObject) -> SourceText {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let manifest = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind,
        "metadata": {"name": name}, "spec": object.data["spec"],
    });
    let path = format!("{}/{name}", kind.to_ascii_lowercase());
    SourceText::new(path, yaml::write(&manifest))
}

/// Why there is no table, and what else gives one.
fn unanswered(error: Unanswered) -> Failure {
    if error.code() == Some(FORBIDDEN) {
        return Failure::unreadable(format_args!(
            "{error}; ask for the right to list gpupools and workloadclasses of {GROUP}, or name files with --table"
        ));
    }
    error.into()
}

//! The chain from the API server to a GPU, link by link.

use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
        resource::v1::DeviceClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, ResourceExt};

use super::{
    asking,
    installation::{Installation, service},
    replicas::{Lead, bundle, leads, replicas},
    word,
};
use crate::cli::cluster::{Cluster, NOT_FOUND};
use berth_core::{
    check::{self, Account, Carrier, Category, Check, Expected, Holder, Outcome, Seen, Unseen},
    fleet::NodeView,
    labels::Namespaces,
    objects::Compiled,
};
use berth_server::webhook;

/// What a check says of a table of files.
const FILES: &str = "the table is of files, and not of the cluster";
/// What is said of a link that needs another one.
const AFTER: &str = "fix the lines that failed above first";

/// What is known of the cluster once.
pub(super) struct Facts<'c> {
    pub(super) cluster: &'c Cluster,
    pub(super) installation: Installation,
    pub(super) compiled: Seen<Compiled>,
    pub(super) namespaces: Seen<Namespaces>,
    /// Where the reviews go.
    leads: Seen<Vec<Lead>>,
    now: i64,
}

/// Checks every link.
pub(super) fn look(
    cluster: &Cluster,
    version: Seen<(String, String)>,
    name: Option<&str>,
) -> Vec<Category> {
    let installation = Installation::find(cluster, name);
    let compiled = if installation.flags.reads_cluster {
        let compiled = cluster.compiled(&installation.flags.settings);
        compiled.map_err(|unanswered| asking::unseen(&unanswered.what, &unanswered.error))
    } else {
        Err(Unseen(FILES.to_owned()))
    };
    let namespaces = cluster.namespaces();
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let facts = Facts {
        cluster,
        leads: leads(cluster, &installation.asked),
        installation,
        compiled,
        namespaces: namespaces
            .map_err(|unanswered| asking::unseen("Namespaces", &unanswered.error)),
        now: i64::try_from(since.as_secs()).unwrap_or_default(),
    };
    let install = facts.install();
    let webhook = facts.webhook(install.outcome());
    vec![
        Category::new("kubernetes-api", vec![check::version(&version)]),
        facts.definitions(),
        facts.rights(),
        install,
        webhook.0,
        facts.table(&webhook.1),
        facts.nodes(),
        facts.live(),
        facts.guard(),
    ]
}

impl Facts<'_> {
    fn definitions(&self) -> Category {
        let checks = if self.installation.flags.reads_cluster {
            let definitions: Api<CustomResourceDefinition> = Api::all(self.cluster.client.clone());
            check::definitions(|name| {
                asking::one(self.cluster, "the definitions", &definitions, name)
            })
        } else {
            vec![Check::skipped("the definitions are installed", FILES)]
        };
        Category::new("berth-crds", checks)
    }

    fn rights(&self) -> Category {
        let account = self.account();
        let rulings = account.as_ref().map_err(Clone::clone).and_then(|account| {
            let of = (account.namespace.as_str(), account.name.as_str());
            asking::rulings(self.cluster, of, check::asked(account))
        });
        Category::new("berth-rights", check::rights(&account, &rulings))
    }

    fn account(&self) -> Seen<Account> {
        let installation = &self.installation;
        if let Err(why) = &installation.deployment {
            return Err(why.clone());
        }
        let Some(template) = installation.template() else {
            return Err(Unseen(
                "no Deployment was found whose service account it would be".to_owned(),
            ));
        };
        let name = template
            .spec
            .as_ref()
            .and_then(|it| it.service_account_name.clone());
        let flags = &installation.flags;
        Ok(Account {
            namespace: installation.namespace().to_owned(),
            name: name.unwrap_or_else(|| "default".to_owned()),
            role: installation.name.clone(),
            absent: self.absent(),
            lease: flags.lease.clone(),
            reads_cluster: flags.reads_cluster,
            live: flags.live,
            status: flags.status,
            events: flags.events,
        })
    }

    /// Those of the roles and bindings that are not there. Where they may not be read, none is known to be missing.
    fn absent(&self) -> Vec<Carrier> {
        let (client, namespace) = (&self.cluster.client, self.installation.namespace());
        let name = &self.installation.name;
        let cluster_roles: Api<ClusterRole> = Api::all(client.clone());
        let cluster_bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
        let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
        let all = [
            (
                Carrier::ClusterRole,
                asking::is_absent(self.cluster, &cluster_roles, name),
            ),
            (
                Carrier::ClusterRoleBinding,
                asking::is_absent(self.cluster, &cluster_bindings, name),
            ),
            (Carrier::Role, asking::is_absent(self.cluster, &roles, name)),
            (
                Carrier::RoleBinding,
                asking::is_absent(self.cluster, &bindings, name),
            ),
        ];
        let absent = all.into_iter().filter(|(_, is_absent)| *is_absent);
        absent.map(|(carrier, _)| carrier).collect()
    }

    fn install(&self) -> Category {
        let install = self.installation.replicas();
        let service = service(&self.installation.asked, &self.leads);
        let checks = vec![
            check::deployment(&install),
            check::service(&service, &install),
        ];
        Category::new("berth-install", checks)
    }

    /// And the replicas, which have the table, too.
    fn webhook(&self, before: Outcome) -> (Category, Seen<Vec<check::Replica>>) {
        let flags = &self.installation.flags;
        let expected = Expected {
            class_label: flags.settings.class_label.clone(),
            reads_cluster: flags.reads_cluster,
            path: webhook::PATH.to_owned(),
        };
        let mut checks = vec![check::configuration(
            &self.installation.configurations,
            &expected,
        )];
        let replicas = replicas(self.cluster, &self.installation, &self.leads);
        let known = replicas.as_deref().unwrap_or_default();
        checks.extend(check::certificates(
            &bundle(&self.installation),
            known,
            self.now,
        ));
        let failed = checks.iter().any(|it| it.outcome == Outcome::Failed);
        checks.push(if failed || before == Outcome::Failed {
            Check::skipped("a Pod of a class comes back placed from a dry run", AFTER)
        } else {
            self.dry_run()
        });
        checks.push(if failed {
            Check::skipped("the word at apply is asked for as Pods are", AFTER)
        } else {
            check::word(&word::seen(self.cluster, &self.installation))
        });
        (Category::new("berth-webhook", checks), replicas)
    }

    fn table(&self, replicas: &Seen<Vec<check::Replica>>) -> Category {
        let mut checks = check::objects(&self.compiled);
        let ours = self
            .compiled
            .as_ref()
            .map(|it| it.table.revision().to_owned());
        let ours = ours.map_err(Clone::clone);
        checks.extend(match replicas {
            Ok(replicas) => check::revisions(replicas, &ours),
            Err(why) => vec![Check::skipped("every replica has the same table", why)],
        });
        Category::new("berth-table", checks)
    }

    fn nodes(&self) -> Category {
        let nodes: Seen<Vec<NodeView>> = asking::everywhere(self.cluster, "Nodes");
        let nodes = nodes.map(|all| all.iter().map(NodeView::seen).collect());
        let what = "DeviceClasses";
        let classes: Api<DeviceClass> = Api::all(self.cluster.client.clone());
        let classes = match self.cluster.list(what, &classes) {
            // an old cluster has none
            Err(unanswered) if unanswered.code() == Some(NOT_FOUND) => Ok(Vec::new()),
            classes => classes.map_err(|unanswered| asking::unseen(what, &unanswered.error)),
        };
        let resource = |it: DeviceClass| {
            let name = it.name_any();
            (name, it.spec.and_then(|it| it.extended_resource_name))
        };
        let classes = classes.map(|all| all.into_iter().map(resource).collect());
        Category::new(
            "berth-nodes",
            check::pools(&self.compiled, &nodes, &classes),
        )
    }

    fn live(&self) -> Category {
        let flags = &self.installation.flags;
        let check = if flags.reads_cluster && flags.status {
            let namespace = self.installation.namespace();
            let leases: Api<Lease> = Api::namespaced(self.cluster.client.clone(), namespace);
            let found = asking::one(self.cluster, "the Lease", &leases, &flags.lease);
            let holder = found.map(|it| {
                let spec = it?.spec.unwrap_or_default();
                Some(Holder {
                    identity: spec.holder_identity.filter(|it| !it.is_empty()),
                    renewed: spec.renew_time.map(|it| it.0.as_second()),
                })
            });
            check::lease(namespace, &flags.lease, &holder, self.now)
        } else {
            let why = if flags.reads_cluster {
                "--status is off: berth holds none"
            } else {
                FILES
            };
            Check::skipped("a replica holds the Lease", why)
        };
        Category::new("berth-live", vec![check])
    }

    fn guard(&self) -> Category {
        Category::new("berth-guard", check::guard(&self.policies()))
    }
}

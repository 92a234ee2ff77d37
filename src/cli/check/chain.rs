//! The chain from the API server to a GPU, link by link.

use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        coordination::v1::Lease,
        core::v1::Pod,
        resource::v1::DeviceClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::{Value, json};

use super::{
    asking,
    installation::{Installation, service},
    replicas::{bundle, replicas},
};
use crate::cli::cluster::Cluster;
use berth_core::{
    api::{GPUPool, WorkloadClass},
    check::{
        self, Account, Answer, Category, Check, Expected, Holder, Outcome, Policy, Seen, Unseen,
    },
    fleet::NodeView,
    labels::Namespaces,
    manifest::{Document, Manifest},
    names::{DISABLED, EXCLUDED_NAMESPACES, GROUP, INJECT_LABEL, POOL_ANNOTATION},
    objects::Compiled,
    selector::Selector,
    table::Allocation,
    view::View,
};
use berth_manifests::guard;
use berth_server::webhook;

/// What a check says of a table of files.
const FILES: &str = "the table is of files: berth needs no object of the cluster, and no right";
/// What is said of a link that needs another one.
const AFTER: &str = "fix the lines that failed above first";

/// What is known of the cluster once.
struct Facts<'c> {
    cluster: &'c Cluster,
    installation: Installation,
    compiled: Seen<Compiled>,
    namespaces: Seen<Namespaces>,
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
            lease: flags.lease.clone(),
            reads_cluster: flags.reads_cluster,
            live: flags.live,
            status: flags.status,
            events: flags.events,
        })
    }

    fn install(&self) -> Category {
        let install = self.installation.replicas();
        let service = service(self.cluster, &self.installation.asked);
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
        let replicas = replicas(self.cluster, &self.installation);
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
        (Category::new("berth-webhook", checks), replicas)
    }

    fn dry_run(&self) -> Check {
        let what = "a Pod of a class comes back placed from a dry run";
        let compiled = match &self.compiled {
            Ok(compiled) => compiled,
            Err(why) => return Check::skipped(what, why),
        };
        let view = View::from(compiled.table.clone());
        let view = match &self.namespaces {
            Ok(namespaces) => view.with_namespaces(namespaces.clone()),
            Err(_) => view,
        };
        let Some((class, namespace)) = self.open(&view) else {
            let none = "no class is ready and open to a namespace that the webhook is asked about";
            return Check::skipped(what, none);
        };
        check::dry_run(
            &class.name,
            &namespace,
            (self.installation.namespace(), &self.installation.name),
            &self.create(class, &namespace),
        )
    }

    /// A class, and a namespace that may use it: `default`, if that is one.
    fn open<'v>(&self, view: &'v View) -> Option<(&'v Allocation, String)> {
        let mut names = vec!["default".to_owned()];
        names.extend(self.names().into_iter().filter(|it| it != "default"));
        let asked: Vec<String> = names
            .into_iter()
            .filter(|it| self.is_asked_about(it))
            .collect();
        let mut classes: Vec<&Allocation> = view
            .table
            .classes()
            .filter(|it| it.not_ready.is_none())
            .collect();
        classes.sort_by(|a, b| a.name.cmp(&b.name));
        asked.into_iter().find_map(|name| {
            let class = classes
                .iter()
                .find(|it| it.is_open_to(view.namespace(&name)));
            class.map(|it| (*it, name.clone()))
        })
    }

    fn names(&self) -> Vec<String> {
        self.namespaces
            .as_ref()
            .map(|it| it.names().into_iter().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    /// Whether the API server asks berth about a namespace's Pods.
    fn is_asked_about(&self, name: &str) -> bool {
        if EXCLUDED_NAMESPACES.contains(&name) || name == self.installation.namespace() {
            return false;
        }
        let Ok(namespaces) = &self.namespaces else {
            return true;
        };
        let namespace = namespaces.of_name(name);
        let configurations = self
            .installation
            .configurations
            .as_deref()
            .unwrap_or_default();
        let selector = configurations
            .first()
            .and_then(|it| it.webhooks.as_ref()?.first()?.namespace_selector.clone());
        let selector = selector.and_then(|it| Selector::new(&it).ok());
        namespace.label(INJECT_LABEL) != Some(DISABLED)
            && selector.is_none_or(|it| it.matches(|key| namespace.label(key)))
    }

    /// Creates a Pod in a dry run: one that every Pod Security Standard lets in.
    fn create(&self, class: &Allocation, namespace: &str) -> Seen<Answer> {
        let container = class
            .container_names
            .first()
            .map_or("check", String::as_str);
        let label = &self.installation.flags.settings.class_label;
        let pod = json!({
            "metadata": {"generateName": "berth-check-", "labels": {label: class.name}},
            "spec": {
                "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": container, "image": "none",
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        });
        let pod: Pod = serde_json::from_value(pod).map_err(|error| Unseen(error.to_string()))?;
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), namespace);
        match self.cluster.wait(pods.create(&dry_run, &pod)) {
            Ok(pod) => Ok(match pod.annotations().get(POOL_ANNOTATION) {
                Some(pool) => Answer::Placed(pool.clone()),
                None => Answer::Unchanged,
            }),
            Err(kube::Error::Api(status)) if status.message.contains("cannot create resource") => {
                Err(Unseen(format!(
                    "you may not create Pods: {}",
                    status.message
                )))
            }
            Err(kube::Error::Api(status)) => Ok(Answer::Denied(status.message)),
            Err(error) => Err(asking::unseen("the dry run", &error)),
        }
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
        // an old cluster has none
        let classes: Seen<Vec<DeviceClass>> = asking::everywhere(self.cluster, "DeviceClasses");
        let classes = classes.unwrap_or_default().into_iter();
        let classes: Vec<(String, Option<String>)> = classes
            .map(|it| {
                (
                    it.name_any(),
                    it.spec.and_then(|it| it.extended_resource_name),
                )
            })
            .collect();
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

    fn policies(&self) -> Seen<Vec<Policy>> {
        let all: Vec<ValidatingAdmissionPolicy> =
            asking::everywhere(self.cluster, "ValidatingAdmissionPolicies")?;
        let bindings: Vec<ValidatingAdmissionPolicyBinding> =
            asking::everywhere(self.cluster, "ValidatingAdmissionPolicyBindings")?;
        let annotation = format!("{GROUP}/table");
        let mut guards = all
            .iter()
            .filter(|it| it.annotations().contains_key(&annotation))
            .peekable();
        if guards.peek().is_none() {
            return Ok(Vec::new());
        }
        let compiled = self.compiled.as_ref().map_err(Clone::clone)?;
        let policy = |it: &ValidatingAdmissionPolicy| {
            let name = it.name_any();
            let mut of_policy = bindings.iter().map(|it| &it.spec);
            let binding = of_policy.find(|it| it.policy_name == name);
            Policy {
                revision: it.annotations()[&annotation].clone(),
                is_current: is_current(compiled, &json!(it)),
                actions: binding.map(|it| it.validation_actions.clone()),
                name,
            }
        };
        Ok(guards.map(policy).collect())
    }
}

/// Whether a guard of the table as it is would say the same. The namespaces that it leaves out are a person's choice.
fn is_current(compiled: &Compiled, policy: &Value) -> bool {
    let pools = compiled.pools.iter().filter(|it| it.refusal.is_none());
    let pools =
        pools.filter_map(|it| Some(Manifest::Pool(GPUPool::new(&it.name, it.spec.clone()?))));
    let classes = compiled.classes.iter().filter(|it| it.refusal.is_none());
    let classes = classes.filter_map(|it| {
        Some(Manifest::Class(WorkloadClass::new(
            &it.name,
            it.spec.clone()?,
        )))
    });
    let manifests = pools.chain(classes).enumerate();
    let documents: Vec<Document> = manifests
        .map(|(origin, manifest)| Document { origin, manifest })
        .collect();
    let options = guard::Options {
        name: String::new(),
        action: guard::Action::Warn,
        exempt: Vec::new(),
    };
    let Ok([now, _]) = guard::render(&documents, &compiled.table, &options) else {
        return false;
    };
    ["variables", "validations"]
        .iter()
        .all(|part| now["spec"][part] == policy["spec"][part])
}

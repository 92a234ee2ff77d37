//! A Pod of a class, created in a dry run.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::{asking, chain::Facts};
use crate::cli::dry_run;
use berth_core::{
    check::{self, Answer, Check, Seen, Unseen},
    names::{DISABLED, EXCLUDED_NAMESPACES, INJECT_LABEL, POOL_ANNOTATION},
    selector::Selector,
    table::Allocation,
    view::View,
};

impl Facts<'_> {
    /// Whether a Pod comes back placed.
    pub(super) fn dry_run(&self) -> Check {
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

    /// Creates a Pod in a dry run.
    fn create(&self, class: &Allocation, namespace: &str) -> Seen<Answer> {
        let container = class
            .container_names
            .first()
            .map_or("check", String::as_str);
        let label = &self.installation.flags.settings.class_label;
        let labels = BTreeMap::from([(label.clone(), class.name.clone())]);
        let pod = dry_run::pod("berth-check-", &labels, container);
        match dry_run::create(self.cluster, namespace, &pod) {
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
}

//! What is to be explained, as `pod/whisper`.

use std::str::FromStr;

use kube::core::{ApiResource, GroupVersionKind};

use berth_core::suggestion::suggestion;

/// A kind and a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ObjectName {
    pub(super) kind: Kind,
    pub(super) name: String,
}

/// What can be explained.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Pod,
    Pool,
    Class,
    Workload(Maker),
}

/// What makes Pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Maker {
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

impl Maker {
    /// As kubectl calls it for short.
    pub(super) const fn short(self) -> &'static str {
        match self {
            Self::Deployment => "deploy",
            Self::ReplicaSet => "rs",
            Self::StatefulSet => "sts",
            Self::DaemonSet => "ds",
            Self::Job => "job",
            Self::CronJob => "cronjob",
        }
    }

    /// The kind's name.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// The resource that the API server serves.
    pub(super) fn resource(self) -> ApiResource {
        let group = match self {
            Self::Job | Self::CronJob => "batch",
            _ => "apps",
        };
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", self.kind()))
    }

    /// What makes the Pods for it, where it does not do so itself.
    pub(super) const fn through(self) -> Option<Self> {
        match self {
            Self::Deployment => Some(Self::ReplicaSet),
            Self::CronJob => Some(Self::Job),
            _ => None,
        }
    }
}

/// As kubectl takes them, in the singular mostly.
const NAMES: &[(&str, Kind)] = &[
    ("pod", Kind::Pod),
    ("pods", Kind::Pod),
    ("po", Kind::Pod),
    ("pool", Kind::Pool),
    ("pools", Kind::Pool),
    ("gpool", Kind::Pool),
    ("gpupool", Kind::Pool),
    ("class", Kind::Class),
    ("classes", Kind::Class),
    ("wclass", Kind::Class),
    ("workloadclass", Kind::Class),
    ("deploy", Kind::Workload(Maker::Deployment)),
    ("deployment", Kind::Workload(Maker::Deployment)),
    ("deployments", Kind::Workload(Maker::Deployment)),
    ("rs", Kind::Workload(Maker::ReplicaSet)),
    ("replicaset", Kind::Workload(Maker::ReplicaSet)),
    ("sts", Kind::Workload(Maker::StatefulSet)),
    ("statefulset", Kind::Workload(Maker::StatefulSet)),
    ("ds", Kind::Workload(Maker::DaemonSet)),
    ("daemonset", Kind::Workload(Maker::DaemonSet)),
    ("job", Kind::Workload(Maker::Job)),
    ("jobs", Kind::Workload(Maker::Job)),
    ("cj", Kind::Workload(Maker::CronJob)),
    ("cronjob", Kind::Workload(Maker::CronJob)),
];

impl FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, name)) = text.split_once('/') else {
            return Err(format!("name its kind, too, as in pod/{text}"));
        };
        // as `kubectl get -o name` prints it: deployment.apps/llm
        let word = kind.to_ascii_lowercase();
        let word = word.split('.').next().unwrap_or_default();
        let found = NAMES.iter().find(|(known, _)| *known == word);
        let Some((_, kind)) = found else {
            let meant = suggestion(word, NAMES.iter().map(|(name, _)| *name));
            let meant = meant.map(|it| format!("; did you mean {it}/{name}?"));
            return Err(format!(
                "kind {kind} is not one that berth explains{}",
                meant.unwrap_or_else(|| {
                    "; use pod, deploy, rs, sts, ds, job, cronjob, class or pool".to_owned()
                })
            ));
        };
        if !berth_core::syntax::is_dns_subdomain(name) {
            return Err(
                "not the name of an object: use only lower-case letters, digits, - and ."
                    .to_owned(),
            );
        }
        Ok(Self {
            kind: *kind,
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_as_for_kubectl() {
        let read = |text: &str| text.parse::<ObjectName>();
        let pod = read("po/whisper-1").expect("a Pod");
        assert_eq!((pod.kind, &*pod.name), (Kind::Pod, "whisper-1"));
        let deployment = read("deployment.apps/whisper").expect("a Deployment");
        assert_eq!(deployment.kind, Kind::Workload(Maker::Deployment));
        for (text, said) in [
            ("whisper", "as in pod/whisper"),
            ("pot/whisper", "did you mean"),
            ("deploi/whisper", "did you mean deploy/whisper?"),
            ("secret/x", "not one that berth explains"),
            ("pod/A b", "not the name of an object"),
            ("pod/", "not the name of an object"),
        ] {
            let error = read(text).expect_err("not read");
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

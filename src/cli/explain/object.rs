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
    Workload(WorkloadKind),
}

/// What makes Pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WorkloadKind {
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

impl WorkloadKind {
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

/// As kubectl takes them, in the singular.
const NAMES: &[(&str, Kind)] = &[
    ("pod", Kind::Pod),
    ("po", Kind::Pod),
    ("pool", Kind::Pool),
    ("gpool", Kind::Pool),
    ("gpupool", Kind::Pool),
    ("class", Kind::Class),
    ("wclass", Kind::Class),
    ("workloadclass", Kind::Class),
    ("deploy", Kind::Workload(WorkloadKind::Deployment)),
    ("deployment", Kind::Workload(WorkloadKind::Deployment)),
    ("rs", Kind::Workload(WorkloadKind::ReplicaSet)),
    ("replicaset", Kind::Workload(WorkloadKind::ReplicaSet)),
    ("sts", Kind::Workload(WorkloadKind::StatefulSet)),
    ("statefulset", Kind::Workload(WorkloadKind::StatefulSet)),
    ("ds", Kind::Workload(WorkloadKind::DaemonSet)),
    ("daemonset", Kind::Workload(WorkloadKind::DaemonSet)),
    ("job", Kind::Workload(WorkloadKind::Job)),
    ("cj", Kind::Workload(WorkloadKind::CronJob)),
    ("cronjob", Kind::Workload(WorkloadKind::CronJob)),
];

/// The kind of a word, which may be a plural.
fn known(word: &str) -> Option<Kind> {
    let of = |word: &str| NAMES.iter().find(|(name, _)| *name == word);
    let singular = || {
        ["s", "es"]
            .into_iter()
            .find_map(|end| of(word.strip_suffix(end)?))
    };
    of(word).or_else(singular).map(|(_, kind)| *kind)
}

impl FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, name)) = text.split_once('/') else {
            return Err(match text {
                "" => "name what to explain, as in pod/NAME".to_owned(),
                kind if known(kind).is_some() => format!("name the object, too, as in {kind}/NAME"),
                name => format!("name its kind, too, as in pod/{name}"),
            });
        };
        // as `kubectl get -o name` prints it: deployment.apps/llm
        let word = kind.to_ascii_lowercase();
        let word = word.split('.').next().unwrap_or_default();
        let Some(kind) = known(word) else {
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
                "not the name of an object: use at most 253 lower-case letters, digits, - and ."
                    .to_owned(),
            );
        }
        Ok(Self {
            kind,
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
        for (text, kind) in [
            (
                "deployment.apps/whisper",
                Kind::Workload(WorkloadKind::Deployment),
            ),
            (
                "DaemonSets/whisper",
                Kind::Workload(WorkloadKind::DaemonSet),
            ),
            ("workloadclasses.berth.dev/whisper", Kind::Class),
            ("gpupools/whisper", Kind::Pool),
        ] {
            assert_eq!(read(text).map(|it| it.kind), Ok(kind), "{text}");
        }
        for (text, said) in [
            ("whisper", "as in pod/whisper"),
            ("pot/whisper", "did you mean"),
            ("deploi/whisper", "did you mean deploy/whisper?"),
            ("secret/x", "not one that berth explains"),
            ("foo/x", "not one that berth explains; use pod, deploy,"),
            ("deploy", "name the object, too, as in deploy/NAME"),
            ("pods", "name the object, too, as in pods/NAME"),
            ("", "as in pod/NAME"),
            ("pod/A b", "not the name of an object"),
            ("pod/", "not the name of an object"),
        ] {
            let error = read(text).expect_err("not read");
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

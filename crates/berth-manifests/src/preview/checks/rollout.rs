//! A rollout that needs more GPUs than its Pods have.

use std::borrow::Cow;

use serde_json::Value;

use super::{PodPreview, Topic};
use crate::diagnostic::{Diagnostic, Severity};

/// How a kind replaces its Pods.
struct Rollout<'d> {
    /// The field that says so, from the object; the nearest one above is marked where it is absent.
    path: Cow<'static, str>,
    /// What has `maxSurge` and `maxUnavailable`; none where a second set of Pods starts whatever it says.
    update: Option<&'d Value>,
    /// What these two are where they are absent.
    defaults: (Share, Share),
    /// Whether the author has written it.
    is_written: bool,
    what: &'static str,
    help: &'static str,
}

const ONE_BY_ONE: &str = "a rollout starts a new Pod before an old one ends";
const QUARTERS: (Share, Share) = (Share::Percent(25), Share::Percent(25));

/// A rollout that must start a new Pod before an old one ends. What the author has not written is a note.
pub(super) fn surge(document: &Value, pod: &PodPreview) -> Option<Diagnostic> {
    let object = document.pointer(&pod.template.object)?;
    let (Some(pool), Some(_)) = (pod.pool(), pod.container()) else {
        return None;
    };
    let component = document.pointer(pod.template.path())?;
    let place = pod.template.path().strip_prefix(&*pod.template.object)?;
    let rollout = Rollout::of(object, (component, place), &pod.kind)?;
    let replicas = [&object["spec"]["replicas"], &component["minReplicas"]];
    let replicas = replicas.into_iter().find_map(Value::as_u64).unwrap_or(1);
    if rollout.stands_still() {
        return Some(Topic::Invalid.of(
            &format!("{}/{}", pod.template.object, rollout.path),
            "maxSurge and maxUnavailable are both 0, so no Pod could ever be replaced: the API server denies it",
            "set maxUnavailable: 1",
        ));
    }
    if replicas == 0 || !rollout.waits(replicas) {
        return None;
    }
    let Rollout { what, help, .. } = rollout;
    Some(Diagnostic {
        severity: if rollout.is_written {
            Severity::Error
        } else {
            Severity::Note
        },
        ..Topic::SurgeNeedsGpu.of(
            &format!("{}/{}", pod.template.object, rollout.path),
            format!("{what}, and hangs where pool {pool:?} has no GPU to spare"),
            help,
        )
    })
}

impl<'d> Rollout<'d> {
    /// A rollout by lines, of which the author has written nothing yet.
    fn by(update: &'d Value, what: &'static str, help: &'static str) -> Self {
        let has = |field: &str| !update[field].is_null();
        Self {
            path: "spec".into(),
            update: Some(update),
            defaults: QUARTERS,
            is_written: has("maxSurge") || has("maxUnavailable"),
            what,
            help,
        }
    }

    /// How an object of a kind replaces the Pods of one of its components; none where no new Pod waits for an old one.
    fn of(object: &'d Value, (component, place): (&'d Value, &str), kind: &str) -> Option<Self> {
        let spec = &object["spec"];
        match kind {
            "Deployment" => Self::of_deployment(&spec["strategy"], "spec/strategy".into()),
            "InferenceService" => {
                // KServe's own mode without Knative takes a Deployment's strategy; Knative replaces revision by revision
                let strategy = &component["deploymentStrategy"];
                let path = format!("{}/deploymentStrategy", place.trim_start_matches('/'));
                Self::of_deployment(strategy, path.into()).map(|it| Self {
                    help: "set deploymentStrategy.type: Recreate beside the containers (in the mode Standard), or keep a GPU to spare",
                    ..it
                })
            }
            "Rollout" => Some(Self::of_argo(&spec["strategy"])),
            // kubernetes-sigs/lws api/leaderworkerset/v1/leaderworkerset_types.go, RollingUpdateConfiguration
            "LeaderWorkerSet" => Some(Self {
                path: "spec/rolloutStrategy".into(),
                defaults: (Share::Pods(0), Share::Pods(1)),
                ..Self::by(
                    &spec["rolloutStrategy"]["rollingUpdateConfiguration"],
                    "a rollout starts a new group before an old one ends",
                    "set spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge: 0",
                )
            }),
            // ray-project/kuberay ray-operator/apis/ray/v1/rayservice_types.go, RayServiceUpgradeType
            "RayService" if spec["upgradeStrategy"]["type"] == "None" => None,
            "RayService" => Some(Self {
                path: "spec/upgradeStrategy".into(),
                update: None,
                is_written: spec["upgradeStrategy"]["type"].is_string(),
                ..Self::by(
                    spec,
                    "an upgrade starts a second cluster before the first ends",
                    "set spec.upgradeStrategy.type: None and delete the old cluster by hand, or keep as many GPUs to spare",
                )
            }),
            "Service" | "Configuration" => Some(Self {
                update: None,
                is_written: false,
                ..Self::by(
                    spec,
                    "Knative starts a new revision before the old one ends",
                    "keep a GPU to spare",
                )
            }),
            _ => None,
        }
    }

    fn of_deployment(strategy: &'d Value, path: Cow<'static, str>) -> Option<Self> {
        const HELP: &str =
            "set spec.strategy.type: Recreate, or spec.strategy.rollingUpdate.maxSurge: 0";
        (strategy["type"] != "Recreate").then(|| Self {
            path,
            ..Self::by(&strategy["rollingUpdate"], ONE_BY_ONE, HELP)
        })
    }

    fn of_argo(strategy: &'d Value) -> Self {
        let path = Cow::Borrowed("spec/strategy");
        if strategy["blueGreen"].is_object() {
            return Self {
                path,
                update: None,
                is_written: true,
                ..Self::by(
                    strategy,
                    "a blue-green rollout starts a second set of Pods before the first ends",
                    "use spec.strategy.canary with maxSurge: 0 and maxUnavailable: 1, or keep a GPU to spare",
                )
            };
        }
        let help = "set spec.strategy.canary.maxSurge: 0 and maxUnavailable: 1";
        Self {
            path,
            ..Self::by(&strategy["canary"], ONE_BY_ONE, help)
        }
    }

    /// Whether neither a new Pod may come nor an old one go.
    fn stands_still(&self) -> bool {
        let (surge, unavailable) = self.defaults;
        self.update.is_some_and(|update| {
            let surge = Share::read(&update["maxSurge"], surge);
            surge.is_none() && Share::read(&update["maxUnavailable"], unavailable).is_none()
        })
    }

    /// Whether a new Pod of so many must run before an old one ends.
    fn waits(&self, replicas: u64) -> bool {
        let Some(update) = self.update else {
            return true;
        };
        let share = |field: &str, default| Share::read(&update[field], default);
        let (surge, unavailable) = self.defaults;
        let surge = share("maxSurge", surge).rounded_up(replicas);
        let unavailable = share("maxUnavailable", unavailable).rounded_down(replicas);
        surge > 0 && unavailable == 0
    }
}

/// `maxSurge` or `maxUnavailable`.
#[derive(Clone, Copy)]
enum Share {
    Percent(u64),
    Pods(u64),
}

impl Share {
    fn read(value: &Value, default: Self) -> Self {
        let percent = value.as_str().and_then(|text| text.strip_suffix('%'));
        match (value.as_u64(), percent.and_then(|text| text.parse().ok())) {
            (Some(pods), _) => Self::Pods(pods),
            (None, Some(percent)) => Self::Percent(percent),
            (None, None) => default,
        }
    }

    const fn is_none(self) -> bool {
        matches!(self, Self::Percent(0) | Self::Pods(0))
    }

    fn rounded_up(&self, replicas: u64) -> u64 {
        match self {
            Self::Percent(percent) => percent.saturating_mul(replicas).div_ceil(100),
            Self::Pods(pods) => *pods,
        }
    }

    fn rounded_down(&self, replicas: u64) -> u64 {
        match self {
            Self::Percent(percent) => percent.saturating_mul(replicas) / 100,
            Self::Pods(pods) => *pods,
        }
    }
}

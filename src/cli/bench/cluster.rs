//! `berth bench --cluster`: what a create takes in a cluster, with a class and without one. All of them are dry runs.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod};
use kube::{Api, ResourceExt};

use super::{
    Times,
    creates::{Creates, Percentiles},
    reach::{self, Reach},
};
use crate::cli::{
    cluster::{Cluster, NOT_FOUND, Unanswered},
    dry_run,
    facts::{Reading, no_namespace},
    namespace,
    progress::Progress,
    report::{Failure, tell},
};
use berth_core::{
    labels::Namespaces,
    names::{GROUP, POOL_ANNOTATION},
    table::Settings,
};

/// A round is a create without a class, and one with it: so many at most.
const ROUNDS: RangeInclusive<usize> = 1..=10_000;
/// Creates begin so long after one another at least: 50 a second.
const PACE: Duration = Duration::from_millis(20);
const A_SECOND: usize = 50;
/// What each Pod is called, before what the API server adds.
const PREFIX: &str = "berth-bench-";

/// What is measured in a cluster instead.
#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct InCluster {
    /// Measure dry-run creates in the cluster instead: of a small Pod without a class and of the same Pod with one, in turns,
    /// one at a time and at most 50 a second. Nothing is stored
    #[arg(long, conflicts_with_all = ["review", "compare", "from_cluster", "table"])]
    pub(super) cluster: bool,
    /// The namespace of the Pods, if not that of the kubeconfig's context
    #[arg(short = 'n', long = "namespace", value_name = "NAME", value_parser = namespace, requires = "cluster")]
    in_namespace: Option<String>,
    /// Their class, if not the first that the namespace may use
    #[arg(long, value_name = "NAME", requires = "cluster")]
    class: Option<String>,
    /// So many creates of each at most, where --seconds are not over before
    #[arg(long, value_name = "N", default_value = "1000", value_parser = rounds, requires = "cluster")]
    rounds: usize,
}

/// What is created in turns.
struct Contenders<'c> {
    cluster: &'c Cluster,
    namespace: String,
    class: String,
    without: Pod,
    with: Pod,
}

fn rounds(text: &str) -> Result<usize, String> {
    let rounds = text.parse().ok().filter(|it| ROUNDS.contains(it));
    let (least, most) = (ROUNDS.start(), ROUNDS.end());
    rounds.ok_or_else(|| format!("write a whole number of rounds, from {least} to {most}"))
}

impl InCluster {
    pub(super) fn measure(
        self,
        cluster: &Cluster,
        settings: Settings,
        time: Duration,
    ) -> Result<Creates, Failure> {
        let namespace = self
            .in_namespace
            .unwrap_or_else(|| cluster.namespace.clone());
        let label = settings.class_label.clone();
        let mut reading = Reading::new(cluster, settings);
        let namespaces = reading.namespaces(Some(&namespace))?;
        let (class, container) = class(
            self.class,
            cluster,
            &reading.settings,
            namespaces.as_ref(),
            &namespace,
        )?;
        let labels = BTreeMap::from([(label, class.clone())]);
        let contenders = Contenders {
            cluster,
            namespace,
            class,
            without: dry_run::pod(PREFIX, &BTreeMap::new(), &container),
            with: dry_run::pod(PREFIX, &labels, &container),
        };
        contenders.announce(self.rounds, time);
        let reach = contenders.reach(namespaces.as_ref())?;
        contenders.measure(self.rounds, time, reach)
    }
}

/// The class, and the container that it gives a GPU. A class that is named is asked for, also where the table may not be
/// read: berth says whether there is one.
fn class(
    named: Option<String>,
    cluster: &Cluster,
    settings: &Settings,
    namespaces: Option<&Namespaces>,
    namespace: &str,
) -> Result<(String, String), Failure> {
    let compiled = match (cluster.compiled(settings), &named) {
        (Ok(compiled), _) => Some(compiled),
        (Err(error), None) => {
            return Err(Failure::unreadable(format_args!(
                "{error}; name a class with --class"
            )));
        }
        (Err(_), Some(_)) => None,
    };
    let known = Namespaces::default();
    let of_namespace = namespaces.unwrap_or(&known).of_name(namespace);
    let table = compiled.as_ref().map(|it| &it.table);
    let first = || {
        let is_ready = |name: &&str| {
            let class = table.and_then(|it| it.class(name));
            class.is_some_and(|it| it.not_ready.is_none())
        };
        let mut open = table?.open_to(of_namespace);
        open.find(is_ready).map(str::to_owned)
    };
    let name = named.or_else(first).ok_or_else(|| {
        Failure::unreadable(format_args!(
            "no class is ready and open to namespace {namespace}; name another namespace with -n: berth classes -n {namespace} says more"
        ))
    })?;
    let class = table.and_then(|it| it.class(&name));
    let container = class.and_then(|it| it.container_names.first());
    let container = container.map_or("bench", String::as_str).to_owned();
    Ok((name, container))
}

impl Contenders<'_> {
    /// Says what will be done, before it is.
    fn announce(&self, rounds: usize, time: Duration) {
        let seconds = time.as_secs();
        let in_time = usize::try_from(seconds)
            .unwrap_or(usize::MAX)
            .saturating_mul(A_SECOND);
        // and the first two, which are not counted
        let most = in_time.min(2 * rounds) + 2;
        let (namespace, class) = (&self.namespace, &self.class);
        tell(format_args!(
            "creates a small Pod in namespace {namespace} at most {most} times, with class {class} and without a class in turns: \
             dry runs, one at a time, at most {A_SECOND} a second, for {seconds} s. Nothing is stored."
        ));
    }

    /// Creates each once, which also connects whoever is not connected yet, and says what becomes of a Pod without a class.
    fn reach(&self, namespaces: Option<&Namespaces>) -> Result<Reach, Failure> {
        let without = self.create(&self.without)?;
        let with = self.create(&self.with)?;
        if pool(&with).is_none() {
            let namespace = &self.namespace;
            return Err(Failure::unreadable(format_args!(
                "the Pod of class {} came back as it was sent: the API server does not ask berth about namespace {namespace}; \
                 `berth check` says why, or name another namespace with -n",
                self.class
            )));
        }
        if pool(&without).is_some() {
            return Ok(Reach::Placed);
        }
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.cluster.client.clone());
        let read = self.cluster.list("MutatingWebhookConfigurations", &api);
        Ok(match (read, namespaces) {
            (Ok(all), Some(namespaces)) => reach::of(&all, namespaces.of_name(&self.namespace)),
            (Ok(_), None) => Reach::Unknown("the namespace's labels may not be read".to_owned()),
            (Err(error), _) => Reach::Unknown(error.to_string()),
        })
    }

    fn measure(self, rounds: usize, time: Duration, reach: Reach) -> Result<Creates, Failure> {
        let (mut without, mut with) = (Times::default(), Times::default());
        let mut differences = Vec::new();
        let mut progress = Progress::begin();
        let started = Instant::now();
        while differences.len() < rounds && (differences.is_empty() || started.elapsed() < time) {
            let (seconds, all) = (started.elapsed().as_secs(), time.as_secs());
            progress.at(format_args!("measuring: {seconds} of {all} seconds"));
            // who is first changes, so that neither always comes after the other
            let [a, b] = if differences.len() % 2 == 0 {
                let a = self.timed(&self.without)?;
                [a, self.timed(&self.with)?]
            } else {
                let b = self.timed(&self.with)?;
                [self.timed(&self.without)?, b]
            };
            without.0.push(a);
            with.0.push(b);
            differences.push(b.cast_signed() - a.cast_signed());
        }
        differences.sort_unstable();
        Ok(Creates {
            rounds: differences.len(),
            difference_p50_ns: differences[differences.len() / 2],
            without: Percentiles::of(without),
            with: Percentiles::of(with),
            namespace: self.namespace,
            class: self.class,
            reach,
        })
    }

    /// What a create takes, in nanoseconds. It returns when the next one may begin.
    fn timed(&self, pod: &Pod) -> Result<u64, Failure> {
        let began = Instant::now();
        self.create(pod)?;
        let took = began.elapsed();
        thread::sleep(PACE.saturating_sub(took));
        Ok(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))
    }

    fn create(&self, pod: &Pod) -> Result<Pod, Failure> {
        let created = dry_run::create(self.cluster, &self.namespace, pod);
        created.map_err(|error| match error {
            kube::Error::Api(status) if status.code == NOT_FOUND => {
                no_namespace(&self.namespace, &[])
            }
            kube::Error::Api(status) => {
                Failure::unreadable(denied(&status.message, &self.namespace, &self.class))
            }
            error => Unanswered::of("the dry run of a Pod", error).into(),
        })
    }
}

/// What a create that is denied means here, and what to do.
fn denied(message: &str, namespace: &str, class: &str) -> String {
    let is_of_berth = message.contains(&format!(".{GROUP}\""));
    if message.contains("cannot create resource") {
        format!(
            "you may not create Pods in namespace {namespace}, and so in no dry run: {message}; \
             ask for the right to create pods there, or name another namespace with -n"
        )
    } else if is_of_berth && message.contains("failed calling webhook") {
        format!("the API server cannot ask berth: {message}; `berth check` says why")
    } else if is_of_berth {
        format!("berth denied the Pod of class {class}: {message}")
    } else {
        format!(
            "the Pod is denied in namespace {namespace}, and not by berth: {message}; name another namespace with -n"
        )
    }
}

/// The pool that berth has chosen.
fn pool(pod: &Pod) -> Option<&str> {
    pod.annotations().get(POOL_ANNOTATION).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a kube-apiserver 1.37.
    #[test]
    fn who_denied_a_create_is_told() {
        for (message, says) in [
            (
                r#"pods is forbidden: User "me" cannot create resource "pods" in API group "" in the namespace "ai""#,
                "you may not create Pods in namespace ai",
            ),
            (
                r#"admission webhook "pods.berth.dev" denied the request: workload class "vlm" is not available"#,
                "berth denied the Pod of class vlm",
            ),
            (
                r#"Internal error occurred: failed calling webhook "pods.berth.dev": failed to call webhook: no answer"#,
                "the API server cannot ask berth",
            ),
            (
                r#"pods "berth-bench-x" is forbidden: exceeded quota: none, requested: pods=1"#,
                "and not by berth",
            ),
            (
                r#"admission webhook "pods.example.com" does not support dry run"#,
                "and not by berth",
            ),
        ] {
            let said = denied(message, "ai", "vlm");
            assert!(said.contains(says) && said.contains(message), "{said}");
        }
    }
}

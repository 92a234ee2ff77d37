//! Why a Pod is where it is, or why it waits: from what was read of a cluster to one conclusion, the funnel of nodes that
//! leads to it, and what to do.
//!
//! It never says more than was seen: what could not be read is absent from the [`Facts`], and nothing is concluded from it.
//! Free GPUs are those of the [`fleet`](crate::fleet), and the decision is the review's own
//! [`Placement`](crate::placement::Placement).

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{api::core::v1::Event, jiff::Timestamp};
use serde::Serialize;

use crate::{conditions::Statuses, objects::Compiled, view::View};

mod age;
mod classes;
mod cluster;
mod decision;
mod funnel;
mod holders;
mod obstacle;
mod pod;
mod room;
mod said;
mod table;
mod terms;
mod unplaced;
mod waiting;
mod workload;

pub use age::age;
pub use classes::{ClassLine, Classes, PoolLine, classes};
pub use cluster::Counted;
pub use decision::decision;
pub use funnel::{Funnel, Step};
pub use holders::Holder;
pub use pod::pod;
pub use said::Said;
pub use table::{class, pool};
pub use workload::{Maker, Workload, workload, worst};

/// What was read of the cluster, as far as the rights of whoever asks go.
#[derive(Debug)]
pub struct Facts {
    /// When it was read.
    pub now: Timestamp,
    /// The table, as far as it could be read, and the labels of the namespaces that could be.
    pub view: View,
    /// The verdict on each object of the table that could be read.
    pub compiled: Compiled,
    /// Whether the pools could be read. Where they could not, the verdicts are none.
    pub sees_pools: bool,
    /// Whether the classes could be read.
    pub sees_classes: bool,
    /// Whether the labels of the namespace in question could be read.
    pub sees_namespace: bool,
    /// When the spec of each pool was last written, as its managed fields say.
    pub written: BTreeMap<String, Timestamp>,
    /// The statuses by what was counted; where nothing could be, as berth has written them.
    pub statuses: Statuses,
    /// Nodes and Pods; none where they could not be read.
    pub counted: Option<Counted>,
    /// Where berth's webhook is registered.
    pub webhook: Webhook,
    /// What could not be read, as `Nodes: … is forbidden`.
    pub unread: Vec<String>,
}

/// Where berth's webhook is registered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Webhook {
    /// That could not be read.
    #[default]
    Unread,
    /// Nowhere: the API server asks nobody.
    Missing,
    /// In a configuration that was created then.
    Since(Timestamp),
}

impl Facts {
    /// The revision of the table, where all of it could be read.
    fn revision(&self) -> Option<String> {
        let is_read = self.sees_pools && self.sees_classes;
        is_read.then(|| self.view.table.revision().to_owned())
    }
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What is explained, as `pod/whisper`.
    pub object: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The conclusion, in a word.
    pub reason: Why,
    /// The conclusion, in a sentence.
    pub conclusion: String,
    /// The class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The pools in which berth placed the Pod.
    pub placed_in: Vec<String>,
    /// The revision of today's table, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// What berth decided about the Pod, in sentences.
    pub decision: Vec<String>,
    /// How many nodes are left after each step, for each pool.
    pub pools: Vec<Funnel>,
    /// What else is to know.
    pub remarks: Vec<String>,
    /// What to do.
    pub advice: Vec<Advice>,
    /// What others say: the scheduler, an autoscaler, a controller.
    pub said: Vec<Said>,
    /// What could not be read, so that nothing is said of it.
    pub unread: Vec<String>,
}

/// Something to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Advice {
    /// A command to paste; empty where there is none.
    pub command: String,
    /// What comes of it, or what to do.
    pub text: String,
}

/// Declares [`Why`]: a variant's name is its word.
macro_rules! whys {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A conclusion.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum Why { $($(#[doc = $doc])+ $name,)+ }

        impl Why {
            /// Every conclusion, with what it means.
            pub const ALL: &[(Self, &str)] = &[$((Self::$name, concat!($($doc),+)),)+];
        }

        impl fmt::Display for Why {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => stringify!($name),)+ })
            }
        }
    };
}

whys! {
    /// The Pod runs.
    Running,
    /// The Pod has a node, and does not run there yet.
    Starting,
    /// The Pod has ended.
    Finished,
    /// The Pod is being deleted.
    Leaving,
    /// A scheduling gate keeps the scheduler from the Pod.
    Gated,
    /// Other Pods are evicted to make room for the Pod.
    Preempting,
    /// The Pod names no class, and neither does its namespace.
    NoClass,
    /// The Pod or its namespace opts out.
    OptedOut,
    /// The Pod was created without berth.
    NeverSeen,
    /// A pool of the Pod is not in the table any more.
    PoolGone,
    /// No node is in the Pod's pools.
    NoNode,
    /// The Pod's own node constraints exclude every node of its pools.
    OwnConstraints,
    /// The nodes of the pools are not ready.
    NotReady,
    /// The nodes of the pools are cordoned.
    Cordoned,
    /// The nodes of the pools have a taint that the Pod does not tolerate.
    UntoleratedTaint,
    /// No node of the pools offers as many GPUs as the Pod asks for.
    TooFewGpus,
    /// No node of the pools has as many GPUs free as the Pod asks for.
    NoFreeGpu,
    /// The pools have no free GPU, and other pools of the class have one now.
    Overtaken,
    /// DRA provides the GPUs: how many are free, berth does not know.
    ProvidedByDra,
    /// A GPU is free now; when the scheduler looked last, it found none.
    FreeNow,
    /// A GPU is free, and the scheduler names something else.
    NotTheGpu,
    /// Another scheduler than the cluster's has the Pod, and says nothing.
    OtherScheduler,
    /// The scheduler has not said anything yet.
    NotScheduledYet,
    /// berth denies the Pods, so none is made.
    Denied,
    /// No Pod is made, and it is not berth that denies them.
    NotCreated,
    /// It makes no Pod now: it is suspended, scaled to 0, or done.
    Resting,
    /// A Pod could run now.
    Ready,
    /// A pool or class is not in berth's table.
    NotAccepted,
    /// What would tell could not be read.
    Unknown,
}

impl Explanation {
    /// A conclusion alone.
    pub(crate) fn new(reason: Why, conclusion: impl Into<String>) -> Self {
        Self {
            object: String::new(),
            namespace: None,
            reason,
            conclusion: conclusion.into(),
            class: None,
            placed_in: Vec::new(),
            table: None,
            decision: Vec::new(),
            pools: Vec::new(),
            remarks: Vec::new(),
            advice: Vec::new(),
            said: Vec::new(),
            unread: Vec::new(),
        }
    }
}

impl Advice {
    /// A command, and what comes of it.
    pub(crate) fn command(command: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            text: text.into(),
        }
    }

    /// What no command does.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::command("", text)
    }
}

/// The last of the Events with a reason: when it was seen, by its series, its count or its creation.
pub(crate) fn seen_at(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref();
    let series = series
        .and_then(|it| it.last_observed_time.as_ref())
        .map(|it| it.0);
    let last = event.last_timestamp.as_ref().map(|it| it.0);
    let once = event.event_time.as_ref().map(|it| it.0);
    let created = event.metadata.creation_timestamp.as_ref().map(|it| it.0);
    series.or(last).or(once).or(created)
}

#[cfg(test)]
mod tests;

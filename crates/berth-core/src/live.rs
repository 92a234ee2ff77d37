//! What is known of the cluster as it is at this moment, and what a review asks of it: which of a class's groups has
//! room (rule 0), and which labels a Node has (rule 29).
//!
//! The core asks by [`Live`] and never holds what changes: whoever serves reviews keeps the picture behind a lock, and
//! hands it over with the view.

use std::fmt;

use crate::{
    labels::Labels,
    table::{Allocation, Group},
};

/// How much is known of the room that a group has for a Pod (rule 0).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// A node is free for it, whatever the scheduler does with the Pods that wait.
    Enough,
    /// It cannot be counted: DRA provides the GPUs, the pool may grow, or nothing is known yet. It never excludes a group.
    Unknown,
    /// A node has as many GPUs free, but Pods that wait may take them.
    Perhaps,
    /// No node has.
    None,
}

/// One way to place a Pod.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The group whose pools it would go to.
    pub group: &'a Group,
    /// The GPUs that it would ask for there.
    pub gpus: u64,
}

/// A Pod that is not placed yet, as far as the choice between groups needs it.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The namespace that it is created in.
    pub namespace: &'a str,
    /// What tells it from others before it has a uid: see [`owner`](crate::pod::Pod::owner).
    pub owner: &'a str,
    /// Its class.
    pub class: &'a Allocation,
    /// The ways to place it, in order of preference. There is at least one.
    pub plans: &'a [Plan<'a>],
    /// Whether nothing is stored in the end, so that nothing is taken.
    pub dry_run: bool,
}

/// What was chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The index of the plan; above 0, an earlier group had no room.
    pub plan: usize,
    /// What was known of the room in its group.
    pub room: Room,
}

/// The picture of the cluster that a review is answered with. The same picture gives the same answers (law 5).
pub trait Live: fmt::Debug + Send + Sync {
    /// Chooses between plans, and unless it is for a dry run takes the GPUs, in one step: two reviews at one time must
    /// not both be given the last GPU.
    fn choose(&self, wish: &Wish<'_>) -> Choice;

    /// The labels of a Node, if it is known.
    fn node(&self, name: &str) -> Option<Labels>;
}

/// A picture without anything in it, which is what files know: every group counts as having room.
#[derive(Clone, Copy, Debug)]
pub struct NothingKnown;

impl Live for NothingKnown {
    fn choose(&self, _: &Wish<'_>) -> Choice {
        Choice {
            plan: 0,
            room: Room::Unknown,
        }
    }

    fn node(&self, _: &str) -> Option<Labels> {
        None
    }
}

impl Room {
    /// The word for it in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Unknown => "unknown",
            Self::Perhaps => "perhaps",
            Self::None => "none",
        }
    }
}

impl Choice {
    /// The first plan that has room, else the first that perhaps has, else the first (rule 0). A plan without GPUs
    /// always has room.
    pub fn between<'p>(plans: &[Plan<'p>], mut room: impl FnMut(&Plan<'p>) -> Room) -> Self {
        let mut best: Option<Self> = None;
        for (plan, it) in plans.iter().enumerate() {
            let room = if it.gpus == 0 { Room::Enough } else { room(it) };
            let better = match room {
                Room::Enough | Room::Unknown => return Self { plan, room },
                Room::Perhaps => best.is_none_or(|best| best.room == Room::None),
                Room::None => best.is_none(),
            };
            if better {
                best = Some(Self { plan, room });
            }
        }
        best.unwrap_or(Self {
            plan: 0,
            room: Room::None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{class, pool, view};
    use serde_json::json;

    #[test]
    fn the_first_with_room_is_chosen_else_the_first_that_perhaps_has_else_the_first() {
        use Room::{Enough, None, Perhaps, Unknown};
        let view = view(&[pool("p", json!({})), class("c", &["p"], json!({}))]);
        let group = &view.table.class("c").expect("there").groups[0];
        for (rooms, plan) in [
            (&[Enough, Enough][..], 0),
            (&[Unknown, Enough], 0),
            (&[Perhaps, Unknown], 1),
            (&[None, Enough], 1),
            (&[None, Perhaps, Perhaps], 1),
            (&[Perhaps, None, Enough], 2),
            (&[Perhaps, None], 0),
            (&[None, None], 0),
        ] {
            let plans: Vec<Plan<'_>> = (0..rooms.len())
                .map(|i| Plan {
                    group,
                    gpus: i as u64 + 1,
                })
                .collect();
            let room = |it: &Plan<'_>| rooms[usize::try_from(it.gpus).expect("few") - 1];
            let choice = Choice::between(&plans, room);
            assert_eq!(
                choice,
                Choice {
                    plan,
                    room: rooms[plan]
                },
                "{rooms:?}"
            );
        }
        let without_gpus = [Plan { group, gpus: 0 }];
        assert_eq!(Choice::between(&without_gpus, |_| None).room, Enough);
    }
}

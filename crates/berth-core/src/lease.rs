//! Who writes the statuses and chooses for all replicas: the holder of one Lease.
//!
//! As in client-go, a Lease expires by one's own clock: so long after its record was *seen* to change. The times in it are
//! another machine's, and nobody compares them with anything.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;

/// How long a Lease is held where it does not say.
const DURATION: Duration = Duration::from_secs(15);

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// It is ours: renew it in time.
    Hold,
    /// Nobody has it, or who had it has not renewed it: replace it, at the resource version that was seen. It is ours
    /// once that has succeeded.
    Take,
    /// Somebody else has it.
    Wait,
}

/// A Lease as it was last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sighting {
    spec: LeaseSpec,
    /// When it was first seen so.
    since: Duration,
}

impl Sighting {
    /// Sees the Lease; only a change counts. The time is since any moment that stays, and for one's own write that when
    /// the request was sent.
    pub fn see(&mut self, spec: LeaseSpec, now: Duration) {
        if self.spec != spec {
            *self = Self { spec, since: now };
        }
    }

    /// Who holds the Lease, by its record.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        let holder = self.spec.holder_identity.as_deref();
        holder.filter(|holder| !holder.is_empty())
    }

    /// What to do about it now.
    #[must_use]
    pub fn step(&self, me: &str, now: Duration) -> Step {
        evaluate(&self.spec, me, self.since, now)
    }
}

/// What to do about a Lease that has been as it is since it was seen so. A holder that was stopped for longer than the
/// Lease lasts does not hold it any more, though the record still names it.
#[must_use]
pub fn evaluate(lease: &LeaseSpec, me: &str, seen: Duration, now: Duration) -> Step {
    let seconds = lease.lease_duration_seconds.unwrap_or_default();
    let duration = match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => DURATION,
    };
    let is_over = now.saturating_sub(seen) >= duration;
    match lease.holder_identity.as_deref() {
        None | Some("") => Step::Take,
        Some(_) if is_over => Step::Take,
        Some(holder) if holder == me => Step::Hold,
        Some(_) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_held_until_it_was_not_seen_to_change_for_so_long() {
        let at = Duration::from_secs;
        for (holder, now, step) in [
            ("me", 100, Step::Hold),
            ("me", 114, Step::Hold),
            ("me", 115, Step::Take),
            ("you", 114, Step::Wait),
            ("you", 115, Step::Take),
            ("", 100, Step::Take),
            // a clock that goes back takes nothing away
            ("you", 90, Step::Wait),
        ] {
            let found = evaluate(&lease(holder, 0), "me", at(100), at(now));
            assert_eq!(found, step, "{holder:?} at {now}");
        }
        assert_eq!(
            evaluate(&LeaseSpec::default(), "me", at(0), at(0)),
            Step::Take
        );
        let odd = LeaseSpec {
            lease_duration_seconds: Some(-1),
            ..lease("you", 0)
        };
        assert_eq!(evaluate(&odd, "me", at(0), at(14)), Step::Wait);
        assert_eq!(evaluate(&odd, "me", at(0), at(15)), Step::Take);
    }

    #[test]
    fn a_renewal_counts_from_when_it_is_seen_and_a_second_look_does_not() {
        let at = Duration::from_secs;
        let mut sighting = Sighting::default();
        assert_eq!(
            (sighting.holder(), sighting.step("me", at(0))),
            (None, Step::Take)
        );
        sighting.see(lease("you", 1), at(10));
        sighting.see(lease("you", 1), at(20));
        assert_eq!(
            sighting.step("me", at(25)),
            Step::Take,
            "it was the same at 10"
        );
        sighting.see(lease("you", 2), at(24));
        assert_eq!(sighting.step("me", at(25)), Step::Wait);
        assert_eq!(sighting.holder(), Some("you"));
    }
}

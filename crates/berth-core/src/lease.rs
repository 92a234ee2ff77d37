//! Who writes the statuses and chooses for all replicas: the holder of one Lease.
//!
//! As in client-go, a Lease expires by one's own clock: so long after its record was *seen* to change. The times in it are
//! another machine's, and nobody compares them with anything.

use std::{net::SocketAddr, time::Duration};

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

    /// When the Lease is over if it does not change, since the same moment.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.since + duration(&self.spec)
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
    let is_over = now.saturating_sub(seen) >= duration(lease);
    match lease.holder_identity.as_deref() {
        None | Some("") => Step::Take,
        Some(_) if is_over => Step::Take,
        Some(holder) if holder == me => Step::Hold,
        Some(_) => Step::Wait,
    }
}

fn duration(lease: &LeaseSpec) -> Duration {
    let seconds = lease.lease_duration_seconds.unwrap_or_default();
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => DURATION,
    }
}

/// The identity of a replica: its name and, where others can reach it, its webhook's address. One field of the record says
/// who holds the Lease and where that is, so no writer can change the one and leave the other.
#[must_use]
pub fn identity(name: &str, address: Option<SocketAddr>) -> String {
    match address {
        Some(address) => format!("{name}@{address}"),
        None => name.to_owned(),
    }
}

/// The address in an identity, if it has one.
#[must_use]
pub fn address(identity: &str) -> Option<SocketAddr> {
    identity.rsplit_once('@')?.1.parse().ok()
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
    fn an_identity_says_where_its_holder_is_if_others_can_reach_it() {
        for text in ["10.0.0.7:8443", "[fd00::7]:8443"] {
            let there: SocketAddr = text.parse().expect("an address");
            let me = identity("berth-0_ab", Some(there));
            assert_eq!(me, format!("berth-0_ab@{text}"));
            assert_eq!(address(&me), Some(there));
        }
        for elsewhere in ["", "berth-0_ab", "berth-0_ab@", "a@b@10.0.0.7", "@x:1"] {
            assert_eq!(address(elsewhere), None, "{elsewhere}");
        }
        assert_eq!(identity("berth-0_ab", None), "berth-0_ab");
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
        assert_eq!(sighting.end(), at(39));
    }
}

//! From when until when a certificate is accepted, and what the clock says to it.

use std::fmt;

use time::{OffsetDateTime, macros::format_description};

/// The first and the last moment of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// Before this, clients refuse it: their clock is behind, or ours was ahead when it was made.
    pub not_before: OffsetDateTime,
    /// After this, it has expired.
    pub not_after: OffsetDateTime,
}

/// Why clients do not accept a certificate now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OutOfDate {
    /// Its time is over.
    #[error("expired on {}, and it is {} now; renew it", Shown(*not_after), Shown(*now))]
    Expired {
        /// Its end.
        not_after: OffsetDateTime,
        /// What the clock says.
        now: OffsetDateTime,
    },
    /// Its time has not come.
    #[error("is not valid before {}, and it is {} now; check the clock, or issue it again", Shown(*not_before), Shown(*now))]
    NotYetValid {
        /// Its beginning.
        not_before: OffsetDateTime,
        /// What the clock says.
        now: OffsetDateTime,
    },
}

impl Validity {
    /// Whether clients accept it at this moment.
    pub fn check(&self, now: OffsetDateTime) -> Result<(), OutOfDate> {
        let Self {
            not_before,
            not_after,
        } = *self;
        if now < not_before {
            Err(OutOfDate::NotYetValid { not_before, now })
        } else if now > not_after {
            Err(OutOfDate::Expired { not_after, now })
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "valid until {}", Shown(self.not_after))
    }
}

/// A moment, in UTC and to the second: as `openssl x509 -dates` has it, in the order of RFC 3339.
struct Shown(OffsetDateTime);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
        let shown = self.0.to_offset(time::UtcOffset::UTC).format(format);
        f.write_str(&shown.map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    #[test]
    fn a_certificate_is_accepted_from_its_first_second_to_its_last() {
        let (not_before, not_after) = (
            datetime!(2026-01-02 03:04:05 UTC),
            datetime!(2026-04-02 03:04:05 UTC),
        );
        let validity = Validity {
            not_before,
            not_after,
        };
        let says = |now| validity.check(now).map_err(|error| error.to_string());
        assert_eq!(says(not_before), Ok(()));
        assert_eq!(says(not_after), Ok(()));
        let early = says(not_before - Duration::SECOND).expect_err("too early");
        assert!(
            early.starts_with("is not valid before 2026-01-02 03:04:05 UTC"),
            "{early}"
        );
        let late = says(not_after + Duration::SECOND).expect_err("too late");
        assert_eq!(
            late,
            "expired on 2026-04-02 03:04:05 UTC, and it is 2026-04-02 03:04:06 UTC now; renew it"
        );
    }
}

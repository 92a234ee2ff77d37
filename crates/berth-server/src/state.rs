//! What the server is at this moment: the view and the certificate in force, and why it should get no traffic.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use time::OffsetDateTime;

use crate::validity::{OutOfDate, Validity};
use berth_core::view::View;

/// A reason has so many bytes at most: a table may have an error in each of its lines, and the log has them all.
const MAX_REASON: usize = 1 << 10;
/// Why nothing is in force before the first reading has ended.
const NOT_READ: &str = "it has not been read yet";

/// Shared by all that serves and all that reloads.
#[derive(Debug)]
pub struct ServerState {
    view: ArcSwapOption<View>,
    no_view: ArcSwap<String>,
    certificate: ArcSwapOption<Validity>,
    no_certificate: ArcSwap<String>,
    draining: AtomicBool,
}

/// Why the server should get no traffic.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotReady {
    /// Nothing to answer from: reviews get a 503.
    #[error("no table is in force: {0}")]
    NoTable(Arc<String>),
    /// Nothing to shake hands with: no connection succeeds.
    #[error("no certificate is in force: {0}")]
    NoCertificate(Arc<String>),
    /// Clients refuse the one in force.
    #[error("the certificate in force {0}")]
    CertificateOutOfDate(OutOfDate),
    /// A signal has come: new clients should go to another replica.
    #[error("draining")]
    Draining,
}

impl NotReady {
    /// Every label of the metric.
    pub const LABELS: [&str; 4] = [
        "NoTable",
        "NoCertificate",
        "CertificateOutOfDate",
        "Draining",
    ];

    /// The label of the metric.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoTable(_) => "NoTable",
            Self::NoCertificate(_) => "NoCertificate",
            Self::CertificateOutOfDate(_) => "CertificateOutOfDate",
            Self::Draining => "Draining",
        }
    }
}

impl Default for ServerState {
    fn default() -> Self {
        let not_read = Arc::new(NOT_READ.to_owned());
        Self {
            view: ArcSwapOption::empty(),
            no_view: ArcSwap::new(Arc::clone(&not_read)),
            certificate: ArcSwapOption::empty(),
            no_certificate: ArcSwap::new(not_read),
            draining: AtomicBool::new(false),
        }
    }
}

impl ServerState {
    /// One snapshot of the view in force.
    #[must_use]
    pub fn view(&self) -> Guard<Option<Arc<View>>> {
        self.view.load()
    }

    /// Puts a view in force, whole.
    pub fn set_view(&self, view: View) {
        self.view.store(Some(Arc::new(view)));
    }

    /// Says why no view could be put in force. Where one is, it stays, and this is not shown.
    pub fn set_no_view(&self, reason: &str) {
        self.no_view.store(Arc::new(shortened(reason)));
    }

    /// Why there is no view, as [`NotReady`] says it.
    #[must_use]
    pub fn no_table(&self) -> NotReady {
        NotReady::NoTable(self.no_view.load_full())
    }

    /// From now on, this certificate is shown.
    pub fn set_certificate(&self, validity: Validity) {
        self.certificate.store(Some(Arc::new(validity)));
    }

    /// Says why no certificate could be put in force. Where one is, it stays, and this is not shown.
    pub fn set_no_certificate(&self, reason: &str) {
        self.no_certificate.store(Arc::new(shortened(reason)));
    }

    /// Whether every response should send its client elsewhere.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on the server drains.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server should get traffic; else every reason why not.
    pub fn ready(&self) -> Result<(), Vec<NotReady>> {
        let draining = self.is_draining().then_some(NotReady::Draining);
        let table = self.view().is_none().then(|| self.no_table());
        let certificate = self.certificate(OffsetDateTime::now_utc()).err();
        let reasons: Vec<_> = [draining, table, certificate]
            .into_iter()
            .flatten()
            .collect();
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons)
        }
    }

    fn certificate(&self, now: OffsetDateTime) -> Result<(), NotReady> {
        let validity = self.certificate.load();
        let none = || NotReady::NoCertificate(self.no_certificate.load_full());
        let validity = validity.as_deref().ok_or_else(none)?;
        validity.check(now).map_err(NotReady::CertificateOutOfDate)
    }
}

fn shortened(reason: &str) -> String {
    if reason.len() <= MAX_REASON {
        return reason.to_owned();
    }
    let end = reason.floor_char_boundary(MAX_REASON);
    format!("{}…", &reason[..end])
}

#[cfg(test)]
mod tests {
    use berth_core::table::{Settings, compile};
    use time::Duration;

    use super::*;

    fn reasons(state: &ServerState) -> Vec<&'static str> {
        let reasons = state.ready().err().unwrap_or_default();
        reasons.iter().map(NotReady::as_str).collect()
    }

    fn valid(from: i64, until: i64) -> Validity {
        let now = OffsetDateTime::now_utc();
        Validity {
            not_before: now + Duration::seconds(from),
            not_after: now + Duration::seconds(until),
        }
    }

    #[test]
    fn a_server_is_ready_with_a_table_and_a_certificate_that_is_valid_now() {
        let state = ServerState::default();
        assert_eq!(reasons(&state), ["NoTable", "NoCertificate"]);
        state.set_view(compile(&[], &Settings::default()).0.into());
        state.set_certificate(valid(-60, 60));
        assert_eq!(state.ready(), Ok(()));
        // nobody has to come by for it to end
        for (from, until) in [(-60, -1), (60, 120)] {
            state.set_certificate(valid(from, until));
            assert_eq!(reasons(&state), ["CertificateOutOfDate"]);
        }
        state.drain();
        assert_eq!(reasons(&state), ["Draining", "CertificateOutOfDate"]);
    }

    #[test]
    fn a_reason_is_told_and_bounded() {
        let state = ServerState::default();
        state.set_no_view("x.yaml:3:1: unknown field");
        assert_eq!(
            state.no_table().to_string(),
            "no table is in force: x.yaml:3:1: unknown field"
        );
        state.set_no_view(&"é".repeat(MAX_REASON));
        assert!(state.no_table().to_string().len() < MAX_REASON + 64);
    }
}

//! What a run comes to: printed, saved with `-o json`, and compared with a later run.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::cli::report::Failure;
use berth_manifests::files;

/// The figures of one run. Times are nanoseconds; those of the usual way are there if it can read the review.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Figures {
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) scan_ns: u64,
    pub(super) idiom_ns: Option<u64>,
    ratio_scan: f64,
    ratio_idiom: Option<f64>,
    reviews_per_second: u64,
    bytes: usize,
    classes: usize,
    /// The run that this one is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compared: Option<Compared>,
}

/// A run beside an earlier one of the same review and as many classes. What is compared is how many scans a review takes:
/// the machine may be slower today.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Compared {
    then_p50_ns: u64,
    then_ratio_scan: f64,
    /// How many times as many scans as then.
    ratio: f64,
}

impl Figures {
    pub(super) fn new(
        [p50_ns, p99_ns, scan_ns]: [u64; 3],
        idiom_ns: Option<u64>,
        bytes: usize,
        classes: usize,
    ) -> Self {
        let berth = precise(p50_ns.max(1));
        Self {
            p50_ns,
            p99_ns,
            scan_ns,
            idiom_ns,
            ratio_scan: berth / precise(scan_ns.max(1)),
            ratio_idiom: idiom_ns.map(|it| precise(it) / berth),
            reviews_per_second: 1_000_000_000 / p50_ns.max(1),
            bytes,
            classes,
            compared: None,
        }
    }

    /// Reads what `-o json` has printed, of a review of so many bytes and a table of so many classes.
    pub(super) fn read(path: &Path, bytes: usize, classes: usize) -> Result<Self, Failure> {
        let wrong =
            |what: String| Failure::unreadable(format!("--compare {}: {what}", path.display()));
        let text = fs::read(path)
            .map_err(|error| wrong(format!("{}; check the path", files::plain(&error))))?;
        let then: Self = serde_json::from_slice(&text).map_err(|error| {
            wrong(format!(
                "it is not what berth bench -o json prints ({error}); save a run with it first"
            ))
        })?;
        if (then.bytes, then.classes) != (bytes, classes) {
            return Err(wrong(format!(
                "it is of a review of {} bytes and a table of {} classes, and this is one of {bytes} bytes and {classes} classes; \
                 compare runs of the same review and table",
                then.bytes, then.classes
            )));
        }
        Ok(then)
    }

    /// The same beside an earlier run.
    pub(super) fn beside(self, then: &Self) -> Self {
        let compared = Compared {
            then_p50_ns: then.p50_ns,
            then_ratio_scan: then.ratio_scan,
            ratio: self.ratio_scan / then.ratio_scan,
        };
        Self {
            compared: Some(compared),
            ..self
        }
    }

    pub(super) fn text(&self) -> String {
        let micros = |nanos: u64| precise(nanos) / 1e3;
        let mut text = format!(
            "review    {} bytes, a table of {} classes\n\
             berth     p50 {:.1} µs, p99 {:.1} µs: {} reviews a second on one core\n\
             scan      p50 {:.1} µs: berth takes {:.2} times the structure-only scan of the same bytes\n",
            self.bytes,
            self.classes,
            micros(self.p50_ns),
            micros(self.p99_ns),
            self.reviews_per_second,
            micros(self.scan_ns),
            self.ratio_scan,
        );
        let usual = match self.idiom_ns.zip(self.ratio_idiom) {
            Some((nanos, ratio)) => format!(
                "kube-rs   p50 {:.1} µs: berth is {ratio:.0} times faster than the usual way\n",
                micros(nanos)
            ),
            None => "kube-rs   the usual way cannot read this review\n".to_owned(),
        };
        text.push_str(&usual);
        if let Some(compared) = &self.compared {
            let line = format!(
                "compared  p50 {:.1} µs and {:.2} scans then: {:.2} times as many scans now\n",
                micros(compared.then_p50_ns),
                compared.then_ratio_scan,
                compared.ratio,
            );
            text.push_str(&line);
        }
        text
    }
}

#[allow(clippy::cast_precision_loss, reason = "times are far below 2^52 ns")]
fn precise(nanos: u64) -> f64 {
    nanos as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(berth: u64, scan: u64, idiom: Option<u64>) -> Figures {
        Figures::new([berth, 2 * berth, scan], idiom, 3_800, 5)
    }

    #[test]
    fn runs_are_compared_by_scans_since_the_machine_may_be_slower() {
        let then = figures(6_000, 4_000, Some(60_000));
        // twice as slow a machine, and a tenth more work
        let now = figures(13_200, 8_000, None).beside(&then);
        let text = now.text();
        assert!(
            text.ends_with(
                "compared  p50 6.0 µs and 1.50 scans then: 1.10 times as many scans now\n"
            ),
            "{text}"
        );
        assert!(text.contains("kube-rs   the usual way cannot read this review\n"));
        assert!(then.text().contains("berth is 10 times faster"));
    }

    #[test]
    fn what_is_saved_is_read_again_and_only_of_the_same_review() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let read = |bytes, classes| Figures::read(file.path(), bytes, classes);
        let saved = serde_json::to_string(&figures(6_000, 4_000, None)).expect("JSON");
        fs::write(file.path(), saved).expect("written");
        let then = read(3_800, 5).expect("the same review");
        assert_eq!((then.p50_ns, then.idiom_ns), (6_000, None));
        for (bytes, classes) in [(3_801, 5), (3_800, 6)] {
            let error = format!("{:?}", read(bytes, classes).expect_err("another"));
            assert!(
                error.contains("compare runs of the same review and table"),
                "{error}"
            );
        }
        fs::write(file.path(), "{}").expect("written");
        let error = format!("{:?}", read(3_800, 5).expect_err("no run"));
        assert!(error.contains("save a run with it first"), "{error}");
    }
}

//! How long ago something was, as kubectl shows an age.

use k8s_openapi::jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The time between two moments: `20s`, `4m12s`, `3h`, `5d`. What is in the future is `0s`, since two clocks differ.
#[must_use]
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let two = |unit: i64, name: &str, below: i64, below_name: &str| {
        let rest = seconds % unit / below;
        let whole = seconds / unit;
        if rest == 0 {
            format!("{whole}{name}")
        } else {
            format!("{whole}{name}{rest}{below_name}")
        }
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(MINUTE, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(HOUR, "h", MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(DAY, "d", HOUR, "h"),
        _ => format!("{}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_as_kubectl_shows_it() {
        let since = Timestamp::from_second(1_000).expect("a time");
        for (seconds, shown) in [
            (-5, "0s"),
            (20, "20s"),
            (119, "119s"),
            (252, "4m12s"),
            (240, "4m"),
            (3_600, "60m"),
            (11_100, "3h5m"),
            (86_400, "24h"),
            (262_800, "3d1h"),
            (864_000, "10d"),
        ] {
            let now = Timestamp::from_second(1_000 + seconds).expect("a time");
            assert_eq!(age(since, now), shown, "{seconds}");
        }
    }
}

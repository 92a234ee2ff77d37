//! Durations as Go writes them: `5s`, `1m30s`, `734.5ms`. What the API server's `?timeout=` and our flags carry.

use std::time::Duration;

/// The longest time that a flag takes: an instant plus this is an instant, where with 3000000000000000h it is a panic.
const LONGEST: Duration = Duration::from_hours(24);
/// The units, the longer name before its own beginning.
const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Reads a duration that is not negative.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = &tail[unit.len()..];
    }
    // what is too long for a duration is the longest one, and so too long for a flag
    let duration = || Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    (!text.is_empty()).then(duration)
}

/// Reads a flag's value.
pub fn flag(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    match parse(text) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) => Err("at most 24h".to_owned()),
        None => Err("write a number with its unit, as in 15s, 500ms or 1m30s".to_owned()),
    }
}

/// Reads the value of a flag for which no time is none: nobody could be served.
pub fn above_zero(text: &str) -> Result<Duration, String> {
    let duration = flag(text)?;
    let is_some = !duration.is_zero();
    let message = || "write a time above 0: with 0, nobody could be served".to_owned();
    is_some.then_some(duration).ok_or_else(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_is_read() {
        for (text, milliseconds) in [
            ("5s", 5_000.0),
            ("0s", 0.0),
            ("1m30s", 90_000.0),
            ("734.512345ms", 734.512_345),
            ("1h0m0.5s", 3_600_500.0),
            ("250µs", 0.25),
            ("250us", 0.25),
            ("12ns", 0.000_012),
        ] {
            let expected = Duration::from_secs_f64(milliseconds / 1e3);
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_not_read() {
        for text in [
            "", "5", "s", "-5s", "5 s", "1.2.3s", "5x", "inf", "1e300h", "NaNs", "5s7",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_in_which_nobody_could_be_served_is_refused() {
        for text in ["0", "0s", "0h0ms"] {
            let refused = above_zero(text);
            assert!(refused.is_err_and(|it| it.contains("above 0")), "{text}");
        }
        assert_eq!(above_zero("1ms"), Ok(Duration::from_millis(1)));
        assert!(above_zero("25h").is_err_and(|it| it.contains("24h")));
    }

    #[test]
    fn a_flag_takes_a_day_at_most() {
        assert_eq!(flag("0"), Ok(Duration::ZERO));
        assert_eq!(flag("24h"), Ok(LONGEST));
        assert_eq!(flag("24h1ns"), Err("at most 24h".to_owned()));
        assert_eq!(flag("99999999999999999999s"), Err("at most 24h".to_owned()));
        assert_eq!(flag("3000000000000000h"), Err("at most 24h".to_owned()));
    }
}

//! Quantities, compared by value as Kubernetes' `resource.Quantity` does: `1`, `1e0` and `1000m` are one (rules 15 and 17).

/// One, in billionths: the smallest unit that Kubernetes keeps.
const ONE: i128 = 1_000_000_000;
/// Kubernetes caps a quantity here.
const MAX: i128 = i64::MAX as i128 * ONE;
/// So many digits are read exactly; what is after them rounds up, as does all that is below a billionth.
const DIGITS: u32 = 19;

/// An amount, in billionths.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Quantity(i128);

impl Quantity {
    /// Reads what Kubernetes' `ParseQuantity` reads; nothing else is a quantity.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (multiplier, exponent) = scale(suffix)?;
        let magnitude = Decimal::parse(number)?.scaled(multiplier, exponent);
        Some(Self(if negative { -magnitude } else { magnitude }))
    }

    /// Whether it is above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// The whole number that it is, if it is one and not negative.
    #[must_use]
    pub fn whole(self) -> Option<u64> {
        (self.0 % ONE == 0)
            .then(|| u64::try_from(self.0 / ONE).ok())
            .flatten()
    }
}

/// A suffix as a multiplier and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i64)> {
    let binary = |power: u32| (1_i128 << (10 * power), 0);
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => (1, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

/// Digits, and the power of ten that the last of them stands for.
struct Decimal {
    digits: i128,
    exponent: i64,
    /// Whether digits that are not zero were left out.
    more: bool,
}

impl Decimal {
    /// Reads `1`, `1.5`, `1.` and `.5`.
    fn parse(number: &str) -> Option<Self> {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return None;
        }
        let mut decimal = Self {
            digits: 0,
            exponent: 0,
            more: false,
        };
        for digit in whole.bytes() {
            decimal.exponent += i64::from(!decimal.push(digit));
        }
        for digit in fraction.bytes() {
            decimal.exponent -= i64::from(decimal.push(digit));
        }
        Some(decimal)
    }

    /// Takes one more digit, and says whether there was room for it.
    fn push(&mut self, digit: u8) -> bool {
        let room = self.digits < 10_i128.pow(DIGITS - 1);
        if room {
            self.digits = self.digits * 10 + i128::from(digit - b'0');
        } else {
            self.more |= digit != b'0';
        }
        room
    }

    /// The amount in billionths, rounded up.
    fn scaled(&self, multiplier: i128, exponent: i64) -> i128 {
        let digits = self.digits * multiplier;
        let exponent = self.exponent.saturating_add(exponent).saturating_add(9);
        if digits == 0 {
            return 0;
        }
        let power = |by: i64| {
            u32::try_from(by)
                .ok()
                .and_then(|by| 10_i128.checked_pow(by))
        };
        let amount = if exponent >= 0 {
            power(exponent).and_then(|power| digits.checked_mul(power))
        } else {
            let down = power(exponent.saturating_neg());
            Some(down.map_or(1, |power| {
                digits / power + i128::from(digits % power > 0 || self.more)
            }))
        };
        amount.unwrap_or(MAX).min(MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nano(text: &str) -> Option<i128> {
        Quantity::parse(text).map(|quantity| quantity.0)
    }

    #[test]
    fn quantities_are_read_by_value() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("1", ONE),
            ("+1", ONE),
            ("-1", -ONE),
            ("1e0", ONE),
            ("1E0", ONE),
            ("10e-1", ONE),
            ("1000m", ONE),
            ("1000000u", ONE),
            ("1000000000n", ONE),
            ("1.", ONE),
            (".5", ONE / 2),
            ("0.1", ONE / 10),
            ("001.50", ONE * 3 / 2),
            ("1k", 1000 * ONE),
            ("1E", 1_000_000_000_000_000_000 * ONE),
            ("1Ki", 1024 * ONE),
            ("1.5Gi", 1_610_612_736 * ONE),
            ("0.5n", 1),
            ("1e-100", 1),
            ("0e1000", 0),
            ("1e1000", MAX),
            ("100E", MAX),
            ("8Ei", MAX),
            ("-100E", -MAX),
            ("1.0000000000000000000000001", ONE + 1),
            ("10000000000000000000000000000000000000000e-40", ONE),
        ] {
            assert_eq!(nano(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_no_quantity() {
        for text in [
            "",
            ".",
            "-",
            "+-1",
            " 1",
            "1 ",
            "1.2.3",
            "1K",
            "1ki",
            "1e",
            "e1",
            "1e1.5",
            "1i",
            "1mi",
            "0x1",
            "1_000",
            "Ki",
            "$GPUS",
            "one",
            "1e99999999999999999999",
            "١",
        ] {
            assert_eq!(nano(text), None, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_told_apart() {
        for (text, whole) in [
            ("2", Some(2)),
            ("2000m", Some(2)),
            ("1k", Some(1000)),
            ("500m", None),
            ("-1", None),
        ] {
            assert_eq!(
                Quantity::parse(text).and_then(Quantity::whole),
                whole,
                "{text}"
            );
        }
        assert!(Quantity::parse("1n").is_some_and(Quantity::is_positive));
        assert!(!Quantity::parse("0").is_some_and(Quantity::is_positive));
    }

    proptest! {
        #[test]
        fn a_number_has_one_value_however_it_is_written(number in 0_u32.., zeros in 0_usize..6) {
            let tail = "0".repeat(zeros);
            for text in [
                format!("{number}"),
                format!("00{number}.{tail}"),
                format!("{number}{tail}e-{zeros}"),
                format!("{number}000m"),
                format!("{number}.{tail}e0"),
            ] {
                prop_assert_eq!(Quantity::parse(&text).and_then(Quantity::whole), Some(number.into()), "{}", text);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+]?[0-9.]{0,45}[a-zA-Z0-9+-]{0,5}") {
            let _ = Quantity::parse(&text);
        }
    }
}

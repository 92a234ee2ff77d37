//! Quantities, compared by value as Kubernetes' `resource.Quantity` does: `1`, `1e0` and `1000m` are one (rules 15 and 17).

/// One, in billionths: the smallest unit that Kubernetes keeps.
const ONE: i128 = 1_000_000_000;
/// Kubernetes counts so far: what is written larger is this.
pub const LARGEST: u64 = i64::MAX.unsigned_abs();
/// The same, in billionths.
const MAX: i128 = LARGEST as i128 * ONE;
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

    /// Whether it is nothing: an amount below zero is not, and is invalid.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The whole number at or below it; 0 where it is negative.
    #[must_use]
    pub fn floor(self) -> u64 {
        u64::try_from(self.0 / ONE).unwrap_or_default()
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
mod tests;

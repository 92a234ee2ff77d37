//! Quantity (stand-in until merge)
/// q
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity(f64);
impl Quantity {
    /// parse
    #[must_use]
    pub fn parse(t: &str) -> Option<Self> {
        let (n, m) = if let Some(n) = t.strip_suffix('m') {
            (n, 0.001)
        } else if let Some(n) = t.strip_suffix('k') {
            (n, 1000.0)
        } else {
            (t, 1.0)
        };
        n.parse::<f64>().ok().map(|v| Self(v * m))
    }
    /// pos
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.0 > 0.0
    }
    /// whole
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn whole(self) -> Option<u64> {
        (self.0 >= 0.0 && self.0.fract() == 0.0).then_some(self.0 as u64)
    }
}

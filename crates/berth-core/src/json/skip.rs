//! What no rule reads: held to JSON's grammar (RFC 8259) like the rest, and passed over without recursion.
//!
//! Two things are not looked at: whether a key comes twice, and whether the escape of half a surrogate pair has its
//! other half. Each function takes what is left of the text, and gives what is left after it. Each value and each escape
//! takes steps, of which some are left.

use super::{Error, Problem, STEPS, VALUE};

/// What comes after a value in a list.
pub(super) const COMMA_OR_END: &str = "a comma or the end of the list";

/// Where reading has failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum At {
    /// Where a value begins.
    #[default]
    Value,
    /// In a string, which may be a key, where an escape begins.
    Escape,
    /// Where a value has ended.
    ValuesEnd,
}

/// One bit for each byte of a word.
const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// Takes steps from those that are left.
#[inline]
pub(super) fn step(steps: &mut usize, count: usize, rest: &[u8]) -> Result<(), Error> {
    let Some(left) = steps.checked_sub(count) else {
        return Err(Error::new(Problem::TooMany(STEPS), rest));
    };
    *steps = left;
    Ok(())
}

/// Skips a value: mostly it is a string.
#[inline]
pub(super) fn value<'t>(rest: &'t [u8], steps: &mut usize) -> Result<&'t [u8], Error> {
    match rest {
        [b'"', inside @ ..] => {
            step(steps, VALUE, rest)?;
            string(inside, steps)
        }
        other => any(other, steps),
    }
}

/// Skips a value of any kind, however deep it nests.
fn any<'t>(rest: &'t [u8], steps: &mut usize) -> Result<&'t [u8], Error> {
    within(rest, Brackets::default(), false, steps)
}

/// Skips the rest of a value of which some brackets are open, from where reading it has failed.
pub(super) fn resumed<'t>(
    rest: &'t [u8],
    at: At,
    open: Brackets,
    steps: &mut usize,
) -> Result<&'t [u8], Error> {
    match at {
        At::Value => within(rest, open, false, steps),
        At::ValuesEnd => within(rest, open, true, steps),
        At::Escape => match space(escaped(rest, steps)?) {
            [b':', value @ ..] => within(value, open, false, steps),
            rest => within(rest, open, true, steps),
        },
    }
}

/// Skips to the end of what is open, from a value on, or from the end of one.
fn within<'t>(
    mut rest: &'t [u8],
    mut open: Brackets,
    mut after_value: bool,
    steps: &mut usize,
) -> Result<&'t [u8], Error> {
    loop {
        if !after_value {
            step(steps, VALUE, rest)?;
            rest = match space(rest) {
                [b'"', rest @ ..] => string(rest, steps)?,
                [b'{', inside @ ..] => match space(inside) {
                    [b'}', rest @ ..] => rest,
                    fields => {
                        open.push(true);
                        rest = key(fields, steps)?;
                        continue;
                    }
                },
                [b'[', inside @ ..] => match space(inside) {
                    [b']', rest @ ..] => rest,
                    values => {
                        open.push(false);
                        rest = values;
                        continue;
                    }
                },
                [b't', b'r', b'u', b'e', rest @ ..]
                | [b'f', b'a', b'l', b's', b'e', rest @ ..]
                | [b'n', b'u', b'l', b'l', rest @ ..] => rest,
                other => number(other)?,
            };
        }
        after_value = false;
        loop {
            if open.depth == 0 {
                return Ok(rest);
            }
            let object = open.innermost();
            match space(rest) {
                [b',', more @ ..] => {
                    rest = if object {
                        key(space(more), steps)?
                    } else {
                        more
                    };
                    break;
                }
                [b'}', more @ ..] if object => rest = more,
                [b']', more @ ..] if !object => rest = more,
                other => {
                    return Err(Error::new(Problem::Expected(COMMA_OR_END), other));
                }
            }
            open.pop();
        }
    }
}

/// Skips a key and its colon.
#[inline]
fn key<'t>(rest: &'t [u8], steps: &mut usize) -> Result<&'t [u8], Error> {
    let [b'"', rest @ ..] = rest else {
        return Err(Error::new(Problem::Expected("a key"), rest));
    };
    match space(string(rest, steps)?) {
        [b':', rest @ ..] => Ok(rest),
        other => Err(Error::new(Problem::Expected("a colon"), other)),
    }
}

/// Skips a string from its first character on.
fn string<'t>(rest: &'t [u8], steps: &mut usize) -> Result<&'t [u8], Error> {
    match plain(rest) {
        [b'"', rest @ ..] => Ok(rest),
        other => escaped(other, steps),
    }
}

/// Skips the rest of a string that goes on with an escape. After one there is often another, or the end.
#[cold]
pub(super) fn escaped<'t>(mut rest: &'t [u8], steps: &mut usize) -> Result<&'t [u8], Error> {
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', ..] => {
                step(steps, 1, rest)?;
                one_escape(rest)?
            }
            [b' '..=255, ..] => {
                step(steps, 1, rest)?;
                plain_after_escape(rest)
            }
            _ => return Err(Error::new(Problem::Unescaped, rest)),
        }
    }
}

#[inline]
fn one_escape(rest: &[u8]) -> Result<&[u8], Error> {
    match rest {
        [
            b'\\',
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            rest @ ..,
        ] => Ok(rest),
        [b'\\', b'u', a, b, c, d, rest @ ..]
            if is_hex(*a) && is_hex(*b) && is_hex(*c) && is_hex(*d) =>
        {
            Ok(rest)
        }
        _ => Err(Error::new(Problem::Escape, rest)),
    }
}

/// Skips bytes that stand for themselves between two escapes: there may be few, for which a word is too much.
fn plain_after_escape(mut rest: &[u8]) -> &[u8] {
    for _ in 0..8 {
        match rest {
            [byte, more @ ..] if PLAIN[*byte as usize] => rest = more,
            _ => return rest,
        }
    }
    plain(rest)
}

/// Whether a byte stands for itself in a string.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < b' ' as usize {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

const fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Skips bytes that stand for themselves in a string, eight at a time.
#[inline]
pub(super) fn plain(mut rest: &[u8]) -> &[u8] {
    while let Some((eight, more)) = rest.split_first_chunk::<8>() {
        let found = special(u64::from_le_bytes(*eight));
        if found != 0 {
            return rest
                .get(found.trailing_zeros() as usize / 8..)
                .unwrap_or_default();
        }
        rest = more;
    }
    while let [b' '..=b'!' | b'#'..=b'[' | b']'..=255, more @ ..] = rest {
        rest = more;
    }
    rest
}

/// The high bit of the first byte that does not stand for itself in a string; bits above it may be wrong.
#[inline]
const fn special(eight: u64) -> u64 {
    let control = eight.wrapping_sub(ONES * b' ' as u64);
    let quote = (eight ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (eight ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    // bytes of longer characters have the high bit themselves
    (control | quote | backslash) & !eight & (ONES << 7)
}

/// Reads one escape, as the unit of UTF-16 that it stands for.
pub(super) fn escape(rest: &[u8]) -> Result<(u16, &[u8]), Error> {
    let unit = match rest {
        [b'\\', plain @ (b'"' | b'\\' | b'/'), ..] => u16::from(*plain),
        [b'\\', b'b', ..] => 0x08,
        [b'\\', b'f', ..] => 0x0c,
        [b'\\', b'n', ..] => 0x0a,
        [b'\\', b'r', ..] => 0x0d,
        [b'\\', b't', ..] => 0x09,
        [b'\\', b'u', a, b, c, d, after @ ..] => {
            let digits = [a, b, c, d].map(|digit| char::from(*digit).to_digit(16));
            let unit = digits
                .into_iter()
                .try_fold(0, |unit, digit| Some(unit * 16 + digit?));
            let unit = unit.and_then(|unit| u16::try_from(unit).ok());
            return unit
                .map(|unit| (unit, after))
                .ok_or_else(|| Error::new(Problem::Escape, rest));
        }
        [b'\\', ..] => return Err(Error::new(Problem::Escape, rest)),
        _ => return Err(Error::new(Problem::Unescaped, rest)),
    };
    Ok((unit, rest.get(2..).unwrap_or_default()))
}

fn number(start: &[u8]) -> Result<&[u8], Error> {
    let whole = match start {
        [b'-', rest @ ..] => rest,
        _ => start,
    };
    let rest = match whole {
        [b'0', rest @ ..] => Some(rest),
        _ => digits(whole),
    };
    let rest = match rest {
        Some([b'.' | b'e' | b'E', ..]) => rest.and_then(fraction),
        _ => rest,
    };
    rest.ok_or_else(|| Error::new(Problem::Expected("a value"), start))
}

/// Skips what a number may have after its whole part.
fn fraction(mut rest: &[u8]) -> Option<&[u8]> {
    if let [b'.', fraction @ ..] = rest {
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] = rest {
        rest = digits(exponent)?;
    }
    Some(rest)
}

/// Skips digits, of which there must be one.
fn digits(rest: &[u8]) -> Option<&[u8]> {
    let [b'0'..=b'9', rest @ ..] = rest else {
        return None;
    };
    let mut rest = rest;
    while let [b'0'..=b'9', more @ ..] = rest {
        rest = more;
    }
    Some(rest)
}

/// Skips white space, of which kube-apiserver writes none.
#[inline]
pub(super) fn space(rest: &[u8]) -> &[u8] {
    match rest {
        [0..=b' ', ..] => more_space(rest),
        _ => rest,
    }
}

#[cold]
fn more_space(mut rest: &[u8]) -> &[u8] {
    while let Some((b"        ", more)) = rest.split_first_chunk::<8>() {
        rest = more;
    }
    while let [b' ' | b'\n' | b'\r' | b'\t', more @ ..] = rest {
        rest = more;
    }
    rest
}

/// Which of the brackets that are open are an object's: a bit for each, of which a word is at hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Brackets {
    depth: usize,
    objects: u64,
    outer: Vec<u64>,
}

impl Brackets {
    /// One more around all of them, of which there must be few: what is read does not nest deep.
    #[cold]
    pub(super) fn around(&mut self, object: bool) {
        self.objects |= u64::from(object) << (self.depth % 64);
        self.depth += 1;
    }

    #[inline]
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.objects);
        }
        self.objects = self.objects << 1 | u64::from(object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.objects = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline]
    fn innermost(&self) -> bool {
        self.objects & 1 == 1
    }
}

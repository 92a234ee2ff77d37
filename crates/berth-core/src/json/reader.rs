//! The reader itself: JSON's grammar (RFC 8259), over text that is UTF-8 already.

use std::borrow::Cow;

use crate::shown;

use super::{
    ENTRIES, Error, Problem, STEPS,
    skip::{self, At, COMMA_OR_END, plain, space},
};

/// A key with an escape is so many steps: it is copied, which takes longer, and no Pod has one.
const OWNED_KEY: usize = 64;

/// A text, what is left of it, how much of it may still be kept, and how many steps may still be taken.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    rest: &'a [u8],
    room: usize,
    steps: usize,
    is_stopped: bool,
}

impl<'a> Reader<'a> {
    /// Reads from the start.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            rest: text.as_bytes(),
            room: ENTRIES.most,
            steps: STEPS.most,
            is_stopped: false,
        }
    }

    /// How many more entries of lists and maps may be kept.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room
    }

    /// Takes the room of one more entry.
    #[inline]
    pub(super) fn keep(&mut self) -> Result<(), Error> {
        let Some(room) = self.room.checked_sub(1) else {
            return Err(self.error(Problem::TooMany(ENTRIES)));
        };
        self.room = room;
        Ok(())
    }

    /// Reads nothing more of the text: what is open counts as closed. What was read so far can be answered.
    #[cold]
    pub fn stop(&mut self) {
        self.rest = &[];
        self.is_stopped = true;
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        match space(self.rest) {
            [] => Ok(()),
            other => Err(Error::new(Problem::Trailing, other)),
        }
    }

    /// The first byte of what comes next, past the white space; 0 at the end, which begins nothing.
    #[inline]
    pub fn token(&mut self) -> u8 {
        self.rest = space(self.rest);
        self.rest.first().copied().unwrap_or_default()
    }

    /// Whether the value is null, which is read then.
    #[inline]
    pub fn null(&mut self) -> Result<bool, Error> {
        let null = self.token() == b'n';
        if null {
            self.skip()?;
        }
        Ok(null)
    }

    /// A boolean.
    pub fn boolean(&mut self) -> Result<bool, Error> {
        match self.token() {
            b't' => self.skip().map(|_| true),
            b'f' => self.skip().map(|_| false),
            _ => Err(self.other_than("a boolean")),
        }
    }

    /// A string, borrowed unless it has escapes.
    #[allow(
        clippy::inline_always,
        reason = "called, it takes a fifth longer to read a review"
    )]
    #[inline(always)]
    pub fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        let [b'"', inside @ ..] = space(self.rest) else {
            return Err(self.other_than("a string"));
        };
        let after = plain(inside);
        let string = self.between(inside, after);
        if let [b'"', rest @ ..] = after {
            self.rest = rest;
            return Ok(Cow::Borrowed(string));
        }
        self.rest = after;
        self.escaped(string).map(Cow::Owned)
    }

    /// Every value of a list.
    #[inline]
    pub fn array(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let [b'[', inside @ ..] = space(self.rest) else {
            return Err(self.other_than("a list"));
        };
        self.rest = inside;
        if let [b']', rest @ ..] = space(self.rest) {
            self.rest = rest;
            return Ok(());
        }
        loop {
            value(self).map_err(|error| error.within(false))?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    /// Every field of an object, by its key, with the reader at its value.
    #[inline]
    pub fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let [b'{', inside @ ..] = space(self.rest) else {
            return Err(self.other_than("an object"));
        };
        self.rest = inside;
        if let [b'}', rest @ ..] = space(self.rest) {
            self.rest = rest;
            return Ok(());
        }
        loop {
            let [b'"', ..] = space(self.rest) else {
                return Err(self.error(Problem::Expected("a key")));
            };
            let key = self.string().map_err(|error| error.within(true))?;
            let [b':', rest @ ..] = space(self.rest) else {
                return Err(self.error(Problem::Expected("a colon")));
            };
            self.rest = rest;
            if let Cow::Owned(_) = key {
                skip::step(&mut self.steps, OWNED_KEY, rest)?;
            }
            field(self, key).map_err(|error| error.within(true))?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// Whether there is a comma after a value, and not the closing bracket.
    #[inline]
    fn goes_on(&mut self, close: u8) -> Result<bool, Error> {
        match space(self.rest) {
            [b',', rest @ ..] => {
                self.rest = rest;
                Ok(true)
            }
            [bracket, rest @ ..] if *bracket == close => {
                self.rest = rest;
                Ok(false)
            }
            _ if self.is_stopped => Ok(false),
            other => Err(Error::new(Problem::Expected(COMMA_OR_END), other)),
        }
    }

    /// The text of a value that is not read. It is sound, but for what `skip` does not look at.
    #[inline]
    pub fn skip(&mut self) -> Result<&'a str, Error> {
        let start = space(self.rest);
        self.rest = skip::value(start, &mut self.steps)?;
        Ok(self.between(start, self.rest))
    }

    /// Goes on behind a value that was begun at a place and could not be read, which stays sound JSON. What was kept of it
    /// is not. The error is returned where it ends all reading.
    #[cold]
    pub fn resume(&mut self, start: Self, error: &Error) -> Result<(), Error> {
        if error.ends_reading() {
            return Err(error.clone());
        }
        let fault = &error.0;
        let failed = self.text.len() - fault.left;
        let rest = self.text.as_bytes().get(failed..).unwrap_or_default();
        self.rest = skip::resumed(rest, fault.at, fault.open.clone(), &mut self.steps)?;
        self.room = start.room;
        Ok(())
    }

    /// The rest of a string that begins so, and goes on with an escape.
    #[cold]
    fn escaped(&mut self, start: &str) -> Result<String, Error> {
        let end = skip::escaped(self.rest, &mut self.steps)?;
        // no escape is shorter than what it stands for
        let mut string = String::with_capacity(start.len() + self.rest.len() - end.len());
        string.push_str(start);
        loop {
            if let [b'"', rest @ ..] = self.rest {
                self.rest = rest;
                return Ok(string);
            }
            string.push(self.escape()?);
            let start = self.rest;
            self.rest = plain(start);
            string.push_str(self.between(start, self.rest));
        }
    }

    /// One character's escape, or both of a surrogate pair's.
    fn escape(&mut self) -> Result<char, Error> {
        let start = self.rest;
        let (unit, rest) = skip::escape(start)?;
        let (pair, rest) = match rest {
            [b'\\', ..] if matches!(unit, 0xd800..0xdc00) => {
                let (low, rest) = skip::escape(rest)?;
                ([unit, low], rest)
            }
            _ => ([unit, 0], rest),
        };
        self.rest = rest;
        let character = char::decode_utf16(pair).next().and_then(Result::ok);
        character.ok_or_else(|| Error::new(Problem::Surrogate, start).at(At::Escape))
    }

    /// The text between two places, each between two characters.
    #[inline]
    fn between(&self, start: &[u8], end: &[u8]) -> &'a str {
        let place = |rest: &[u8]| self.text.len() - rest.len();
        self.text.get(place(start)..place(end)).unwrap_or_default()
    }

    /// The error of a value of another kind.
    #[cold]
    #[must_use]
    pub fn other_than(mut self, expected: &'static str) -> Error {
        let found = match self.token() {
            b'"' => "a string",
            b'{' => "an object",
            b'[' => "a list",
            b't' | b'f' => "a boolean",
            b'n' => "null",
            b'-' | b'0'..=b'9' => "a number",
            _ => return self.error(Problem::Expected(expected)),
        };
        self.error(Problem::Kind { expected, found })
    }

    /// The error of a key that is there twice. A user's may have any length.
    #[cold]
    pub(super) fn duplicate(&self, key: &str) -> Error {
        self.error(Problem::Duplicate(shown::name(key).into_owned()))
    }

    /// An error here.
    #[cold]
    #[must_use]
    pub fn error(mut self, problem: Problem) -> Error {
        self.token();
        Error::new(problem, self.rest)
    }
}

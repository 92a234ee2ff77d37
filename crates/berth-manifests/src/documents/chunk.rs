//! Where a document of a stream ends: at a marker, and in a stream of JSON at the next object.

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The lines of a document so far.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// Whether there is more than comments, directives and a marker.
    has_content: bool,
    braces: Option<Braces>,
}

impl Chunk {
    /// Whether a line begins the next document: a marker does, and in a stream of JSON the next object.
    pub(super) fn ends_before(&self, line: &[u8]) -> bool {
        let next_object =
            self.braces.as_ref().is_some_and(Braces::are_closed) && line.starts_with(b"{");
        self.has_content && (is_marker(line, b"---") || next_object)
    }

    pub(super) fn push(&mut self, line: &[u8]) {
        let content = content(line);
        if !self.has_content && content.starts_with(b"{") {
            self.braces = Some(Braces::default());
        }
        self.has_content |= !content.is_empty();
        if let Some(braces) = &mut self.braces {
            braces.read(line);
        }
        self.bytes.extend_from_slice(line);
    }
}

/// A line without what is no content before the first of a document.
fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let rest = if is_marker(line, b"---") {
        line.get(3..).unwrap_or_default()
    } else {
        line
    };
    let rest = rest.trim_ascii();
    if rest.starts_with(b"#") || line.starts_with(b"%") {
        b""
    } else {
        rest
    }
}

pub(super) fn is_marker(line: &[u8], marker: &[u8]) -> bool {
    let rest = line.strip_prefix(marker);
    rest.is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// How deep in JSON a text is.
#[derive(Default)]
struct Braces {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    fn read(&mut self, line: &[u8]) {
        for byte in line {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' if !self.in_string => self.depth += 1,
                b'}' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    const fn are_closed(&self) -> bool {
        self.depth == 0
    }
}

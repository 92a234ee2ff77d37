//! Chunks that are larger than any body may be.
//!
//! hyper does not tell how long a chunk says that it is, and waits for all of it. This follows the framing of HTTP/1.1
//! beside hyper, over what TLS has decrypted, and ends the reading where a chunk announces more than a body may have.
//! It decides nothing else: where the two should ever differ, hyper's reading is what counts.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As much of a line as is looked at, without what may make it longer and means nothing: spaces, zeros before a number,
/// and the codings before the last.
const LINE: usize = 128;
const CODINGS: &[u8] = b"transfer-encoding:";
const LENGTH: &[u8] = b"content-length:";

/// A stream that is no longer read after such a chunk.
#[derive(Debug)]
pub struct BoundedChunks<S> {
    stream: S,
    framing: Framing,
}

impl<S> BoundedChunks<S> {
    /// Follows what a client sends, to whom so many bytes of body are allowed.
    pub fn new(stream: S, limit: usize) -> Self {
        Self {
            stream,
            framing: Framing::new(limit),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedChunks<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // not with the read that had it: the head of the request may have come with it, and is to be answered
        if self.framing.exceeded {
            let error = "a chunk is larger than a body may be";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(read) = buffer.filled().get(before..) {
            self.framing.follow(read);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedChunks<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Where in the framing the next byte is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Head,
    /// In data of which so much is left; then in that.
    Data(u64, Next),
    Size,
    Trailer,
}

/// What comes after data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Head,
    Size,
}

#[derive(Debug)]
struct Framing {
    limit: u64,
    at: At,
    line: Vec<u8>,
    chunked: bool,
    length: u64,
    exceeded: bool,
}

impl Framing {
    fn new(limit: usize) -> Self {
        Self {
            limit: u64::try_from(limit).unwrap_or(u64::MAX),
            at: At::Head,
            line: Vec::new(),
            chunked: false,
            length: 0,
            exceeded: false,
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if let At::Data(left, next) = self.at {
                let skipped =
                    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                bytes = &bytes[skipped..];
                self.skipped(left - skipped as u64, next);
                continue;
            }
            let end = memchr(b'\n', bytes);
            self.line_goes_on(&bytes[..end.unwrap_or(bytes.len())]);
            bytes = end.map_or(&[], |end| &bytes[end + 1..]);
            if end.is_some() {
                self.line_ends();
            }
        }
    }

    fn line_goes_on(&mut self, part: &[u8]) {
        let line = &mut self.line;
        for byte in part {
            if self.at == At::Head && is_another_header(line) {
                return;
            }
            match byte.to_ascii_lowercase() {
                b' ' | b'\t' => {}
                b',' if line.starts_with(CODINGS) => line.truncate(CODINGS.len()),
                b'0' if line.strip_prefix(LENGTH).unwrap_or(line) == b"0" => {}
                byte if line.len() < LINE => line.push(byte),
                _ => {}
            }
        }
    }

    fn skipped(&mut self, left: u64, next: Next) {
        self.at = match (left, next) {
            (0, Next::Head) => At::Head,
            (0, Next::Size) => At::Size,
            _ => At::Data(left, next),
        };
    }

    fn line_ends(&mut self) {
        let mut buffer = std::mem::take(&mut self.line);
        let line = buffer.trim_ascii();
        match self.at {
            At::Head if line.is_empty() => self.head_ends(),
            At::Head => self.header(line),
            At::Size => self.size(line),
            At::Trailer if line.is_empty() => self.at = At::Head,
            At::Trailer | At::Data(..) => {}
        }
        buffer.clear();
        self.line = buffer;
    }

    fn header(&mut self, line: &[u8]) {
        if let Some(value) = line.strip_prefix(CODINGS) {
            self.chunked = value.ends_with(b"chunked");
        } else if let Some(value) = line.strip_prefix(LENGTH) {
            let value = str::from_utf8(value).unwrap_or_default();
            self.length = value.parse().unwrap_or_default();
        }
    }

    fn head_ends(&mut self) {
        let chunked = std::mem::take(&mut self.chunked);
        let length = std::mem::take(&mut self.length);
        if chunked {
            self.at = At::Size;
        } else {
            self.skipped(length, Next::Head);
        }
    }

    /// A chunk's size in hexadecimal digits, before whatever else the line may have.
    fn size(&mut self, line: &[u8]) {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let digits = str::from_utf8(&line[..digits.count()]).unwrap_or_default();
        match u64::from_str_radix(digits, 16) {
            Ok(0) => self.at = At::Trailer,
            // with the end of its line
            Ok(size) if size <= self.limit => self.at = At::Data(size + 2, Next::Size),
            Ok(_) => self.exceeded = true,
            // no number is hyper's to refuse, and one of more than 64 bits is, too
            Err(_) => {}
        }
    }
}

/// Whether a line of a head, as far as it has come, is of another header than these two. The bytes before the last were
/// looked at as they came. A line that ended after a blank would look like the end of the head.
fn is_another_header(line: &[u8]) -> bool {
    let Some((last, before)) = line.split_last() else {
        return false;
    };
    let may_be = |name: &[u8]| name.get(before.len()).is_none_or(|byte| byte == last);
    !last.is_ascii_whitespace() && !may_be(CODINGS) && !may_be(LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";

    /// Whether a chunk is too large for a limit of 255 bytes, whatever the pieces in which the text comes.
    fn exceeds(text: &str) -> bool {
        let mut found = Vec::new();
        for piece in [1, 2, 7, text.len()] {
            let mut framing = Framing::new(255);
            for piece in text.as_bytes().chunks(piece) {
                framing.follow(piece);
            }
            found.push(framing.exceeded);
        }
        assert!(
            found.iter().all(|one| *one == found[0]),
            "{text}: {found:?}"
        );
        found[0]
    }

    #[test]
    fn a_chunk_over_the_limit_is_seen_wherever_it_is() {
        assert!(!exceeds(&format!("{CHUNKED}ff\r\n")));
        for size in ["100", "FFFFFFFFFFFFFFFF", "0000100;name=value"] {
            assert!(exceeds(&format!("{CHUNKED}{size}\r\n")), "{size}");
            assert!(exceeds(&format!("{CHUNKED}1\r\nx\r\n{size}\r\n")), "{size}");
            let second = format!("{CHUNKED}2\r\nxx\r\n0\r\nA: b\r\n\r\n{CHUNKED}{size}\r\n");
            assert!(exceeds(&second), "{size}");
        }
        // the length of one request is not that of the next
        let first = format!(
            "POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n{}",
            "x".repeat(99)
        );
        assert!(exceeds(&format!(
            "{first}GET / HTTP/1.1\r\n\r\n{CHUNKED}100\r\n"
        )));
    }

    #[test]
    fn nothing_that_makes_a_line_longer_hides_it() {
        let (blank, zeros) = (" \t".repeat(LINE), "0".repeat(2 * LINE));
        let codings = "gzip,".repeat(LINE);
        for text in [
            format!("POST / HTTP/1.1\r\nTransfer-Encoding:{blank}chunked\r\n\r\n100\r\n"),
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: {codings}chunked\r\n\r\n100\r\n"),
            format!("{CHUNKED}{zeros}100\r\n"),
            format!("POST / HTTP/1.1\r\nContent-Length: {zeros}1\r\n\r\nx{CHUNKED}100\r\n"),
        ] {
            assert!(exceeds(&text), "{text}");
        }
        assert!(!exceeds(&format!("{CHUNKED}{zeros}ff\r\n")));
        assert!(!exceeds(&format!(
            "{CHUNKED}{zeros}\r\nA: b\r\n100\r\n\r\n"
        )));
    }

    #[test]
    fn what_looks_like_one_in_a_body_is_none() {
        let data = "x\r\nffffffff\r\n";
        assert!(!exceeds(&format!("{CHUNKED}d\r\n{data}\r\n0\r\n\r\n")));
        let plain = format!("POST / HTTP/1.1\r\nContent-Length: 13\r\n\r\n{data}");
        assert!(!exceeds(&plain.repeat(3)));
        assert!(exceeds(&format!("{plain}{CHUNKED}ffffffff\r\n")));
        let request = format!("{CHUNKED}ffffffff\r\n");
        let length = request.len();
        let hidden = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{request}");
        assert!(!exceeds(&hidden));
        // a header whose name is nearly one of the two is another
        let other = "Content-Lengths: 99\r\nTransfer-Encodings: x\r\nTransfer-Length: 9";
        assert!(exceeds(&format!(
            "POST / HTTP/1.1\r\n{other}\r\n\r\n{CHUNKED}100\r\n"
        )));
        let other = "Trailer: x\r\nConnection: close\r\nX: Content-Length: 99";
        let head = CHUNKED.replace("Transfer", &format!("{other}\r\nTransfer"));
        assert!(exceeds(&format!("{head}100\r\n")));
        // nor is a line that begins with a blank, and is then passed over, the end of the head
        let head = CHUNKED.replace("\r\n\r\n", "\r\n\x0cX: y\r\n");
        assert!(!exceeds(&format!("{head}ffffff\r\n")));
        // nor is one in a trailer, or in the body of the request after one in chunks
        assert!(!exceeds(&format!("{CHUNKED}0\r\nNo: x\r\n100: y\r\n\r\n")));
        assert!(!exceeds(&format!("{CHUNKED}0\r\n\r\n{plain}")));
    }
}

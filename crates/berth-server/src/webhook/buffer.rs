//! The bytes of a body.
//!
//! A large one has a mapping of its own, which goes back to the system when it is dropped. An allocator keeps it: glibc
//! takes the first large block that is freed as a sign that there will be more, and makes room for the next ones in
//! arenas of each thread. There, 64 bodies of 2.9 MB at a time left 150 MiB behind for a budget of 64.

use std::io;

use memmap2::MmapMut;

/// From here on, a buffer is a mapping: what glibc, too, begins with.
const LARGE: usize = 128 << 10;

/// Bytes, and room for more.
#[derive(Debug)]
pub(super) enum Buffer {
    Heap(Vec<u8>),
    Mapped { map: MmapMut, filled: usize },
}

impl Buffer {
    pub(super) const fn new() -> Self {
        Self::Heap(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.len(),
            Self::Mapped { filled, .. } => *filled,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.capacity(),
            Self::Mapped { map, .. } => map.len(),
        }
    }

    /// Makes room for so many bytes in all. A system that promises no more memory than it has refuses here.
    pub(super) fn grow(&mut self, capacity: usize) -> io::Result<()> {
        if capacity <= self.capacity() {
            return Ok(());
        }
        match self {
            Self::Heap(bytes) if capacity < LARGE => {
                let more = capacity - bytes.len();
                bytes.try_reserve_exact(more).map_err(io::Error::other)
            }
            _ => self.move_to(map(capacity)?),
        }
    }

    fn move_to(&mut self, mut map: MmapMut) -> io::Result<()> {
        let filled = self.len();
        let bytes = map.get_mut(..filled).ok_or(io::ErrorKind::OutOfMemory)?;
        bytes.copy_from_slice(self.as_ref());
        *self = Self::Mapped { map, filled };
        Ok(())
    }

    /// Adds bytes, for which there must be room.
    pub(super) fn push(&mut self, more: &[u8]) {
        match self {
            Self::Heap(bytes) => bytes.extend_from_slice(more),
            Self::Mapped { map, filled } => {
                map[*filled..*filled + more.len()].copy_from_slice(more);
                *filled += more.len();
            }
        }
    }
}

impl From<Vec<u8>> for Buffer {
    /// Large ones move to a mapping. If the system has none, they stay where they are.
    fn from(bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        let mut buffer = Self::Heap(bytes);
        if length >= LARGE {
            let _ = map(length).and_then(|map| buffer.move_to(map));
        }
        buffer
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Mapped { map, filled } => &map[..*filled],
        }
    }
}

/// Memory that is there as far as it has been written to, page by page. With huge pages, which are the default of many
/// systems, the first byte of a body would take 2 MiB.
fn map(capacity: usize) -> io::Result<MmapMut> {
    let map = MmapMut::map_anon(capacity)?;
    #[cfg(target_os = "linux")]
    match map.advise(memmap2::Advice::NoHugePage) {
        // a kernel without huge pages does not know them
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(error),
        _ => {}
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel shows it, also where it is told to make huge pages for nobody.
    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_large_is_never_of_huge_pages() {
        let mut buffer = Buffer::new();
        buffer.grow(8 << 20).expect("memory");
        let address = buffer.as_ref().as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux");
        let holds = |line: &&str| {
            let range = line
                .split(' ')
                .next()
                .and_then(|range| range.split_once('-'));
            let parse = |text| usize::from_str_radix(text, 16).ok();
            range.is_some_and(|(from, to)| {
                let (from, to) = (parse(from), parse(to));
                from.is_some_and(|from| from <= address) && to.is_some_and(|to| address < to)
            })
        };
        let mut lines = maps.lines();
        lines.by_ref().find(holds).expect("a mapping");
        let flags = lines.find(|line| line.starts_with("VmFlags:"));
        let flags = flags.expect("flags").split(' ');
        let of_huge_pages = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists();
        assert!(
            !of_huge_pages || flags.clone().any(|flag| flag == "nh"),
            "{flags:?}"
        );
    }

    #[test]
    fn what_is_in_it_stays_while_it_grows() {
        let mut buffer = Buffer::new();
        let mut wanted = Vec::new();
        for (capacity, mapped) in [
            (10, false),
            (LARGE - 1, false),
            (LARGE, true),
            (LARGE / 2, true),
            (3 * LARGE, true),
        ] {
            buffer.grow(capacity).expect("memory");
            assert!(buffer.capacity() >= capacity);
            assert_eq!(matches!(buffer, Buffer::Mapped { .. }), mapped);
            let more = format!("at {capacity};");
            wanted.extend_from_slice(more.as_bytes());
            buffer.push(more.as_bytes());
            assert_eq!(buffer.as_ref(), wanted);
            assert_eq!(buffer.len(), wanted.len());
        }
        let all = vec![b'x'; buffer.capacity() - buffer.len()];
        buffer.push(&all);
        assert_eq!(buffer.len(), buffer.capacity());
    }

    #[test]
    fn what_is_large_leaves_the_heap() {
        for (length, mapped) in [(0, false), (LARGE - 1, false), (LARGE, true)] {
            let bytes: Vec<u8> = b"0123456789".iter().copied().cycle().take(length).collect();
            let buffer = Buffer::from(bytes.clone());
            assert_eq!(matches!(buffer, Buffer::Mapped { .. }), mapped);
            assert_eq!(buffer.as_ref(), bytes);
        }
    }
}

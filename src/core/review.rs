//! An admission review: bytes in, bytes out.

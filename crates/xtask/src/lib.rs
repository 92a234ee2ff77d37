//! What the measuring tools share: the servers that they measure, each in a process of its own.

pub mod servers;

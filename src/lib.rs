//! The command line.
// println! ends in a panic where its reader has gone: cli::report prints
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;

//! PEM: a certificate, a key and the CAs of clients are refused with words, or are good.
#![no_main]

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use berth_fuzz::draw::Draw;
use berth_server::tls::{
    client::NamedClients,
    files::{Pair, Pem},
};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use time::{OffsetDateTime, macros::datetime};

/// When the certificates of the corpus are valid.
const NOW: OffsetDateTime = datetime!(2027-01-01 0:00 UTC);
const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
const END: &str = "\n-----END CERTIFICATE-----\n";

fuzz_target!(|pem: &[u8]| {
    let path = Path::new("x.pem");
    let content = Pem {
        cert: pem.to_owned(),
        key: pem.to_owned(),
    };
    for name in [None, Some("berth.berth-system.svc")] {
        let pair = Pair {
            cert: path.to_owned(),
            key: path.to_owned(),
            server_name: name.map(|name| name.try_into().expect("a DNS name")),
        };
        if let Err(error) = pair.identity(&content, NOW) {
            told(&error.to_string());
        }
    }
    if let Err(error) = NamedClients::new(path, pem, None) {
        told(&error.to_string());
    }
});

fn told(message: &str) {
    assert!(!message.is_empty() && message.len() <= 4096, "{message}");
}

// what base64 covers is changed below it, too: a certificate's own bytes
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut draw = Draw::new(seed, max_size);
    let changed = if draw.one_of(3) {
        None
    } else {
        certificate_changed(&data[..size], &mut draw)
    };
    match changed.filter(|text| text.len() <= max_size) {
        Some(text) => {
            data[..text.len()].copy_from_slice(text.as_bytes());
            text.len()
        }
        None => fuzzer_mutate(data, size, max_size),
    }
});

/// The text with one of its certificates changed by libFuzzer.
fn certificate_changed(text: &[u8], draw: &mut Draw) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    let chosen = *starts.get(draw.below(starts.len()))? + BEGIN.len();
    let (before, rest) = text.split_at(chosen);
    let (lines, after) = rest.split_once(END)?;
    let mut der = STANDARD.decode(lines.replace('\n', "")).ok()?;
    let size = der.len();
    let room = size + 64;
    der.resize(room, 0);
    let size = fuzzer_mutate(&mut der, size, room);
    let lines = STANDARD.encode(&der[..size]);
    Some(format!("{before}{lines}{END}{after}"))
}

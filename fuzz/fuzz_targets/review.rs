//! Reviews: trees of JSON that grow from what the rules read, written in several ways, and sometimes spoilt.
#![no_main]

use std::sync::LazyLock;

use berth_core::view::View;
use berth_fuzz::{admission, draw::Draw, tree, view};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::Value;

static VIEW: LazyLock<View> = LazyLock::new(view);

fuzz_target!(|body: &[u8]| admission::check(body, &VIEW));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut draw = Draw::new(seed, max_size);
    if draw.one_of(10) {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut review =
        serde_json::from_slice::<Value>(&data[..size]).unwrap_or_else(|_| tree::seed());
    tree::regrow(&mut review, &mut draw);
    let text = if draw.one_of(6) {
        serde_json::to_string_pretty(&review)
    } else {
        serde_json::to_string(&review)
    };
    let mut text = text.unwrap_or_default();
    if draw.one_of(8) {
        text = text.replace('m', "\\u006d");
    }
    let put = berth_fuzz::put(&text, data, max_size);
    put.unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
});

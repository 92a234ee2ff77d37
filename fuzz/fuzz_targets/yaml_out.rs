//! YAML as it is written: what is written is read as the same value.
#![no_main]

use berth_fuzz::{draw::Draw, tree};
use berth_manifests::yaml::{parse, write};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    if value.is_null() || has_float(&value) {
        return;
    }
    let written = write(&value);
    let read = parse(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    let read: Vec<Value> = read
        .iter()
        .map(berth_manifests::yaml::Node::to_json)
        .collect();
    assert_eq!(read, [value], "{written}");
});

/// A float is written shorter or longer than JSON writes it, and no field of a manifest is one.
fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(list) => list.iter().any(has_float),
        Value::Object(map) => map.values().any(has_float),
        _ => false,
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut draw = Draw::new(seed, max_size);
    if draw.one_of(2) {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut value =
        serde_json::from_slice(&data[..size]).unwrap_or_else(|_| tree::grown(&mut draw, 3));
    tree::regrow(&mut value, &mut draw);
    let text = value.to_string();
    let put = berth_fuzz::put(&text, data, max_size);
    put.unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
});

//! Tables: a text is refused with words, or it is a table that places a Pod of each of its classes once and for all.
#![no_main]

use berth_core::view::View;
use berth_fuzz::{admission, table, tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let table = match table(text) {
        Ok(table) => table,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let classes: Vec<String> = table.class_names().take(3).map(str::to_owned).collect();
    let view = View::from(table);
    for class in classes {
        let mut review = tree::seed();
        let pod = &mut review["request"]["object"];
        pod["metadata"]["labels"]["berth.dev/workload-class"] = class.into();
        pod["spec"]["affinity"] = serde_json::Value::Null;
        admission::check(review.to_string().as_bytes(), &view);
    }
});

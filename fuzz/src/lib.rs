//! What the fuzz targets share: a table, trees of JSON that grow from what the rules read, and a second model of a Pod's
//! shape. A target ends in a panic where berth does not hold what it promises.

pub mod admission;
pub mod draw;
pub mod shape;
pub mod tree;

use std::path::Path;

use berth_core::{table::AllocationTable, table::Settings, view::View};
use berth_manifests::{
    diagnostic::SourceText,
    table_files::{Error, TableFiles},
};

/// The table that the examples of the docs are held against: every kind of pool and class.
const TABLE: &str = include_str!("../../examples/cases/table.yaml");

/// The table of a text.
///
/// # Errors
///
/// What is wrong with it.
pub fn table(text: &str) -> Result<AllocationTable, Error> {
    let files = TableFiles {
        paths: Vec::new(),
        settings: Settings::default(),
    };
    files.compile(&[SourceText::new(Path::new("table.yaml"), text.to_owned())])
}

/// The view of the examples' table.
#[must_use]
pub fn view() -> View {
    table(TABLE)
        .expect("the table of the examples is valid")
        .into()
}

/// Puts a text in the place of an input, and gives its length; nothing where there is no room for it.
pub fn put(text: &str, data: &mut [u8], max_size: usize) -> Option<usize> {
    let room = data.get_mut(..text.len());
    room.filter(|_| text.len() <= max_size)?
        .copy_from_slice(text.as_bytes());
    Some(text.len())
}

//! A line for each Pod.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;

use super::Formatter;
use crate::cli::preview::shown::Shown;
use berth_manifests::{diagnostic::printable, workload::field};

/// Columns, a line for each Pod. It is never wrapped, since a name in two lines cannot be copied.
pub(in crate::cli::preview) struct Table {
    table: comfy_table::Table,
}

impl Table {
    pub(in crate::cli::preview) fn new() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        table.set_header([
            "NAMESPACE",
            "KIND",
            "NAME",
            "PATH",
            "CLASS",
            "RESULT",
            "REASON",
            "POOL",
            "CONTAINER",
        ]);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { table }
    }
}

impl Formatter for Table {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        for pod in &shown.preview.pods {
            let path = field(pod.template.path());
            let or_dash = |text: Option<&str>| match text {
                None | Some("") => "-".to_owned(),
                Some(text) => text.to_owned(),
            };
            let cells = [
                pod.namespace.clone(),
                pod.kind.clone(),
                or_dash(Some(&pod.name)),
                or_dash(Some(&path)),
                or_dash(pod.class.as_deref()),
                pod.reason().verdict().as_str().to_owned(),
                pod.reason().as_str().to_owned(),
                or_dash(pod.pool()),
                or_dash(pod.container()),
            ];
            self.table.add_row(cells.map(|cell| printable(&cell)));
        }
        Ok(())
    }

    // the columns' widths are known at the end
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if self.table.is_empty() {
            return Ok(());
        }
        writeln!(io::stdout(), "{}", self.table.trim_fmt())
    }
}

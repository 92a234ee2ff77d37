//! The reference of the command line, in Markdown.

use std::fmt::Write;

use berth::cli::Cli;
use clap::{Arg, Command, CommandFactory};

/// The page of every command with its flags.
pub(crate) fn page() -> String {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = String::new();
    section(&mut page, &command, "#");
    page
}

fn section(page: &mut String, command: &Command, heading: &str) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let about = command.get_long_about().or(command.get_about());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let separator = if heading == "#" { "" } else { "\n" };
    let _ = writeln!(page, "{separator}{heading} {name}\n");
    if let Some(about) = about {
        let _ = writeln!(page, "{about}\n");
    }
    let _ = writeln!(page, "```text\n{usage}\n```");
    if let Some(more) = command.get_after_long_help() {
        let _ = writeln!(page, "\n```text\n{more}\n```");
    }
    table(page, command);
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        section(page, subcommand, &format!("{heading}#"));
    }
}

fn table(page: &mut String, command: &Command) {
    let arguments = command.get_arguments().filter(|argument| {
        !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
    });
    for (i, argument) in arguments.enumerate() {
        if i == 0 {
            page.push_str("\n| flag | variable | default | meaning |\n|---|---|---|---|\n");
        }
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            flag(argument),
            code(argument.get_env().map(|name| name.to_string_lossy())),
            code(default(argument)),
            meaning(argument)
        );
    }
}

fn flag(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names
        .first()
        .filter(|_| argument.get_action().takes_values());
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let value = value.map(|value| format!("<{value}>"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let parts = Some(flags.join(", "))
        .filter(|it| !it.is_empty())
        .into_iter()
        .chain(value);
    code(Some(parts.collect::<Vec<_>>().join(" ")))
}

fn default(argument: &Arg) -> Option<String> {
    let values = argument.get_default_values().iter();
    let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
    let given = !values.is_empty() && argument.get_action().takes_values();
    given.then(|| values.join(","))
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    if !values.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, ": {}", values.join(", "));
    }
    cell(&text.replace('\n', " "))
}

fn code(text: Option<impl AsRef<str>>) -> String {
    text.map_or_else(String::new, |text| format!("`{}`", cell(text.as_ref())))
}

/// A bar would end the cell, in code, too.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

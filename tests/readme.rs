//! What README.md and the pages of docs/ show on a console is run, and what they show of its output is held against
//! it, word for word.
//!
//! A block of the fence `console` is run unless the line before it says `<!-- not run: WHY -->`. Its commands begin
//! with `$ `, and go on where a line ends with `\`; the lines below are the output, standard error included, and are
//! not compared where there are none. A line `...` stands for any lines. A command that fails is followed by `$ echo $?`.
//! The blocks of a page run in order in one folder, with copies of what they read and `berth` in the path.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

mod common;

use common::path;

/// What a page may read.
const READ: &[&str] = &["deploy", "docs", "examples", "README.md"];
/// So many commands are run at least: a page may lose some, but not all of them unseen.
const AT_LEAST: usize = 8;

/// A command and what the page shows of its output.
#[derive(Debug, Default, PartialEq)]
struct Step {
    line: usize,
    command: String,
    output: Vec<String>,
}

/// A folder in which a page is tried.
struct Place(tempfile::TempDir);

#[test]
fn what_the_pages_show_is_what_happens() {
    let mut run = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let blocks = blocks(&text);
        if blocks.is_empty() {
            continue;
        }
        let place = Place::new();
        for block in blocks {
            place.try_out(&page, &block);
            run += block.len();
        }
    }
    assert!(run >= AT_LEAST, "only {run} commands were run");
}

/// README.md and every page of docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![path("README.md")];
    let mut folders = vec![path("docs")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).into_iter().flatten();
        for entry in entries.map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|it| it == "md") {
                pages.push(entry);
            }
        }
    }
    pages.sort();
    pages
}

/// The blocks that are to be run.
fn blocks(text: &str) -> Vec<Vec<Step>> {
    let (mut blocks, mut before) = (Vec::new(), "");
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        if line.trim() == "```console" {
            let inside = lines.by_ref().take_while(|(_, line)| line.trim() != "```");
            let steps = steps(inside);
            let is_run = !before.starts_with("<!-- not run: ");
            blocks.extend(is_run.then_some(steps));
        }
        before = line.trim();
    }
    blocks
}

fn steps<'t>(lines: impl Iterator<Item = (usize, &'t str)>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (i, line) in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: i + 1,
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            if step.command.ends_with('\\') && step.output.is_empty() {
                step.command.push('\n');
                step.command.push_str(line);
            } else {
                step.output.push(line.to_owned());
            }
        }
    }
    steps
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in READ.iter().filter(|name| path(name).exists()) {
            copy(&path(name), &folder.path().join("repository").join(name));
        }
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).expect("a folder");
        for name in ["berth", "kubectl-berth"] {
            symlink(env!("CARGO_BIN_EXE_berth"), programs.join(name)).expect("a link");
        }
        Self(folder)
    }

    fn try_out(&self, page: &Path, steps: &[Step]) {
        let mut code = 0;
        for (i, step) in steps.iter().enumerate() {
            let (status, output) = self.run(&step.command, code);
            let says = format!(
                "{}:{}: $ {}\n{output}",
                page.display(),
                step.line,
                step.command
            );
            let is_told = steps
                .get(i + 1)
                .is_some_and(|next| next.command == "echo $?");
            assert!(
                status == 0 || is_told,
                "{says}\nexit code {status}: follow it by `$ echo $?`, or mark the block"
            );
            let matches = step.output.is_empty() || matches(&step.output, &lines(&output));
            assert!(
                matches,
                "{says}\nis not what the page shows:\n{}",
                step.output.join("\n")
            );
            code = status;
        }
    }

    /// Runs a command after one that ended with a code.
    fn run(&self, command: &str, code: i32) -> (i32, String) {
        let mut path = self.0.path().join("bin").into_os_string();
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("BERTH_") {
                shell.env_remove(name);
            }
        }
        let script = format!("exec 2>&1\n(exit {code})\n{command}");
        let shell = shell.arg("-c").arg(script).stdin(Stdio::null());
        let shell = shell.current_dir(self.0.path().join("repository"));
        let output = shell.env("PATH", path).output().expect("sh runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code().unwrap_or(-1), text)
    }
}

/// A copy that a command may write to.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        fs::copy(from, to).expect("a copy");
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Whether lines are as shown, where a line `...` stands for any.
fn matches(shown: &[String], lines: &[String]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines.first() == Some(first) && matches(rest, &lines[1..]),
    }
}

#[test]
fn blocks_are_read_as_they_are_written() {
    let text = "\
```console
$ a \\
  b
x
...
$ c
```
<!-- not run: it never ends -->
```console
$ d
```
```yaml
$ e
```
";
    let step = |line, command: &str, output: &[&str]| Step {
        line,
        command: command.to_owned(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    };
    let expected = vec![step(2, "a \\\n  b", &["x", "..."]), step(6, "c", &[])];
    assert_eq!(blocks(text), [expected]);
}

#[test]
fn an_ellipsis_stands_for_any_lines() {
    for (shown, output, expected) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a", "a\nb", false),
        ("a\n...", "a", true),
        ("...\nb\n...", "a\nb\nc\nd", true),
        ("...\nx", "a\nb", false),
    ] {
        assert_eq!(
            matches(&lines(shown), &lines(output)),
            expected,
            "{shown:?} {output:?}"
        );
    }
}

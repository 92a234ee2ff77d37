//! What a person sees on a terminal, and what a pipe does not.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

mod common;

use common::{
    path,
    process::{arg, command},
    terminal::{Streams, Terminal},
};

/// What takes less time has no line that shows how far it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// The line is written again so often at most.
const PACE: Duration = Duration::from_millis(200);

/// Clears from the cursor to the end of the line.
const CLEAR: &str = "\r\u{1b}[K";

fn preview() -> Command {
    let mut command = command();
    command.args(["preview", "--table", arg(&path("examples/homelab.yaml"))]);
    command
}

fn bench(seconds: &str) -> Command {
    let mut command = command();
    command.args(["bench", "--table", arg(&path("examples/homelab.yaml"))]);
    command.args(["--review", arg(&path("examples/reviews/vllm.json"))]);
    command.args(["--seconds", seconds]);
    command
}

/// Runs a command to its end on a terminal.
fn seen(command: &mut Command, columns: u16, streams: Streams) -> String {
    let (terminal, child) = Terminal::start(command, columns, streams);
    terminal.ended(child)
}

#[test]
fn a_long_stream_shows_how_far_it_is_and_takes_the_line_away_again() {
    const COLUMNS: u16 = 24;
    let mut command = preview();
    command.args(["-o", "json", "-f", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let began = Instant::now();
    let (mut terminal, mut child) = Terminal::start(&mut command, COLUMNS, Streams::Stderr);
    let mut stdin = child.stdin.take().expect("piped");
    let is_seen = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_seen);
    let writer = thread::spawn(move || {
        let map = "apiVersion: v1\nkind: ConfigMap\n---\n";
        // the beginning is held to look for Namespaces; what comes after it is a stream
        let much = format!("# {}\n{map}", "x".repeat(1 << 20));
        for _ in 0..33 {
            stdin.write_all(much.as_bytes()).expect("berth reads");
        }
        while !ends.load(Relaxed) {
            stdin.write_all(map.as_bytes()).expect("berth reads");
        }
    });
    terminal.await_text("\rpreviewing -: ");
    // the line changes, and seldom enough to be read
    terminal.await_times("\rpreviewing -: ", 4);
    let most = (began.elapsed().saturating_sub(PATIENCE)).as_millis() / PACE.as_millis() + 1;
    let times = terminal.text().matches("\rpreviewing -: ").count();
    assert!(times as u128 <= most, "{times} in {:?}", began.elapsed());
    is_seen.store(true, Relaxed);
    writer.join().expect("no panic");
    let text = terminal.ended(child);
    let lines = text
        .split('\r')
        .filter(|line| line.starts_with("previewing"));
    let widths = lines.map(|line| line.replace("\u{1b}[K", "").chars().count());
    assert_eq!(widths.max(), Some(usize::from(COLUMNS) - 1), "{text:?}");
    let (_, last) = text.rsplit_once(CLEAR).expect("the line goes");
    assert!(last.starts_with("no Pod found in "), "{text:?}");
}

#[test]
fn a_measurement_shows_how_far_it_is() {
    let mut command = bench("60");
    command.stdout(Stdio::null());
    let (mut terminal, child) = Terminal::start(&mut command, 80, Streams::Stderr);
    terminal.await_text(" of 60 seconds\u{1b}[K");
    // it need not end by itself
    drop(terminal);
    drop(Killed(child));
}

#[test]
fn there_is_no_progress_without_a_terminal_that_can_show_it() {
    let piped = bench("3").output().expect("berth starts");
    assert_eq!(String::from_utf8_lossy(&piped.stderr), "");
    let mut on_dumb = bench("3");
    on_dumb.stdout(Stdio::null());
    let (terminal, child) = Terminal::dumb(&mut on_dumb, 80);
    assert_eq!(terminal.ended(child), "");
}

/// A process that ends with its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_said_is_as_wide_as_the_terminal_and_breaks_no_name() {
    let names = [
        "speech-recognition-server",
        "request-authentication-proxy",
        "model-cache-shutdown-manager",
    ];
    let containers = names.map(|name| format!("  - {{name: {name}}}\n"));
    let containers = containers.concat();
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: x, labels: {{berth.dev/workload-class: whisper}}}}\nspec:\n  \
         containers:\n{containers}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml");
    fs::write(&file, pod).expect("a file");
    let run = || {
        let mut command = preview();
        command.args(["--color", "never", "-f", "x.yaml"]);
        command.current_dir(folder.path()).stdout(Stdio::null());
        command
    };
    for columns in [60, 100] {
        let text = seen(&mut run(), columns, Streams::Stderr);
        let message = text.lines().take_while(|line| !line.contains("x.yaml"));
        let widths: Vec<usize> = message.map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|it| *it <= columns.into()), "{text}");
        // and about as wide as it may be
        let widest = widths.iter().max().copied().unwrap_or_default();
        assert!(
            widths.len() > 2 && widest + 30 > columns.into(),
            "{widths:?} {text}"
        );
        for name in names.iter().chain(&["berth.dev/container"]) {
            assert!(
                text.lines().any(|line| line.contains(name)),
                "{name}: {text}"
            );
        }
    }
    let piped = run().output().expect("berth starts").stderr;
    let piped = String::from_utf8_lossy(&piped);
    let denial = piped.lines().next().unwrap_or_default();
    assert!(
        denial.contains(names[0]) && denial.contains("or give that"),
        "{piped}"
    );
}

#[test]
fn no_name_in_the_table_is_broken_on_a_narrow_terminal() {
    let mut command = preview();
    command.args(["-o", "table", "-f", arg(&path("tests/preview/list.json"))]);
    let text = seen(&mut command, 40, Streams::Both);
    for name in ["NAMESPACE", "ClassUnavailable", "rtx-2070", "items[1]"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn what_steers_a_terminal_never_reaches_it() {
    // a title, a clearing, what eight bits say of that, and every kind of turn of direction
    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{8}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}";
    let quoted = EVIL
        .chars()
        .fold(String::new(), |text, c| text + &quoted(c));
    let pod = |class: &str| {
        format!(
            "# {EVIL}\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: \"x{quoted}\"\n  namespace: \"n{quoted}\"\n  \
             labels:\n    berth.dev/workload-class: \"{class}\"\n    \"berth.dev/{quoted}\": \"{quoted}\"\nspec:\n  \
             schedulerName: \"s{quoted}\"\n  nodeSelector: {{\"k{quoted}\": 7}}\n  containers:\n  - name: \"c{quoted}\"\n    \
             resources: {{limits: {{\"r{quoted}\": \"{quoted}\"}}}}\n"
        )
    };
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write(&format!("a{EVIL}.yaml"), &pod(&quoted));
    let placed = pod("whisper").replace(
        &format!("nodeSelector: {{\"k{quoted}\": 7}}"),
        "priority: 1",
    );
    write("b.yaml", &placed);
    write("c.yaml", &format!("a: {EVIL}\nb: [\n"));
    let table = format!(
        "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {{name: p}}\nspec: {{hostnames: [\"{quoted}\"], resourceName: \
         \"{quoted}\", \"{quoted}\": 1}} # {EVIL}\n"
    );
    write("table.txt", &table);
    let case = format!(
        "pod:\n  metadata: {{name: \"{quoted}\"}}\nexpect: {{pool: \"{quoted}\"}} # {EVIL}\n"
    );
    fs::create_dir(folder.path().join("cases")).expect("a folder");
    write(&format!("cases/d{EVIL}.yaml"), &case);
    let homelab = path("examples/homelab.yaml");
    let homelab = arg(&homelab);
    let mut runs: Vec<Vec<&str>> = ["diff", "yaml", "json", "jsonpatch", "table", "github"]
        .map(|format| vec!["preview", "--table", homelab, "-f", ".", "-o", format])
        .to_vec();
    runs.extend(
        ["text", "json", "github"].map(|format| vec!["lint", "--table", "table.txt", "-o", format]),
    );
    runs.extend(
        ["text", "json", "junit"]
            .map(|format| vec!["test", "--table", homelab, "cases", "-o", format]),
    );
    runs.push(vec!["preview", "--table", EVIL, "-f", "."]);
    runs.push(vec!["preview", EVIL]);
    runs.push(vec!["bench", "--table", homelab, "--review", EVIL]);
    for arguments in runs {
        let mut command = command();
        command.args(&arguments).current_dir(folder.path());
        let text = seen(&mut command, 100, Streams::Both);
        assert!(!text.is_empty(), "{arguments:?}");
        let plain = without_colours(&text.replace(CLEAR, ""));
        let steers = |c: char| match c {
            '\n' | '\r' | '\t' => false,
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => true,
            c => c.is_control(),
        };
        let found = plain
            .find(steers)
            .map(|at| plain[at..].chars().take(30).collect::<String>());
        assert_eq!(found, None, "{arguments:?}: {text:?}");
    }
}

/// A character as JSON and YAML escape it.
fn quoted(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

/// The text without the sequences that colour it.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end.map(|end| part.split_at(end)) {
            Some((_, rest)) if rest.starts_with('m') => plain.push_str(&rest[1..]),
            _ => plain.extend(["\u{1b}[", part]),
        }
    }
    plain
}

use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};

/// Every command that is shown, with its name on the command line.
fn commands() -> Vec<clap::Command> {
    fn with_subcommands(command: &clap::Command, all: &mut Vec<clap::Command>) {
        let subcommands = command.get_subcommands().filter(|it| !it.is_hide_set());
        subcommands.for_each(|it| with_subcommands(it, all));
        all.push(command.clone());
    }
    let mut root = super::Cli::command().disable_help_subcommand(true);
    root.build();
    let mut all = Vec::new();
    with_subcommands(&root, &mut all);
    all
}

/// The flags under each heading, whichever command has them. All others are under none.
const HEADINGS: &[(&str, &[&str])] = &[
    ("Addresses", &["bind", "admin_bind", "board"]),
    (
        "Table",
        &[
            "table_source",
            "from_cluster",
            "table",
            "allow_empty_table",
            "class_label",
            "gpu_resources",
            "companion_resources",
            "injected_containers",
        ],
    ),
    (
        "Cluster",
        &[
            "live",
            "status",
            "lease",
            "events",
            "advertise",
            "forward_ca",
            "kubeconfig",
            "context",
            "install_namespace",
        ],
    ),
    (
        "TLS",
        &[
            "tls_cert",
            "tls_key",
            "tls_server_name",
            "tls_self_signed",
            "tls_names",
            "ca_out",
            "tls_min_version",
            "client_ca",
            "client_name",
        ],
    ),
    (
        "Limits",
        &[
            "max_connections",
            "handshake_timeout",
            "idle_timeout",
            "write_timeout",
            "max_header_bytes",
            "max_body_bytes",
            "body_timeout",
            "max_body_memory",
            "max_in_flight",
        ],
    ),
    ("Shutdown", &["drain_period", "shutdown_timeout"]),
    #[cfg(feature = "otel")]
    (
        "Traces",
        &[
            "otlp_endpoint",
            "otlp_traces_endpoint",
            "otlp_ca",
            "traces_sampler",
            "traces_sampler_arg",
        ],
    ),
    (
        "Manifests",
        &[
            "filename",
            "recursive",
            "namespace",
            "exclude_namespace",
            "all_namespaces",
        ],
    ),
];

#[test]
fn each_flag_is_under_its_own_heading() {
    let mut seen = BTreeSet::new();
    for command in commands() {
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let id = arg.get_id().as_str();
            let of_id = HEADINGS.iter().find(|(_, ids)| ids.contains(&id));
            let name = command.get_name();
            let heading = of_id.map(|(heading, _)| *heading);
            assert_eq!(arg.get_help_heading(), heading, "{name} {id}");
            seen.insert(id.to_owned());
        }
    }
    let all = HEADINGS.iter().flat_map(|(_, ids)| *ids);
    let gone: Vec<_> = all.filter(|id| !seen.contains(**id)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

/// The command lines under `Examples:`, each as its words, up to the end of the pipe's part.
fn examples(help: &str) -> Vec<Vec<String>> {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
    let parts = lines.flat_map(|line| line.split(['|', '>', '(', ')']));
    let words = parts.map(|part| part.split_whitespace().map(str::to_owned).collect());
    words
        .filter(|words: &Vec<String>| words.first().is_some_and(|it| it == "berth"))
        .collect()
}

#[test]
fn every_command_has_examples_that_it_reads_and_its_exit_codes() {
    for command in commands() {
        if command.has_subcommands() && command.get_name() != "berth" {
            continue;
        }
        let name = command.get_name();
        let help = command.get_after_long_help();
        let help = help.map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Exit codes:\n  0  "), "{name}: {help}");
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{name}: {help}");
        for words in examples {
            let read = super::Cli::try_parse_from(&words);
            assert!(read.is_ok(), "{words:?}: {read:?}");
            let is_of_command = name == "berth" || words.iter().any(|word| word == name);
            assert!(is_of_command, "{name}: {words:?}");
        }
        // wider than a small terminal would be broken
        let longest = help.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(80), "{name}: {longest:?}");
    }
}

#[test]
fn the_flags_do_not_contradict_each_other() {
    super::Cli::command().debug_assert();
}

#[test]
fn names_that_kubernetes_does_not_accept_are_usage_errors() {
    let is_read = |flag: &str, name: &str| {
        let line = ["berth", "lint", "--table", "x", flag, name];
        super::Cli::try_parse_from(line).is_ok()
    };
    for (flag, right, wrong) in [
        ("--gpu-resource", "nvidia.com/a100,example.com/x", "gpu"),
        (
            "--companion-resource",
            "nvidia.com/fabric",
            "kubernetes.io/x",
        ),
        (
            "--injected-container",
            "proxy,gke-gcsfuse-sidecar",
            "a proxy",
        ),
    ] {
        assert!(is_read(flag, right), "{flag} {right}");
        assert!(!is_read(flag, wrong), "{flag} {wrong}");
    }
}

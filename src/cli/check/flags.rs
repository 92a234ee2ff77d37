//! The flags of the installed Pods.

use clap::{CommandFactory, FromArgMatches, builder::Resettable};
use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::cli::{Cli, Command, serve::Flags};
use berth_core::{names::LEASE, table::Settings};

/// The flags of a Pod, read as berth reads them. None where this berth does not know them.
pub(super) fn flags(template: &PodTemplateSpec) -> Option<Flags> {
    let containers = &template.spec.as_ref()?.containers;
    let args = containers.iter().find_map(|it| {
        let args = it.args.as_ref()?;
        (args.first()? == "serve").then_some(args)
    })?;
    // kubelet fills these in
    let args = args.iter().filter(|it| !it.contains("$("));
    let command = without_variables(Cli::command());
    let words = ["berth"].into_iter().chain(args.map(String::as_str));
    let matches = command.try_get_matches_from(words).ok()?;
    match Cli::from_arg_matches(&matches).ok()?.command {
        Command::Serve(serve) => serve.flags().ok(),
        _ => None,
    }
}

/// The variables of this process are not those of the Pods.
fn without_variables(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| arg.env(Resettable::Reset));
    command.mut_subcommands(without_variables)
}

/// As they are installed.
pub(super) fn shipped() -> Flags {
    Flags {
        reads_cluster: true,
        settings: Settings::default(),
        live: true,
        status: true,
        events: true,
        lease: LEASE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_a_pod_are_read_as_berth_reads_them() {
        let template = |args: &[&str]| {
            let template =
                serde_json::json!({"spec": {"containers": [{"name": "berth", "args": args}]}});
            serde_json::from_value::<PodTemplateSpec>(template).expect("a template")
        };
        let installed = [
            "serve",
            "--table-source=cluster",
            "--live=off",
            "--lease=mine",
            "--class-label=example.com/class",
            "--tls-cert=/etc/berth/tls/tls.crt",
            "--tls-key=/etc/berth/tls/tls.key",
            "--advertise=$(POD_IP)",
        ];
        let flags = flags(&template(&installed)).expect("flags");
        assert!(flags.reads_cluster && flags.status && flags.events && !flags.live);
        assert_eq!(
            (&*flags.lease, &*flags.settings.class_label),
            ("mine", "example.com/class")
        );
        assert!(super::flags(&template(&["serve", "--of-tomorrow"])).is_none());
        assert!(super::flags(&template(&["lint"])).is_none());
    }
}

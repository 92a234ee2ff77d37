//! `berth guard`.

use clap::{Args, ValueEnum};

use super::{
    namespace,
    report::{Ended, Failure, print, tell},
    table::TableOrigin,
};
use berth_core::{names::EXCLUDED_NAMESPACES, syntax};
use berth_manifests::{guard, yaml};

const MORE: &str = "\
Examples:
  # first see whom it would deny: they are warned, and the audit log has it
  berth guard --table table.yaml | kubectl apply -f -
  # then deny
  berth guard --table table.yaml --action deny | kubectl apply -f -
  # of the table of the cluster that kubectl would ask
  berth guard --from-cluster --action deny | kubectl apply -f -
  # leave out a namespace whose agents tolerate every taint
  berth guard --table t.yaml --exempt-namespace gpu-operator

Exit codes:
  0  it is printed
  2  the flags are wrong
  3  the table does not load, or has nothing to guard";

/// Print a policy that keeps the table's GPUs for the Pods of its classes
///
/// It is a policy of the API server (`ValidatingAdmissionPolicy`) and its binding. The webhook places Pods that name a
/// class, and cannot keep away a Pod that tolerates a taint by itself; this policy can. Apply it again when the table has changed: its annotation has the table's
/// revision. A user with the verb bypass on gpupools passes, as a cluster's administrator does.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Guard {
    /// What becomes of a Pod that it objects to
    #[arg(long, value_name = "ACTION", default_value = "warn")]
    action: Action,
    /// A namespace whose Pods it does not look at, besides kube-system, kube-node-lease and berth; repeatable
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    exempt_namespace: Vec<String>,
    /// The name of the policy and of its binding
    #[arg(long, value_name = "NAME", default_value = "berth-guard", value_parser = object)]
    name: String,
    #[command(flatten)]
    table: TableOrigin,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// It is created, and its author is warned
    Warn,
    /// It is denied
    Deny,
}

fn object(text: &str) -> Result<String, String> {
    if syntax::is_dns_subdomain(text) {
        Ok(text.to_owned())
    } else {
        Err(
            "not the name of an object: use at most 253 lower-case letters, digits, - and ."
                .to_owned(),
        )
    }
}

impl Guard {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let (documents, table) = self.table.named()?.documents()?;
        let mut exempt: Vec<String> = EXCLUDED_NAMESPACES.map(str::to_owned).into();
        exempt.push("berth".to_owned());
        exempt.extend(self.exempt_namespace);
        exempt.dedup();
        let options = guard::Options {
            name: self.name,
            action: match self.action {
                Action::Warn => guard::Action::Warn,
                Action::Deny => guard::Action::Deny,
            },
            exempt,
        };
        let objects = guard::render(&documents, &table, &options).map_err(Failure::unreadable)?;
        let texts = objects.iter().map(yaml::write);
        print(texts.collect::<Vec<_>>().join("---\n"))?;
        if matches!(self.action, Action::Warn) {
            tell("it warns: look at the warnings and the audit log, then use --action deny");
        }
        Ok(Ended::Fine)
    }
}

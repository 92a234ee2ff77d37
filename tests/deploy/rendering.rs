//! Every way to deploy berth, rendered once, and what the tests ask of it.

use std::sync::LazyLock;

use berth::cli::Cli;
use clap::{ArgMatches, CommandFactory};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
    apps::v1::Deployment,
    core::v1::{Container, PodSpec},
};

use crate::{
    common::path,
    objects::{Object, find, typed},
    render::{base_with, chart, dev, overlay},
};

/// Every way to deploy berth that the tests look at. None where nothing renders them.
static RENDERINGS: LazyLock<Vec<Rendering>> = LazyLock::new(|| {
    let table = format!(
        "table.manifests={}",
        path("examples/homelab.yaml").display()
    );
    let table = ["--set-file", &table];
    let with = |values: &[&str]| chart(&[&table, values].concat());
    let secret = [
        "--set",
        "tls.mode=secret,tls.secretName=berth-tls",
        "--set",
        "tls.caBundle=-----BEGIN CERTIFICATE-----",
    ];
    let host = "tls.mode=helm,hostNetwork=true,webhook.port=18443,adminPort=18080,bindAddress=[::]";
    let all = [
        ("overlays/dev", dev()),
        ("overlays/ha", overlay("ha")),
        (
            "chart with cert-manager",
            with(&["--set", "prometheus.enabled=true"]),
        ),
        ("chart with a Secret", with(&secret)),
        ("chart with Helm's own", with(&["--set", "tls.mode=helm"])),
        ("chart on the host's network", with(&["--set", host])),
        (
            "chart with the table in the cluster",
            chart(&["--set", "table.source=cluster"]),
        ),
        (
            "kustomize with a table of files",
            base_with(&["files-table", "cert-manager"]),
        ),
    ];
    let rendered = all.map(|(name, objects)| {
        Some(Rendering {
            name,
            objects: objects?,
        })
    });
    rendered.into_iter().flatten().collect()
});

/// All objects of one way.
pub struct Rendering {
    pub name: &'static str,
    pub objects: Vec<Object>,
}

/// All ways.
pub fn renderings() -> &'static [Rendering] {
    &RENDERINGS
}

impl Rendering {
    pub fn find(&self, kind: &str, name: &str) -> &Object {
        find(&self.objects, kind, name)
    }

    pub fn deployment(&self) -> Deployment {
        typed(self.find("Deployment", "berth"))
    }

    pub fn pod(&self) -> PodSpec {
        let template = self.deployment().spec.template;
        template.spec.expect("a Pod's spec")
    }

    pub fn container(&self) -> Container {
        let [container] = <[_; 1]>::try_from(self.pod().containers).expect("one container");
        container
    }

    /// The webhook for Pods that name a class.
    pub fn hook(&self) -> MutatingWebhook {
        self.hooks().remove(0)
    }

    pub fn hooks(&self) -> Vec<MutatingWebhook> {
        let object = self.find("MutatingWebhookConfiguration", "berth");
        let configuration: MutatingWebhookConfiguration = typed(object);
        configuration.webhooks.expect("webhooks")
    }

    /// Whether berth reads the table from the cluster.
    pub fn reads_cluster(&self) -> bool {
        let args = self.container().args.expect("args");
        args.iter().any(|it| it == "--table-source=cluster")
    }

    /// The flags of `berth serve`, as the command line reads them.
    pub fn flags(&self) -> ArgMatches {
        let args = self.container().args.expect("args");
        // kubelet puts the Pod's address there
        let args = args.iter().map(|it| it.replace("$(POD_IP)", "10.0.0.7"));
        let line = ["berth".to_owned()].into_iter().chain(args);
        let mut matches = Cli::command()
            .try_get_matches_from(line)
            .unwrap_or_else(|error| panic!("{error}"));
        let (name, serve) = matches.remove_subcommand().expect("a subcommand");
        assert_eq!(name, "serve");
        serve
    }
}

/// The value of a flag.
pub fn flag<T: Clone + Send + Sync + 'static>(flags: &ArgMatches, name: &str) -> T {
    flags
        .get_one::<T>(name)
        .unwrap_or_else(|| panic!("--{name}"))
        .clone()
}

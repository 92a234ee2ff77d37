//! The Service that leads to the replicas.

use std::collections::BTreeMap;

use super::{Check, Install, Seen, counted, shell};

/// The Service that the webhook configuration names.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The port that the configuration names.
    pub port: i32,
    /// Whether it is there.
    pub is_there: bool,
    /// The ports that it has.
    pub ports: Vec<i32>,
    /// Which Pods it leads to.
    pub selector: BTreeMap<String, String>,
    /// The name that it stands for, where it leads out of the cluster.
    pub external: Option<String>,
    /// Where it leads, ready or not.
    pub endpoints: Vec<Endpoint>,
}

/// Where a Service leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// With its port.
    pub address: String,
    /// Whether it gets requests.
    pub is_ready: bool,
}

/// Whether the Service leads to a replica.
#[must_use]
pub fn service(seen: &Seen<Service>, install: &Seen<Option<Install>>) -> Check {
    let what = "the Service leads to the replicas";
    let service = match seen {
        Ok(service) => service,
        Err(why) => return Check::skipped(what, why),
    };
    let install = install.as_ref().ok().and_then(Option::as_ref);
    let Service {
        namespace,
        name,
        port,
        ..
    } = service;
    if !service.is_there {
        let deployment = install.map_or(name, |it| &it.name);
        return Check::failed(what, format!("there is no Service {name} in namespace {namespace}")).run(format!(
            "kubectl expose deployment {} -n {namespace} --name={} --port={port} --target-port=webhook",
            shell(deployment),
            shell(name)
        ));
    }
    if let Some(external) = &service.external {
        return Check::passed(format!(
            "the Service leads out of the cluster, to {external}:{port}"
        ));
    }
    if !service.ports.contains(port) {
        let ports: Vec<String> = service.ports.iter().map(i32::to_string).collect();
        let found = format!(
            "the webhook configuration names port {port}, and the Service has {}",
            ports.join(", ")
        );
        return Check::failed(what, found).run(format!(
            "kubectl get service {} -n {namespace} -o yaml",
            shell(name)
        ));
    }
    let ready = service.endpoints.iter().filter(|it| it.is_ready).count();
    if ready > 0 {
        let addresses = counted(ready, "address", "addresses");
        return Check::passed(format!("the Service leads to {addresses}"));
    }
    let selects = |install: &&Install| {
        let mut all = service.selector.iter();
        all.all(|(key, value)| install.labels.get(key) == Some(value))
    };
    if let Some(install) = install.filter(|it| !selects(it)) {
        let label = |(key, value): (&String, &String)| format!("{key}={value}");
        let selector: Vec<String> = service.selector.iter().map(label).collect();
        let labels: Vec<String> = install.labels.iter().map(label).collect();
        let found = format!(
            "it selects {}, and the Pods have {}",
            selector.join(","),
            labels.join(",")
        );
        return Check::failed(what, found).run(format!(
            "kubectl set selector service {} {} -n {namespace}",
            shell(name),
            shell(&labels.join(","))
        ));
    }
    let found = match service.endpoints.len() {
        0 => "it has no address".to_owned(),
        all => format!(
            "none of its {} is ready",
            counted(all, "address", "addresses")
        ),
    };
    Check::failed(what, found).run(format!(
        "kubectl get pods,endpointslices -n {namespace} -o wide"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    fn labels(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("app".to_owned(), text.to_owned())])
    }

    fn leads(endpoints: &[(&str, bool)]) -> Service {
        let endpoint = |(address, is_ready): &(&str, bool)| Endpoint {
            address: (*address).to_owned(),
            is_ready: *is_ready,
        };
        Service {
            namespace: "gpu".to_owned(),
            name: "berth".to_owned(),
            port: 443,
            is_there: true,
            ports: vec![443, 8080],
            selector: labels("berth"),
            external: None,
            endpoints: endpoints.iter().map(endpoint).collect(),
        }
    }

    #[test]
    fn a_service_that_leads_nowhere_fails_and_says_how_to_fix_it() {
        let ok = Ok(Some(Install {
            namespace: "gpu".to_owned(),
            name: "berth".to_owned(),
            labels: labels("berth"),
            ..Install::default()
        }));
        let with = |change: fn(&mut Service)| {
            let mut service = leads(&[]);
            change(&mut service);
            service
        };
        for (service, outcome, said, hint) in [
            (
                leads(&[("10.0.0.7:8443", true), ("10.0.1.9:8443", true)]),
                Outcome::Passed,
                "2 addresses",
                "",
            ),
            (
                leads(&[("10.0.0.7:8443", false)]),
                Outcome::Failed,
                "none of its 1 address is ready",
                "kubectl get pods",
            ),
            (
                leads(&[]),
                Outcome::Failed,
                "no address",
                "kubectl get pods",
            ),
            (
                with(|it| it.selector = labels("other")),
                Outcome::Failed,
                "it selects app=other, and the Pods have app=berth",
                "kubectl set selector service berth app=berth -n gpu",
            ),
            (
                with(|it| it.port = 8443),
                Outcome::Failed,
                "names port 8443, and the Service has 443, 8080",
                "kubectl get service",
            ),
            (
                with(|it| it.is_there = false),
                Outcome::Failed,
                "there is no Service berth in namespace gpu",
                "kubectl expose deployment berth -n gpu --name=berth --port=443 --target-port=webhook",
            ),
            (
                with(|it| it.external = Some("localhost".to_owned())),
                Outcome::Passed,
                "localhost:443",
                "",
            ),
        ] {
            let check = super::service(&Ok(service), &ok);
            assert_eq!(check.outcome, outcome, "{check:?}");
            let text = check.found.as_ref().unwrap_or(&check.what);
            assert!(text.contains(said), "{text}");
            let found = check.hint.as_ref().map_or("", |it| it.text());
            assert!(found.starts_with(hint), "{found}");
        }
    }
}

//! A Pod of a class, created in a dry run: it must come back mutated.

use super::{Check, HOOK, Seen};
use crate::names::GROUP;

/// What the API server answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The Pod came back with this pool.
    Placed(String),
    /// It came back as it was sent.
    Unchanged,
    /// It was not created, and this is the message.
    Denied(String),
}

/// How the API server says that a webhook could not be called, what that means, and what to do.
const SYMPTOMS: [(&[&str], &str, &str); 5] = [
    (
        &[
            "context deadline exceeded",
            "Client.Timeout",
            "i/o timeout",
            "no route to host",
            "network is unreachable",
        ],
        "the control plane does not reach the port",
        "open the port of the nodes and Pods for the control plane in the firewall, or let berth listen on one that is \
         open: helm upgrade RELEASE deploy/chart/berth -n NAMESPACE --reuse-values --set webhook.port=10250 \
         (deploy/README.md, \"If the control plane cannot reach the port\")",
    ),
    (
        &["connection refused", "connection reset", "EOF"],
        "nothing listens at the port",
        "see whether berth runs and listens there: kubectl get pods,endpointslices -n NAMESPACE -o wide",
    ),
    (
        &["x509", "certificate", "tls:"],
        "the API server does not trust the certificate that is served",
        "bring the CA of the serving certificate into the webhook configuration: with cert-manager, kubectl rollout restart \
         deployment cert-manager-cainjector -n cert-manager",
    ),
    (
        &["no endpoints available", "no service port", "not found"],
        "the Service leads nowhere",
        "kubectl get service,endpointslices -n NAMESPACE",
    ),
    (
        &["no such host", "lookup "],
        "the API server does not find the name",
        "let the webhook configuration name a Service, and not a URL that the control plane cannot resolve",
    ),
];

/// Whether a Pod of a class in a namespace is placed. What is installed has a namespace and a name.
#[must_use]
pub fn dry_run(
    class: &str,
    namespace: &str,
    installed: (&str, &str),
    answer: &Seen<Answer>,
) -> Check {
    let what =
        format!("a Pod of class {class} in namespace {namespace} comes back placed from a dry run");
    match answer {
        Err(why) => Check::skipped(what, why),
        Ok(Answer::Placed(pool)) => Check::passed(format!("{what}: pool {pool}")),
        Ok(Answer::Unchanged) => Check::failed(what, "it was created as it is: the API server did not ask berth")
            .advise("with failurePolicy Ignore, see whether berth answers; a configuration that is new counts after a second"),
        Ok(Answer::Denied(message)) => denied(what, message, installed),
    }
}

fn denied(what: String, message: &str, (namespace, name): (&str, &str)) -> Check {
    let hook = format!("{HOOK}.{GROUP}\"");
    let is_of_berth = message.contains(&hook);
    if message.contains("failed calling webhook") && is_of_berth {
        // what comes after it is the cause
        let cause = message.split(&hook).last().unwrap_or(message);
        let cause = cause.trim_start_matches(|c: char| c == ':' || c.is_whitespace());
        let known = SYMPTOMS
            .iter()
            .find(|(words, ..)| words.iter().any(|it| cause.contains(it)));
        let (means, advice) = known.map_or(("the API server could not ask berth", ""), |it| {
            (it.1, it.2)
        });
        let check = Check::failed(what, format!("{means}: {cause}"));
        return if advice.is_empty() {
            check
        } else {
            check.advise(
                advice
                    .replace("NAMESPACE", namespace)
                    .replace("RELEASE", name),
            )
        };
    }
    if is_of_berth {
        return Check::failed(what, message)
            .advise("berth answers, and denies the Pod: fix what the message names");
    }
    Check::skipped(what, format!("somebody else denied the Pod: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    fn check(answer: Answer) -> Check {
        dry_run("vllm", "default", ("gpu", "berth"), &Ok(answer))
    }

    /// The messages of a kube-apiserver 1.37.
    #[test]
    fn each_way_in_which_the_api_server_cannot_ask_is_told_from_the_others() {
        let post = r#"failed calling webhook "pods.berth.dev": failed to call webhook: Post "https://berth.berth.svc:443/mutate?timeout=5s": "#;
        for (cause, means, advice) in [
            (
                "context deadline exceeded",
                "does not reach the port",
                "webhook.port=10250",
            ),
            (
                "dial tcp 10.0.0.7:8443: i/o timeout",
                "does not reach the port",
                "firewall",
            ),
            (
                "dial tcp 10.0.0.7:8443: connect: no route to host",
                "does not reach the port",
                "firewall",
            ),
            (
                "dial tcp 10.0.0.7:8443: connect: connection refused",
                "nothing listens",
                "kubectl get pods,endpointslices -n gpu",
            ),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                "does not trust",
                "cainjector",
            ),
            (
                "no endpoints available for service \"berth\"",
                "leads nowhere",
                "endpointslices",
            ),
            (
                "dial tcp: lookup nowhere.example: no such host",
                "does not find the name",
                "Service",
            ),
        ] {
            let found = check(Answer::Denied(format!(
                "Internal error occurred: {post}{cause}"
            )));
            assert_eq!(found.outcome, Outcome::Failed, "{cause}");
            let text = found.found.expect("a cause");
            assert!(text.contains(means) && text.contains(cause), "{text}");
            let hint = found.hint.expect("advice");
            assert!(hint.text().contains(advice), "{hint:?}");
        }
        let other = check(Answer::Denied(format!("{post}something new")));
        assert_eq!((other.outcome, other.hint), (Outcome::Failed, None));
    }

    #[test]
    fn an_answer_of_berth_s_and_one_of_somebody_else_s_are_told_apart() {
        let denied = r#"admission webhook "pods.berth.dev" denied the request: workload class "vllm" is not ready"#;
        assert_eq!(
            check(Answer::Denied(denied.to_owned())).outcome,
            Outcome::Failed
        );
        let quota = "pods \"x\" is forbidden: exceeded quota: none";
        assert_eq!(
            check(Answer::Denied(quota.to_owned())).outcome,
            Outcome::Skipped
        );
        assert_eq!(check(Answer::Unchanged).outcome, Outcome::Failed);
        let placed = check(Answer::Placed("strix-halo".to_owned()));
        assert!(placed.what.ends_with("pool strix-halo"), "{placed:?}");
    }
}

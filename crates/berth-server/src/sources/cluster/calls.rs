//! Single calls of the API server, beside the watches: bounded in time, and told once where they go on failing.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::timeout;

use super::client;

/// So long a call may take, with what the client itself repeats.
const LONGEST: Duration = Duration::from_secs(5);

/// Why a call has failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    /// The API server's code; 0 where it has not answered.
    pub(super) code: u16,
    /// Whether it is about the object that was sent, and says nothing of another one.
    pub(super) is_of_object: bool,
    message: String,
}

/// What is told once, however often it happens.
#[derive(Debug, Default)]
pub(crate) struct Told(Option<String>);

/// Waits for a call, but not for long.
pub(super) async fn call<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    match timeout(LONGEST, call).await {
        Ok(answer) => answer.map_err(|error| Failure::new(&error)),
        Err(_) => Err(Failure {
            code: 0,
            is_of_object: false,
            message: format!("no answer in {} s", LONGEST.as_secs()),
        }),
    }
}

/// The waits after failures in a row.
pub(super) fn backoff(shortest: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(shortest)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

impl Failure {
    fn new(error: &kube::Error) -> Self {
        let (code, is_judged) = match error {
            kube::Error::Api(status) => (status.code, status.reason != client::NO_STATUS),
            _ => (0, false),
        };
        let said = client::said(error);
        let is_right = code == 401 || (code == 403 && names_right(&said));
        let message = if is_right {
            format!("{said}; bind berth's ClusterRole and Role to its ServiceAccount")
        } else {
            said
        };
        let of_object = matches!(code, 400 | 403 | 404 | 409 | 413 | 422);
        Self {
            code,
            is_of_object: of_object && is_judged && !is_right,
            message,
        }
    }
}

/// Whether an API server says who may not do what: `User "x" cannot create resource "events" in …`. Else a 403 is of the
/// object: its namespace is being deleted, or a quota or a policy is against it.
fn names_right(message: &str) -> bool {
    message.contains(" cannot ") && message.contains(" resource \"")
}

impl Told {
    /// Whether it was something else that was told last.
    pub(crate) fn is_new(&mut self, what: &str) -> bool {
        let is_new = self.0.as_deref() != Some(what);
        if is_new {
            self.0 = Some(what.to_owned());
        }
        is_new
    }

    /// It is over: whether anything was told.
    pub(crate) fn ends(&mut self) -> bool {
        self.0.take().is_some()
    }
}

/// An API server that is played, for tests: what it answers with which code.
#[cfg(test)]
pub(super) fn played<A>(answer: A) -> kube::Client
where
    A: Fn(&axum::http::Method, &str) -> (u16, serde_json::Value) + Clone + Send + 'static,
{
    use axum::http;
    use kube::client::Body;
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (code, body) = answer(request.method(), request.uri().path());
        async move {
            let answer = http::Response::builder().status(code);
            answer.body(Body::from(body.to_string().into_bytes()))
        }
    });
    kube::Client::new(service, "default")
}

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use serde_json::{Value, json};

    use super::*;

    async fn failure(code: u16, body: Value) -> Failure {
        let client = played(move |_: &Method, _: &str| (code, body.clone()));
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        call(api.get("x")).await.expect_err("a failure")
    }

    /// As kube-apiserver 1.37 words them.
    #[tokio::test]
    async fn a_failure_is_of_the_object_or_of_every_call() {
        let right = r#"events.events.k8s.io is forbidden: User "berth" cannot create resource "events" in API group "events.k8s.io" in the namespace "ai""#;
        let ending = r#"events.events.k8s.io "x.1" is forbidden: unable to create new content in namespace ai because it is being terminated"#;
        for (code, message, is_of_object) in [
            (
                422,
                r#"Event.events.k8s.io "Not a name.1" is invalid: metadata.name: Invalid value"#,
                true,
            ),
            (404, r#"namespaces "ai" not found"#, true),
            (409, r#"events.events.k8s.io "x.1" already exists"#, true),
            (403, ending, true),
            (403, right, false),
            (401, "Unauthorized", false),
            (429, "too many requests", false),
            (500, "etcdserver: request timed out", false),
        ] {
            let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": "R", "message": message});
            let failure = failure(code, status).await;
            assert_eq!(failure.is_of_object, is_of_object, "{failure}");
            let asks_for_right = failure.to_string().contains("bind berth's");
            assert_eq!(asks_for_right, code == 401 || message == right, "{failure}");
        }
        // what is no API server's judges nothing
        let proxy = failure(404, json!("not here")).await;
        assert!(!proxy.is_of_object, "{proxy}");
    }
}

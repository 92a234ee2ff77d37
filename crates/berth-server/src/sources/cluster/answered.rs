//! Notes when the API server has answered a list or watch of a kind.
//!
//! A watch says nothing while nothing changes, and its library does not show when it begins again. So the contact is noted
//! where requests pass by: the API server ends each watch after a minute at most, and a quiet kind is asked for again.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::http::{Request, Response};
use tower::{Layer, Service};

use crate::metrics::Metrics;

/// What is listed and watched, as its path ends and as the metrics name it.
const KINDS: [(&str, &str); 7] = [
    ("gpupools", "GPUPool"),
    ("workloadclasses", "WorkloadClass"),
    ("namespaces", "Namespace"),
    ("nodes", "Node"),
    ("pods", "Pod"),
    ("deviceclasses", "DeviceClass"),
    ("leases", "Lease"),
];

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Noting(pub(super) Arc<Metrics>);

/// A client that notes.
#[derive(Debug)]
pub(super) struct Noted<S> {
    client: S,
    metrics: Arc<Metrics>,
}

impl<S> Layer<S> for Noting {
    type Service = Noted<S>;

    fn layer(&self, client: S) -> Noted<S> {
        Noted {
            client,
            metrics: Arc::clone(&self.0),
        }
    }
}

impl<S, Q, A> Service<Request<Q>> for Noted<S>
where
    S: Service<Request<Q>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.client.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let kind = kind(request.uri().path());
        let answer = self.client.call(request);
        let metrics = Arc::clone(&self.metrics);
        Box::pin(async move {
            let answer = answer.await?;
            if let (Some(kind), true) = (kind, answer.status().is_success()) {
                metrics.contacted(kind);
            }
            Ok(answer)
        })
    }
}

fn kind(path: &str) -> Option<&'static str> {
    let plural = path.rsplit('/').next()?;
    let kind = KINDS.iter().find(|(known, _)| *known == plural)?;
    Some(kind.1)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::StatusCode;
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn an_answer_is_a_contact_and_a_refusal_is_none() {
        let metrics = Arc::new(Metrics::default());
        for (path, status) in [
            ("/api/v1/pods", StatusCode::OK),
            ("/api/v1/nodes", StatusCode::FORBIDDEN),
            (
                "/apis/coordination.k8s.io/v1/namespaces/berth/leases",
                StatusCode::OK,
            ),
            ("/apis/berth.dev/v1alpha1/gpupools/a/status", StatusCode::OK),
        ] {
            let answers = service_fn(move |_: Request<()>| async move {
                let answer = Response::builder().status(status).body(());
                Ok::<_, Infallible>(answer.expect("an answer"))
            });
            let client = Noting(Arc::clone(&metrics)).layer(answers);
            let request = Request::get(path).body(()).expect("a request");
            let answer = client.oneshot(request).await.expect("an answer");
            assert_eq!(answer.status(), status);
        }
        let text = metrics.text().expect("text");
        let contact = "berth_watch_last_contact_timestamp_seconds{kind=";
        let kinds = text.lines().filter_map(|line| line.strip_prefix(contact));
        let mut kinds: Vec<&str> = kinds.filter_map(|it| it.split('"').nth(1)).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["Lease", "Pod"]);
    }
}

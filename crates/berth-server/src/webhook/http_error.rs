//! HTTP errors: what is answered where there is no review to answer. The `failurePolicy` decides on the Pod.
//!
//! The body is a Kubernetes `Status`: of any other, the API server tells its user nothing but the code (fact 8).

use std::{error::Error, time::Duration};

use axum::{
    Json,
    http::{
        HeaderValue, Method, StatusCode,
        header::{ALLOW, CONNECTION, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};

use serde_json::json;

use super::PATH;
use berth_core::{outcome::Reason, review};

/// A reason, which has the code, and a text for whoever sent the request.
#[derive(Debug)]
pub(super) struct HttpError {
    pub(super) reason: Reason,
    pub(super) text: String,
}

impl HttpError {
    fn new(reason: Reason, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { reason, text }
    }

    pub(super) fn wrong_path(path: &str) -> Self {
        let text = format!("no such path: {path:.200}; POST an AdmissionReview to {PATH}");
        Self::new(Reason::WrongPath, text)
    }

    pub(super) fn wrong_method(method: &Method) -> Self {
        // the method itself ignores the precision
        let method = method.as_str();
        let text = format!("method {method:.40} is not supported on {PATH}; use POST");
        Self::new(Reason::WrongMethod, text)
    }

    pub(super) fn media_type() -> Self {
        let text = "the Content-Type is not application/json; send the review as JSON";
        Self::new(Reason::MediaType, text)
    }

    pub(super) fn encoded() -> Self {
        let text = "Content-Encoding is not supported; send the review as plain JSON";
        Self::new(Reason::MediaType, text)
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        let text = format!(
            "the review is larger than {limit} bytes; make the Pod smaller, or raise --max-body-bytes"
        );
        Self::new(Reason::BodyTooLarge, text)
    }

    pub(super) fn body_too_slow(limit: Duration) -> Self {
        let text = format!(
            "the review did not arrive within {limit:?}; send it faster, or raise --body-timeout"
        );
        Self::new(Reason::BodyTooSlow, text)
    }

    pub(super) fn broken_body(error: &(dyn Error + Send + Sync)) -> Self {
        let text = format!("the review did not arrive whole: {error}; send it again");
        Self::new(Reason::BadReview, text)
    }

    pub(super) fn no_table() -> Self {
        // the reason may name classes, and whoever may create a Pod reads this
        let text = "no table is in force; try again, or see berth's log, which says why";
        Self::new(Reason::NoTable, text)
    }

    pub(super) fn overloaded() -> Self {
        let text = "too many reviews at once; try again, add replicas, or raise --max-in-flight";
        Self::new(Reason::Overloaded, text)
    }

    pub(super) fn no_memory() -> Self {
        let text = "the reviews that are being read use up --max-body-memory; try again, add replicas, or raise it";
        Self::new(Reason::Overloaded, text)
    }

    pub(super) fn deadline_passed() -> Self {
        let text =
            "the deadline of ?timeout= passed; try again, or raise the webhook's timeoutSeconds";
        Self::new(Reason::DeadlinePassed, text)
    }

    pub(super) fn panicked() -> Self {
        let text = "internal error; the log has the details: report it";
        Self::new(Reason::Panicked, text)
    }

    /// Whether the body was left unread, so that nothing can follow on the connection.
    fn closes(&self) -> bool {
        use Reason::{BodyTooLarge, BodyTooSlow, MediaType, WrongMethod, WrongPath};
        matches!(
            self.reason,
            BodyTooLarge | BodyTooSlow | MediaType | WrongMethod | WrongPath
        )
    }
}

impl From<review::Error> for HttpError {
    fn from(error: review::Error) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.reason.code());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let closes = self.closes();
        let body = json!({
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "code": status.as_u16(),
            "message": self.text,
        });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.reason == Reason::WrongMethod {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // without it the API server does not try again (fact 2)
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

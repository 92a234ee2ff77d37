//! Questions to the API server, whose answers are facts: also that somebody may not ask.

use std::fmt;

use k8s_openapi::{
    ClusterResourceScope,
    api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Resource, api::PostParams};
use serde::de::DeserializeOwned;

use crate::cli::{
    cluster::{Cluster, FORBIDDEN, Unanswered},
    report::Failure,
};
use berth_core::check::{Right, Ruling, Seen, Unseen};
use berth_server::sources::cluster::said;

/// The API server's version. Almost everybody may ask for it: without it there is no cluster, or it does not know who asks.
pub(super) fn version(cluster: &Cluster) -> Result<Seen<(String, String)>, Failure> {
    let asked = cluster.wait(cluster.client.apiserver_version());
    match asked.map_err(|error| Unanswered::of("the API server's version", error)) {
        Ok(version) => Ok(Ok((version.major, version.minor))),
        Err(unanswered) if unanswered.code() == Some(FORBIDDEN) => {
            Ok(Err(unseen("its version", &unanswered.error)))
        }
        Err(unanswered) => Err(unanswered.into()),
    }
}

/// Why something was not seen.
pub(super) fn unseen(what: &str, error: &kube::Error) -> Unseen {
    let said = said(error);
    match error {
        kube::Error::Api(status) if status.code == FORBIDDEN => {
            Unseen(format!("you may not read {what}: {said}"))
        }
        _ => Unseen(format!("{what}: {said}")),
    }
}

/// An object, if it is there.
pub(super) fn one<K>(cluster: &Cluster, what: &str, api: &Api<K>, name: &str) -> Seen<Option<K>>
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    let found = cluster.wait(api.get_opt(name));
    found.map_err(|error| unseen(what, &error))
}

/// Whether an object is known not to be there.
pub(super) fn is_absent<K>(cluster: &Cluster, api: &Api<K>, name: &str) -> bool
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    matches!(cluster.wait(api.get_metadata_opt(name)), Ok(None))
}

/// Every object of a kind.
pub(super) fn all<K>(cluster: &Cluster, what: &str, api: &Api<K>) -> Seen<Vec<K>>
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    let found = cluster.list(what, api);
    found.map_err(|unanswered| unseen(what, &unanswered.error))
}

/// Every object of a kind that has no namespace.
pub(super) fn everywhere<K>(cluster: &Cluster, what: &str) -> Seen<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>
        + Clone
        + DeserializeOwned
        + fmt::Debug,
{
    all(cluster, what, &Api::all(cluster.client.clone()))
}

/// What is asked about a right.
pub(super) fn attributes(right: &Right) -> ResourceAttributes {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ResourceAttributes {
        verb: text(right.verb),
        group: Some(right.group.to_owned()),
        resource: text(right.resource),
        subresource: text(right.subresource),
        name: text(&right.name),
        namespace: text(&right.namespace),
        ..ResourceAttributes::default()
    }
}

/// Whether a service account may do each of these.
pub(super) fn rulings(
    cluster: &Cluster,
    (namespace, name): (&str, &str),
    rights: Vec<Right>,
) -> Seen<Vec<(Right, Ruling)>> {
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
    let ruling = |right: Right| {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{namespace}:{name}")),
                groups: Some(vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{namespace}"),
                    "system:authenticated".to_owned(),
                ]),
                resource_attributes: Some(attributes(&right)),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let asked = cluster.wait(reviews.create(&PostParams::default(), &review));
        let status = asked
            .map_err(|error| unseen("the rights of berth", &error))?
            .status;
        let status = status.unwrap_or_default();
        let ruling = Ruling {
            is_allowed: status.allowed,
            reason: status.reason.unwrap_or_default(),
        };
        Ok((right, ruling))
    };
    rights.into_iter().map(ruling).collect()
}

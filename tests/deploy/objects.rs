//! Manifests as objects of their types: a field that a type does not know is an error, and so is a kind.

use berth_core::api::{GPUPool, WorkloadClass, crds};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apps::v1::Deployment,
    batch::v1::Job,
    coordination::v1::Lease,
    core::v1::{ConfigMap, Namespace, Pod, ResourceQuota, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// An object as it was rendered.
pub type Object = Value;

/// The documents of a text.
pub fn objects(text: &str) -> Vec<Object> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    documents.retain(|document| !document.is_null());
    documents.iter_mut().for_each(join_base64);
    documents
}

/// kustomize breaks base64 into lines. Go reads over the breaks, the Rust types do not.
fn join_base64(object: &mut Value) {
    let secret = object["kind"] == "Secret";
    let data = secret.then(|| object["data"].as_object_mut()).flatten();
    for value in data.into_iter().flat_map(|data| data.values_mut()) {
        *value = value.as_str().expect("base64").replace('\n', "").into();
    }
    let hooks = object.get_mut("webhooks").and_then(Value::as_array_mut);
    let hooks = hooks.into_iter().flatten();
    for ca in hooks.filter_map(|hook| hook.pointer_mut("/clientConfig/caBundle")) {
        *ca = ca.as_str().expect("base64").replace('\n', "").into();
    }
}

/// The one object of a kind and name.
pub fn find<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Object {
    let mut found = objects
        .iter()
        .filter(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    match (found.next(), found.next()) {
        (Some(object), None) => object,
        (None, _) => panic!("no {kind} {name}"),
        _ => panic!("two of {kind} {name}"),
    }
}

/// The same, typed.
pub fn typed<T: DeserializeOwned + Serialize>(object: &Object) -> T {
    let typed: T = serde_json::from_value(object.clone())
        .unwrap_or_else(|error| panic!("{error}: {object:#}"));
    let again = serde_json::to_value(&typed).expect("JSON");
    assert_eq!(&again, object, "left is what the type knows of right");
    typed
}

/// Typed, where the type writes it in another way.
fn decoded<T: DeserializeOwned>(object: &Object) -> T {
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"))
}

/// Every object is of its type.
pub fn check(objects: &[Object]) {
    for object in objects {
        let kind = object["kind"].as_str().expect("a kind");
        let version = object["apiVersion"].as_str().expect("a version");
        match (version, kind) {
            ("v1", "Namespace") => drop(typed::<Namespace>(object)),
            ("v1", "ServiceAccount") => drop(typed::<ServiceAccount>(object)),
            ("v1", "ConfigMap") => drop(typed::<ConfigMap>(object)),
            ("v1", "Secret") => drop(typed::<Secret>(object)),
            ("v1", "Service") => drop(typed::<Service>(object)),
            ("v1", "ResourceQuota") => drop(typed::<ResourceQuota>(object)),
            ("v1", "Pod") => drop(typed::<Pod>(object)),
            ("apps/v1", "Deployment") => drop(typed::<Deployment>(object)),
            ("batch/v1", "Job") => drop(typed::<Job>(object)),
            ("policy/v1", "PodDisruptionBudget") => drop(typed::<PodDisruptionBudget>(object)),
            ("networking.k8s.io/v1", "NetworkPolicy") => drop(typed::<NetworkPolicy>(object)),
            ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration") => {
                drop(typed::<MutatingWebhookConfiguration>(object));
            }
            ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration") => {
                drop(typed::<ValidatingWebhookConfiguration>(object));
            }
            ("rbac.authorization.k8s.io/v1", "ClusterRole") => drop(typed::<ClusterRole>(object)),
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
                drop(typed::<ClusterRoleBinding>(object));
            }
            ("rbac.authorization.k8s.io/v1", "Role") => drop(typed::<Role>(object)),
            ("rbac.authorization.k8s.io/v1", "RoleBinding") => drop(typed::<RoleBinding>(object)),
            ("coordination.k8s.io/v1", "Lease") => drop(typed::<Lease>(object)),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => {
                // helm writes a number as 1024 where the type has 1024.0
                let definition: CustomResourceDefinition = decoded(object);
                let mut ours = crds().into_iter();
                assert!(ours.any(|it| it.spec == definition.spec), "{object}");
            }
            // the homelab's table, in overlays/dev
            ("berth.dev/v1alpha1", "GPUPool") => drop(decoded::<GPUPool>(object)),
            ("berth.dev/v1alpha1", "WorkloadClass") => drop(decoded::<WorkloadClass>(object)),
            // these types are not Kubernetes' own: tests/cluster creates the first by the real definitions
            ("cert-manager.io/v1", "Issuer" | "Certificate")
            | ("monitoring.coreos.com/v1", "ServiceMonitor" | "PrometheusRule") => {}
            _ => panic!("nobody expects a {kind} of {version} here"),
        }
    }
}

//! Every label, annotation and group that berth reads or writes, each spelt once: `make lint` finds a second spelling.

/// The API group of both manifests, and the prefix of our labels and annotations, as a literal for `concat!`.
macro_rules! group {
    () => {
        "berth.dev"
    };
}

/// [`names::CONTAINER_ANNOTATION`](crate::names::CONTAINER_ANNOTATION) as a literal for `concat!`.
#[macro_export]
macro_rules! container_annotation {
    () => {
        "berth.dev/container"
    };
}

/// The API group of both manifests; its name is also the prefix of our labels and annotations.
pub const GROUP: &str = group!();
/// The API version of both manifests.
pub const VERSION: &str = "v1alpha1";
/// The `apiVersion` of what commands print for programs about a cluster. It is not the table's, which may change alone.
pub const REPORT_VERSION: &str = concat!("cli.", group!(), "/v1alpha1");

/// The label that names a Pod's workload class, unless the operator sets another.
pub const CLASS_LABEL: &str = concat!(group!(), "/workload-class");
/// The label that opts out, with the value [`DISABLED`].
pub const INJECT_LABEL: &str = concat!(group!(), "/inject");
/// What [`INJECT_LABEL`] says to opt out.
pub const DISABLED: &str = "disabled";
/// The annotation that records the chosen pools (rule 25).
pub const POOL_ANNOTATION: &str = concat!(group!(), "/pool");
/// The annotation in which the Pod's author names the container that gets the GPU (rule 13).
pub const CONTAINER_ANNOTATION: &str = container_annotation!();

/// The webhook that is asked about Pods, by its name in the configuration.
pub const WEBHOOK: &str = concat!("pods.", group!());

/// The Lease whose holder writes the statuses, in the namespace of berth's service account, and the field manager by which
/// they are written, unless the operator names another.
pub const LEASE: &str = "berth";
/// Who writes the Events, as they name it.
pub const REPORTER: &str = "berth";

/// The annotation in which a Pod's author tells kubectl which container is the main one.
pub const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";
/// The annotation of a static Pod's mirror, which its kubelet makes (rule 28).
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// The node label that a pool's `hostnames` are values of. It is not the node's name: they can differ (rule 9).
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// The node label that says which operating system the node runs.
pub const OS_LABEL: &str = "kubernetes.io/os";
/// What [`OS_LABEL`] and a Pod's `os.name` say for Windows.
pub const WINDOWS: &str = "windows";
/// What the scheduler puts before a DeviceClass's name to make an extended resource of it (DRA).
pub const DEVICE_CLASS_PREFIX: &str = "deviceclass.resource.kubernetes.io/";
/// The label that every namespace has, with its name as the value.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// How the keys of taints begin that Kubernetes sets and takes away by itself, while a node is not fit for Pods.
pub const TAINTS_OF_KUBERNETES: [&str; 2] =
    ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];

/// The namespaces that the webhook's configuration always excludes, so that a cluster starts without berth.
pub const EXCLUDED_NAMESPACES: [&str; 2] = ["kube-system", "kube-node-lease"];

#[cfg(test)]
mod tests {
    use kube_core::Resource;

    use super::*;
    use crate::api::{GPUPool, WorkloadClass};

    #[test]
    fn the_manifests_have_the_group_and_version_of_the_names() {
        // the derive takes literals alone
        assert_eq!(
            (&*GPUPool::group(&()), &*GPUPool::version(&())),
            (GROUP, VERSION)
        );
        let class = (WorkloadClass::group(&()), WorkloadClass::version(&()));
        assert_eq!((&*class.0, &*class.1), (GROUP, VERSION));
    }
}

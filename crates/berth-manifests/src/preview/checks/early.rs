//! Controllers that read the template before there is a Pod.

use serde_json::Value;

use super::{PodPreview, Topic};
use crate::{diagnostic::Diagnostic, workload::ancestors};

/// Ray, Volcano and Kueue count the template's GPUs before there is a Pod.
pub(super) fn limit_read_early(document: &Value, pod: &PodPreview) -> Option<Diagnostic> {
    let mut paths = pod.patch.iter().map(|operation| operation.path().as_str());
    let adds_limit = paths.any(|path| path.contains("/resources"));
    let reader = early_reader(document, pod).filter(|_| adds_limit)?;
    Some(Topic::LimitReadEarly.of(
        &pod.template.spec,
        format!(
            "{reader} from this template before berth adds the limit to the Pods, and sees no GPU"
        ),
        "write the limit here, too: `berth preview -o yaml` does, and berth keeps it",
    ))
}

fn early_reader(document: &Value, pod: &PodPreview) -> Option<&'static str> {
    let object = document.pointer(&pod.template.object)?;
    let group = object["apiVersion"].as_str().unwrap_or_default();
    // the Pod that submits a job has no group
    let is_of_ray = ["/headGroupSpec/", "/workerGroupSpecs/"]
        .iter()
        .any(|group| pod.template.spec.contains(group));
    let ray_is_told = ancestors(&pod.template.spec).any(|above| {
        document
            .pointer(&format!("{above}/rayStartParams/num-gpus"))
            .is_some()
    });
    // these are queued Pod by Pod, after berth
    let by_pod = ["Pod", "Deployment", "StatefulSet", "ReplicaSet"].contains(&&*pod.kind);
    let queue = &object["metadata"]["labels"]["kueue.x-k8s.io/queue-name"];
    if group.starts_with("ray.io/") && is_of_ray && !ray_is_told {
        Some("KubeRay takes num-gpus")
    } else if group.starts_with("batch.volcano.sh/") {
        Some("Volcano takes minResources")
    } else if queue.is_string() && !by_pod {
        Some("Kueue counts the quota")
    } else {
        None
    }
}

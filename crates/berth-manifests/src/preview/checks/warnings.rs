//! What the server would warn of, at the field that the warning is about.

use serde_json::Value;

use crate::{
    diagnostic::{Diagnostic, Severity},
    preview::PodPreview,
    workload::field,
};
use berth_core::{json::pointer_segment, outcome::Warning};

/// Where fields of a Pod stand in its document.
struct Places<'d> {
    document: &'d Value,
    pod: &'d PodPreview,
}

pub(super) fn all(document: &Value, pod: &PodPreview) -> Vec<Diagnostic> {
    // this one has a check of its own, which says more
    let warnings = pod.warnings().iter();
    let warnings = warnings.filter(|it| **it != Warning::DaemonSetTemplate);
    let places = Places { document, pod };
    let found = warnings.map(|warning| {
        let text = warning.to_string();
        Diagnostic {
            code: Some(warning.as_str()),
            severity: match warning {
                // the API server denies the Pod after berth has allowed it
                Warning::RuntimeClassEmpty => Severity::Error,
                _ => Severity::Warning,
            },
            field: field(&places.of(warning)),
            message: text.strip_prefix("berth: ").unwrap_or(&text).to_owned(),
            help: None,
            expected: None,
            place: None,
        }
    });
    found.collect()
}

impl Places<'_> {
    /// The field, else the container that the warning names, else the Pod's spec.
    fn of(&self, warning: &Warning) -> String {
        let container = || self.container(warning.container()?);
        let field = self.field(warning).filter(|it| self.has(it));
        let found = field.or_else(container);
        found.unwrap_or_else(|| self.pod.template.spec.clone())
    }

    fn field(&self, warning: &Warning) -> Option<String> {
        let in_spec = |field: &str| Some(format!("{}/{field}", self.pod.template.spec));
        let in_container = |field: &str| {
            let container = self.container(warning.container()?)?;
            Some(format!("{container}/{field}"))
        };
        match warning {
            Warning::UnknownKey { key, .. } => match key.split_once(' ')? {
                ("annotation", key) => self.entry(&self.pod.template.annotations, key),
                (_, key) => self.entry(&self.pod.template.labels, key),
            },
            Warning::UnknownValue { key, .. } => self.entry(&self.pod.template.labels, key),
            Warning::MoreUnknownKeys { .. } => self.pod.template.labels.last().cloned(),
            Warning::AnnotationsFull => self.pod.template.annotations.last().cloned(),
            Warning::RuntimeClassKept { .. }
            | Warning::ForeignRuntimeClass { .. }
            | Warning::RuntimeClassEmpty => in_spec("runtimeClassName"),
            Warning::SchedulerKept { .. } => in_spec("schedulerName"),
            Warning::TolerationEnds { .. } => in_spec("tolerations"),
            Warning::ZeroGpus {
                resource, amount, ..
            } => {
                let resource = pointer_segment(resource);
                in_container(&format!("resources/{amount}s/{resource}"))
            }
            Warning::ForeignCompanion { resource, .. } | Warning::UnknownResource { resource } => {
                self.resource(resource)
            }
            Warning::ClaimsOnly { .. } => in_container("resources/claims"),
            Warning::EnvFromOverridden { .. } => in_container("envFrom"),
            Warning::VisibleDevices { .. } => {
                let env = in_container("env")?;
                self.named(&env, "NVIDIA_VISIBLE_DEVICES")
            }
            Warning::DaemonSetTemplate | Warning::DaemonSetGpu { .. } | Warning::More => None,
        }
    }

    fn has(&self, path: &str) -> bool {
        self.document.pointer(path).is_some()
    }

    /// A key in the last of the maps that has it.
    fn entry(&self, maps: &[String], key: &str) -> Option<String> {
        let key = pointer_segment(key);
        let mut places = maps.iter().rev().map(|map| format!("{map}/{key}"));
        places.find(|place| self.has(place))
    }

    fn container(&self, name: &str) -> Option<String> {
        let lists = ["containers", "initContainers"];
        let mut lists = lists
            .map(|list| format!("{}/{list}", self.pod.template.spec))
            .into_iter();
        lists.find_map(|list| self.named(&list, name))
    }

    /// The item of a list that has a name.
    fn named(&self, list: &str, name: &str) -> Option<String> {
        let items = self.document.pointer(list).and_then(Value::as_array)?;
        let at = items.iter().position(|it| it["name"] == name)?;
        Some(format!("{list}/{at}"))
    }

    /// The first amount of a resource.
    fn resource(&self, resource: &str) -> Option<String> {
        let resource = pointer_segment(resource);
        for list in ["containers", "initContainers"] {
            let list = format!("{}/{list}", self.pod.template.spec);
            let items = self.document.pointer(&list).and_then(Value::as_array);
            for at in 0..items.map_or(0, Vec::len) {
                let amounts = ["limits", "requests"];
                let mut amounts = amounts
                    .map(|amounts| format!("{list}/{at}/resources/{amounts}/{resource}"))
                    .into_iter();
                if let Some(found) = amounts.find(|it| self.has(it)) {
                    return Some(found);
                }
            }
        }
        None
    }
}

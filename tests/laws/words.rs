//! The small vocabulary of tables, Pods and nodes: small, so that they meet, exclude and imply each other often.

pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";
pub(crate) const OS: &str = "kubernetes.io/os";

/// The runtime classes that Pods and pools name.
pub(crate) const RUNTIME_CLASSES: &[&str] = &["nvidia", "nvidia-cdi", "gvisor"];

/// The labels of nodes. Every node of the universe has one value of each, or, where the list says so, none.
/// The last values of the first three are never named by a table or a Pod.
pub(crate) const LABELS: &[(&str, &[Option<&str>])] = &[
    (
        HOSTNAME,
        &[
            Some("h1"),
            Some("h2"),
            Some("h3"),
            Some("h4"),
            None,
            Some("h9"),
        ],
    ),
    (
        "topology.kubernetes.io/zone",
        &[Some("a"), Some("b"), None, Some("unnamed")],
    ),
    (
        "example.com/model",
        &[Some("x"), Some("y"), Some("z"), None, Some("unnamed")],
    ),
    (
        "example.com/generation",
        &[Some("1"), Some("5"), Some("10"), Some("new"), None],
    ),
    ("example.com/retired", &[None, Some("true")]),
    (OS, &[Some("linux"), Some("windows")]),
];

/// The names of nodes, which their hostname labels say nothing about.
pub(crate) const NODES: &[&str] = &["n1", "n2", "h1"];

/// The values of a label that tables and Pods name.
pub(crate) fn named_values(key: &str) -> Vec<&'static str> {
    let values = LABELS
        .iter()
        .find(|(label, _)| *label == key)
        .map_or(&[][..], |(_, values)| values);
    values
        .iter()
        .flatten()
        .copied()
        .filter(|value| !matches!(*value, "h9" | "unnamed"))
        .collect()
}

/// Text that JSON, JSON Pointer or a careless `format!` may spoil.
pub(crate) const TEXTS: &[&str] = &[
    "plain",
    "<a & b>",
    "naïve – ☃ 日本語 🚀",
    "quote \" backslash \\ slash / tilde ~0 ~1",
    "line\nbreak\ttab \u{1} \u{7f} \u{2028}",
    "{{x}} {} %s $(VAR)",
    "",
];

/// Resources that are somebody's GPU, whatever the table says.
pub(crate) const ACCELERATORS: &[&str] = &[
    "nvidia.com/gpu",
    "amd.com/gpu",
    "gpu.intel.com/i915",
    "nvidia.com/mig-1g.5gb",
    "google.com/tpu",
    "huawei.com/Ascend910",
    "nvidia.com/gpu.shared",
    "nvidia.com/TU104GL_Tesla_T4",
    "amd.com/cpx_nps4",
];

/// Resources that are nobody's GPU.
pub(crate) const OTHERS: &[&str] = &[
    "cpu",
    "memory",
    "rdma/hca",
    "nvidia.com/gpumem",
    "huawei.com/Ascend910-memory",
    "gpu.intel.com/i915_monitoring",
    "nvidia.com/rdma_shared_device_a",
    "amd.com/whatever",
];

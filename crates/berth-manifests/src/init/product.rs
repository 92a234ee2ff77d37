//! What the labels of a Node say of its GPUs: those of GPU feature discovery, AMD's and Intel's labellers, and of clouds.

use std::collections::BTreeMap;

use berth_core::accelerators::vendor_of;

/// The labels of a Node.
pub(super) type Labels = BTreeMap<String, String>;

/// Labels whose value is a GPU's model, by the beginning of the resources that they are about. The labellers document
/// them: GPU feature discovery, AMD's node labeller, Intel's rules for NFD, GKE, EKS and Karpenter.
const PRODUCTS: &[(&str, &str)] = &[
    ("nvidia.com/", "nvidia.com/gpu.product"),
    ("amd.com/", "amd.com/gpu.product-name"),
    ("amd.com/", "beta.amd.com/gpu.product-name"),
    ("gpu.intel.com/", "gpu.intel.com/product"),
    ("nvidia.com/", "cloud.google.com/gke-accelerator"),
    ("google.com/", "cloud.google.com/gke-tpu-accelerator"),
    ("nvidia.com/", "karpenter.k8s.aws/instance-gpu-name"),
    ("nvidia.com/", "eks.amazonaws.com/instance-gpu-name"),
];

/// Labels of the set of nodes that a node was made in: a set whose nodes come and go keeps its label.
const SETS: &[&str] = &[
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
    "node.kubernetes.io/instance-type",
];

/// Words of a model's name that tell nothing between models.
const NOISE: &[&str] = &[
    "accelerator",
    "amd",
    "corporation",
    "geforce",
    "gpu",
    "graphics",
    "instinct",
    "intel",
    "nvidia",
    "series",
    "shared",
    "tesla",
];

/// PCI ids of GPUs that people know by another name than their label's.
const KNOWN_AS: &[(&str, &str)] = &[("1586", "strix-halo")];

/// What a Pod needs to use a GPU, by its PCI id, and why.
pub(super) struct Quirk {
    /// The id.
    device: &'static str,
    /// The environment variable and its value.
    pub(super) env: (&'static str, &'static str),
    pub(super) why: &'static str,
}

const QUIRKS: &[Quirk] = &[Quirk {
    device: "1681",
    env: ("HSA_OVERRIDE_GFX_VERSION", "10.3.0"),
    why: "ROCm does not know gfx1035: use gfx1030",
}];

/// The label of the model, and its value.
pub(super) fn product<'n>(resource: &str, labels: &'n Labels) -> Option<(&'static str, &'n str)> {
    let of_vendor = PRODUCTS
        .iter()
        .filter(|(begin, _)| resource.starts_with(begin));
    let mut found = of_vendor.filter_map(|(_, key)| Some((*key, &**labels.get(*key)?)));
    found.find(|(_, value)| !value.is_empty())
}

/// The labels that may select the nodes of a group, the most telling first.
pub(super) fn selectors(resource: &str) -> impl Iterator<Item = &'static str> {
    let of_vendor = PRODUCTS
        .iter()
        .filter(move |(begin, _)| resource.starts_with(begin));
    of_vendor.map(|(_, key)| *key).chain(SETS.iter().copied())
}

/// A name for the GPUs: that of the model, else the vendor's.
pub(super) fn name(resource: &str, labels: &Labels) -> String {
    let known = device(labels).and_then(|id| KNOWN_AS.iter().find(|(device, _)| *device == id));
    let model = match (known, product(resource, labels)) {
        (Some((_, name)), _) => (*name).to_owned(),
        (None, Some((_, model))) => slug(model),
        (None, None) => String::new(),
    };
    let (_, part) = resource.split_once('/').unwrap_or_default();
    let vendor = vendor_of(resource).map_or_else(String::new, |vendor| slug_of_all(vendor.name));
    match (&*model, part.starts_with("mig-")) {
        ("", false) if vendor.is_empty() => slug_of_all(part),
        ("", false) => format!("{vendor}-gpu"),
        ("", true) => slug_of_all(part),
        (model, true) => format!("{model}-{}", slug_of_all(part)),
        (model, false) => model.to_owned(),
    }
}

/// The PCI id of an AMD GPU.
fn device(labels: &Labels) -> Option<&str> {
    let keys = ["amd.com/gpu.device-id", "beta.amd.com/gpu.device-id"];
    keys.iter().find_map(|key| labels.get(*key)).map(|id| &**id)
}

/// What its Pods need besides.
pub(super) fn quirk(labels: &Labels) -> Option<&'static Quirk> {
    let id = device(labels)?;
    QUIRKS.iter().find(|it| it.device == id)
}

/// The memory of one GPU, as a quantity.
pub(super) fn memory(resource: &str, labels: &Labels) -> Option<String> {
    if resource == "nvidia.com/gpu" || resource == "nvidia.com/gpu.shared" {
        let mebibytes: u64 = labels.get("nvidia.com/gpu.memory")?.parse().ok()?;
        return Some(match mebibytes {
            0 => return None,
            whole if whole % 1024 == 0 => format!("{}Gi", whole / 1024),
            other => format!("{other}Mi"),
        });
    }
    if resource == "amd.com/gpu" {
        let keys = ["amd.com/gpu.vram", "beta.amd.com/gpu.vram"];
        let text = keys.iter().find_map(|key| labels.get(*key))?;
        // the labeller writes binary units without their i
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let is_amount = number.parse::<u64>().is_ok_and(|number| number > 0);
        return (is_amount && ["G", "M"].contains(&unit)).then(|| format!("{text}i"));
    }
    None
}

/// How one GPU is shared, and by how many, as GPU feature discovery says it.
pub(super) fn sharing(resource: &str, labels: &Labels) -> Option<(&'static str, u32)> {
    if !resource.starts_with("nvidia.com/gpu") {
        return None;
    }
    let replicas: u32 = labels.get("nvidia.com/gpu.replicas")?.parse().ok()?;
    let strategy = match labels
        .get("nvidia.com/gpu.sharing-strategy")
        .map(|it| &**it)
    {
        Some("mps") => "MPS",
        Some("time-slicing") | None => "TimeSlicing",
        Some(_) => return None,
    };
    (replicas > 1).then_some((strategy, replicas))
}

/// A model's name as that of an object, without what tells nothing.
fn slug(text: &str) -> String {
    let all = slug_of_all(text);
    let words: Vec<&str> = all
        .split('-')
        .filter(|word| !NOISE.contains(word))
        .collect();
    if words.is_empty() {
        all
    } else {
        words.join("-")
    }
}

/// A text as the name of an object: lower-case letters and digits, with a dash for anything else.
fn slug_of_all(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

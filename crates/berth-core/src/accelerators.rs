//! The names under which device plugins advertise accelerators, whatever the table says: no Pod gets two vendors'
//! (rule 17).
//!
//! A list of names is never complete: people name whole cards by their model, and partitions by their mode. So a vendor's
//! domain has a rule, and a short list of what in it is no GPU.

/// Exact names, sorted; the vendors' device plugins document them.
const NAMES: &[&str] = &[
    "amd.com/gpu",
    "aws.amazon.com/neuron",
    "aws.amazon.com/neuroncore",
    "aws.amazon.com/neurondevice",
    "birentech.com/gpu",
    "cambricon.com/vmlu",
    "google.com/tpu",
    "gpu.intel.com/dxg",
    "gpu.intel.com/i915",
    "gpu.intel.com/xe",
    "habana.ai/gaudi",
    "hygon.com/dcunum",
    "iluvatar.ai/gpu",
    "kunlunxin.com/xpu",
    "metax-tech.com/gpu",
    "metax-tech.com/sgpu",
    "mthreads.com/vgpu",
    "npu.intel.com/accel",
    "nvidia.com/gpu",
    "nvidia.com/gpu.shared",
    "volcano.sh/vgpu-number",
];

/// Who makes an accelerator.
#[derive(Debug, Eq, PartialEq)]
pub struct Vendor {
    /// The name, for people.
    pub name: &'static str,
    /// How its runtime classes begin, if it has any.
    runtime: Option<&'static str>,
    /// How its resources begin: a domain, or a part of one that is not its alone.
    resources: &'static [&'static str],
}

/// The vendors. Intel's other domains have network cards and FPGAs under their models' names, and are left out.
const VENDORS: &[Vendor] = &[
    vendor(
        "NVIDIA",
        Some("nvidia"),
        &["nvidia.com/", "volcano.sh/vgpu-"],
    ),
    vendor("AMD", Some("amd"), &["amd.com/"]),
    vendor(
        "Intel",
        Some("intel"),
        &["gpu.intel.com/", "npu.intel.com/"],
    ),
    vendor("Intel Gaudi", Some("habana"), &["habana.ai/"]),
    vendor("Huawei", Some("ascend"), &["huawei.com/"]),
    vendor("Google", None, &["google.com/tpu"]),
    vendor("AWS", Some("neuron"), &["aws.amazon.com/neuron"]),
    vendor("Cambricon", None, &["cambricon.com/"]),
    vendor("MetaX", None, &["metax-tech.com/"]),
    vendor("Iluvatar", None, &["iluvatar.ai/"]),
    vendor("Moore Threads", None, &["mthreads.com/"]),
    vendor("Hygon", None, &["hygon.com/"]),
    vendor("Kunlunxin", None, &["kunlunxin.com/"]),
    vendor("Biren", None, &["birentech.com/"]),
];

/// Beginnings of the first word of a name that go on with a model or a profile.
const MODELS: &[&str] = &["cambricon.com/mlu", "huawei.com/Ascend"];

/// First words of NVIDIA's names that mean a GPU, or a part of one: its device plugin can be told to rename them.
const NVIDIA: &[&str] = &["gpu", "mig", "pgpu", "vgpu"];

/// How AMD names a partition: the compute mode, then the memory mode.
const PARTITIONS: &[&str] = &["cpx_nps", "dpx_nps", "qpx_nps", "spx_nps", "tpx_nps"];

/// Endings of a word that make a resource the companion of an accelerator: its memory, its cores, its monitoring.
const PARTS: &[&str] = &[
    "core",
    "cores",
    "mem",
    "memory",
    "monitoring",
    "percentage",
    "priority",
    "tiles",
];

/// Beginnings of a name that mean a network device beside the GPU, of whichever vendor that is.
const NETWORK: &[&str] = &["hostdev", "mlnx", "rdma", "roce", "sriov"];

/// Words that mean a network device, too, another function of the card, or a switch between cards.
const BESIDE: &[&str] = &["audio", "nic", "nvswitch", "ucsi", "usb", "vnic"];

/// What a resource is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A GPU, or a part of one that a Pod asks for like one.
    Gpu,
    /// What only the nodes of this vendor's GPUs have: the memory of a GPU, its cores, its monitoring.
    Companion(&'static Vendor),
    /// A device that may stand beside any GPU.
    Device,
    /// A name in a vendor's domain of which berth does not know what it is.
    Unknown,
    /// Nothing that a vendor of GPUs names.
    Other,
}

const fn vendor(
    name: &'static str,
    runtime: Option<&'static str>,
    resources: &'static [&'static str],
) -> Vendor {
    Vendor {
        name,
        runtime,
        resources,
    }
}

impl Kind {
    /// What a resource is by its name.
    #[must_use]
    pub fn of(resource: &str) -> Self {
        if NAMES.binary_search(&resource).is_ok() {
            return Self::Gpu;
        }
        let (Some(vendor), Some((_, name))) = (vendor_of(resource), resource.split_once('/'))
        else {
            return Self::Other;
        };
        let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
        let first = words().next().unwrap_or_default();
        if is_network(name) || words().any(is_beside) {
            Self::Device
        } else if words().any(is_part) {
            Self::Companion(vendor)
        } else if is_model(resource, name, first) {
            Self::Gpu
        } else {
            Self::Unknown
        }
    }
}

fn is_network(name: &str) -> bool {
    NETWORK.iter().any(|beginning| {
        let start = name.get(..beginning.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    })
}

fn is_beside(word: &str) -> bool {
    BESIDE.iter().any(|one| word.eq_ignore_ascii_case(one))
}

/// A model's name may end so, too, but in capitals.
fn is_part(word: &str) -> bool {
    PARTS.iter().any(|part| word.ends_with(part))
}

fn is_model(resource: &str, name: &str, first: &str) -> bool {
    let misspelt = || {
        NAMES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(resource))
    };
    MODELS.iter().any(|model| resource.starts_with(model))
        || (resource.starts_with("nvidia.com/") && NVIDIA.contains(&first))
        || PARTITIONS.iter().any(|mode| name.starts_with(mode))
        || (name.contains(|c: char| c.is_ascii_uppercase()) && !misspelt())
}

/// Whether a resource is an accelerator, and no companion of one.
#[must_use]
pub fn is_accelerator(resource: &str) -> bool {
    Kind::of(resource) == Kind::Gpu
}

/// Who makes what a resource stands for.
#[must_use]
pub fn vendor_of(resource: &str) -> Option<&'static Vendor> {
    let makes = |vendor: &&Vendor| {
        let mut resources = vendor.resources.iter();
        resources.any(|beginning| resource.starts_with(beginning))
    };
    VENDORS.iter().find(makes)
}

/// Whose runtime a runtime class is, by its name.
#[must_use]
pub fn vendor_of_runtime(class: &str) -> Option<&'static Vendor> {
    let begins = |vendor: &&Vendor| vendor.runtime.is_some_and(|it| class.starts_with(it));
    VENDORS.iter().find(begins)
}

/// The exact names, for a suggestion.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_for_the_search() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn accelerators_are_told_from_their_companions() {
        for resource in [
            "amd.com/gpu",
            "nvidia.com/mig-1g.5gb",
            "nvidia.com/mig-3g.20gb.shared",
            "huawei.com/Ascend910",
            "cambricon.com/mlu370",
            "cambricon.com/vmlu",
            // whole cards and virtual GPUs by their model, partitions by their mode
            "nvidia.com/TU104GL_Tesla_T4",
            "nvidia.com/GRID_T4-1Q",
            "nvidia.com/AD102_GeForce_RTX_4090",
            "amd.com/MI210",
            "amd.com/cpx_nps4",
            "amd.com/spx_nps1",
            "iluvatar.ai/MR-V100",
            "nvidia.com/gpu-a100",
            "nvidia.com/pgpu",
        ] {
            assert_eq!(Kind::of(resource), Kind::Gpu, "{resource}");
        }
        for resource in [
            "nvidia.com/gpumem",
            "nvidia.com/gpumem-percentage",
            "nvidia.com/gpucores",
            "nvidia.com/priority",
            "gpu.intel.com/i915_monitoring",
            "gpu.intel.com/xe_monitoring",
            "gpu.intel.com/memory.max",
            "gpu.intel.com/millicores",
            "huawei.com/Ascend910-memory",
            "huawei.com/Ascend310P-core",
            "huawei.com/npu-core",
            "hygon.com/dcumem",
            "volcano.sh/vgpu-memory",
        ] {
            let kind = Kind::of(resource);
            assert!(matches!(kind, Kind::Companion(_)), "{resource}: {kind:?}");
        }
        for resource in [
            "nvidia.com/hostdev",
            "nvidia.com/rdma_shared_device_a",
            "nvidia.com/sriov-A",
            "nvidia.com/mlnxnics",
            "nvidia.com/roce_gdr",
            "amd.com/vnic",
            "nvidia.com/GH100_H100_NVSWITCH",
            "nvidia.com/GA102_High_Definition_Audio_Controller",
        ] {
            assert_eq!(Kind::of(resource), Kind::Device, "{resource}");
        }
        for resource in [
            "amd.com/gpu2",
            "nvidia.com/a100",
            "nvidia.com/gpus",
            "nvidia.com/GPU",
            "amd.com/gpu.shared",
        ] {
            assert_eq!(Kind::of(resource), Kind::Unknown, "{resource}");
        }
        for resource in [
            "cpu",
            "rdma/hca",
            "intel.com/X710",
            "intel.com/qat",
            "example.com/GPU",
        ] {
            assert_eq!(Kind::of(resource), Kind::Other, "{resource}");
        }
    }

    #[test]
    fn a_runtime_class_has_the_vendor_of_its_name() {
        for (class, resource, same) in [
            ("nvidia", "nvidia.com/gpu", true),
            ("nvidia-cdi", "volcano.sh/vgpu-number", true),
            ("nvidia", "amd.com/gpu", false),
            ("habana", "gpu.intel.com/xe", false),
        ] {
            let (runtime, vendor) = (vendor_of_runtime(class), vendor_of(resource));
            assert_eq!(runtime == vendor, same, "{class}");
            assert!(runtime.is_some() && vendor.is_some(), "{class}");
        }
        assert_eq!(vendor_of_runtime("kata-qemu-nvidia-gpu"), None);
        assert_eq!(vendor_of("example.com/gpu"), None);
    }
}

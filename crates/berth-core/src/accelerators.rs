//! The names under which device plugins advertise accelerators, whatever the table says: no Pod gets two vendors'
//! (rule 17).

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

/// Beginnings of names that go on with a model or a profile.
const PREFIXES: &[&str] = &["cambricon.com/mlu", "huawei.com/Ascend", "nvidia.com/mig-"];

/// Endings that make a resource the companion of an accelerator: its memory or its cores.
const COMPANIONS: &[&str] = &["-memory", "-core"];

/// Whether a resource is an accelerator, and no companion of one.
#[must_use]
pub fn is_accelerator(resource: &str) -> bool {
    let known = NAMES.binary_search(&resource).is_ok();
    let model = || PREFIXES.iter().any(|prefix| resource.starts_with(prefix));
    let companion = || COMPANIONS.iter().any(|suffix| resource.ends_with(suffix));
    known || (model() && !companion())
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
            "huawei.com/Ascend910",
            "cambricon.com/mlu370",
            "cambricon.com/vmlu",
        ] {
            assert!(is_accelerator(resource), "{resource}");
        }
        for resource in [
            "cpu",
            "nvidia.com/gpumem",
            "gpu.intel.com/i915_monitoring",
            "huawei.com/Ascend910-memory",
            "huawei.com/Ascend310P-core",
            "rdma/hca",
            "amd.com/gpu2",
        ] {
            assert!(!is_accelerator(resource), "{resource}");
        }
    }
}

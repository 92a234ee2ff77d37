//! Whether the classes that meet on one GPU of a pool may together use more memory than it has.

use std::fmt;

use crate::{
    api::{GPUPoolSpec, SharingStrategy, WorkloadClassSpec},
    quantity::Quantity,
};

/// What one GPU of a pool has, and how many Pods share it.
struct Budget {
    bytes: u64,
    together: usize,
    text: String,
}

/// What a class expects of one GPU.
struct Need<'m> {
    class: &'m str,
    bytes: u64,
    text: &'m str,
}

/// A sentence for each set of classes that is too much for one GPU of the pool: of those that use it, the largest that can
/// meet there, or with MPS, which gives every Pod an equal share, each by itself.
#[must_use]
pub fn overcommitted<'m>(
    name: &str,
    pool: &GPUPoolSpec,
    classes: impl IntoIterator<Item = (&'m str, &'m WorkloadClassSpec)>,
) -> Vec<String> {
    let Some(budget) = Budget::of(pool) else {
        return Vec::new();
    };
    let users = classes
        .into_iter()
        .filter(|(_, class)| class.pools.iter().any(|it| it.name == name));
    let mut needs: Vec<Need<'_>> = users
        .filter_map(|(class, spec)| Need::of(class, spec))
        .collect();
    needs.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.class.cmp(b.class)));
    if budget.together > 1 {
        needs.truncate(budget.together);
    }
    let meetings = needs.chunks(budget.together);
    meetings
        .filter(|it| total(it) > budget.bytes)
        .map(|meeting| {
            let classes: Vec<String> = meeting.iter().map(Need::to_string).collect();
            let classes = classes.join(" and ");
            format!(
                "{classes} on one GPU of pool {name:?} is more than {}",
                budget.text
            )
        })
        .collect()
}

impl Budget {
    fn of(pool: &GPUPoolSpec) -> Option<Self> {
        let quantity = &pool.memory_per_gpu.as_ref()?.0;
        let (bytes, replicas) = (memory(quantity)?, pool.sharers());
        let strategy = pool.sharing.map(|sharing| sharing.strategy);
        Some(if strategy == Some(SharingStrategy::MPS) {
            Self {
                bytes: bytes / u64::from(replicas),
                together: 1,
                text: format!("an equal share of {quantity} by {replicas}"),
            }
        } else {
            Self {
                bytes,
                together: usize::try_from(replicas).unwrap_or(usize::MAX),
                text: format!("its {quantity}"),
            }
        })
    }
}

impl<'m> Need<'m> {
    /// A Pod that has several GPUs spreads over them: each is its own then.
    fn of(class: &'m str, spec: &'m WorkloadClassSpec) -> Option<Self> {
        let text = &spec.gpu_memory.as_ref()?.0;
        let gpus = spec.gpus.and_then(|gpus| gpus.default);
        Some(Self {
            bytes: memory(text)?.div_ceil(u64::from(gpus.unwrap_or(1).max(1))),
            class,
            text,
        })
    }
}

impl fmt::Display for Need<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.class, self.text)
    }
}

fn total(needs: &[Need<'_>]) -> u64 {
    needs
        .iter()
        .fold(0, |sum, need| sum.saturating_add(need.bytes))
}

fn memory(quantity: &str) -> Option<u64> {
    Quantity::parse(quantity)?.whole()
}

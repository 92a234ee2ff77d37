//! How much of each thing a manifest may have: the schemas of the definitions and the validation of files read the same
//! constants, so that a table means the same wherever it comes from.
//!
//! Some of them keep a Pod within what berth takes (rule 32): a class of more pools or taints would deny every Pod.

/// Hostnames of a pool.
pub const MAX_HOSTNAMES: usize = 1024;
/// Entries of `matchLabels`, and of `matchExpressions`.
pub const MAX_REQUIREMENTS: usize = 32;
/// Values of one requirement.
pub const MAX_VALUES: usize = 1024;
/// Taints of a pool.
pub const MAX_TAINTS: usize = 32;
/// Other names of a pool's resource.
pub const MAX_ALIASES: usize = 16;
/// Environment variables of a pool.
pub const MAX_ENV: usize = 64;
/// Pools of a class.
pub const MAX_POOLS: usize = 64;
/// Names of containers of a class.
pub const MAX_CONTAINER_NAMES: usize = 16;
/// How many Pods share a GPU at least: one alone is not sharing.
pub const MIN_REPLICAS: u32 = 2;
/// How many Pods share a GPU at most.
pub const MAX_REPLICAS: u32 = 1024;
/// GPUs of a pool that an autoscaler has grown, at least.
pub const MIN_POOL_GPUS: u32 = 1;
/// GPUs of a pool that an autoscaler has grown, at most.
pub const MAX_POOL_GPUS: u32 = 1_000_000;
/// GPUs of a Pod at least: a Pod opts out of its GPU by itself.
pub const MIN_GPUS: u32 = 1;
/// GPUs of a Pod at most.
pub const MAX_GPUS: u32 = 1024;

/// Characters of a DNS subdomain, which names most objects.
pub const MAX_SUBDOMAIN: usize = 253;
/// Characters of a DNS label, and of a label's value.
pub const MAX_LABEL: usize = 63;
/// Characters of a label's or taint's key with its prefix; with it, the prefix has no more than a DNS subdomain has.
pub const MAX_KEY: usize = 253;
/// Characters of a resource's name: a quota writes `requests.` before its prefix, which must still be a DNS subdomain.
pub const MAX_RESOURCE: usize = 245;
/// Characters of a variable's name.
pub const MAX_ENV_NAME: usize = 253;
/// Characters of a variable's value.
pub const MAX_ENV_VALUE: usize = 4096;
/// Characters of a quantity.
pub const MAX_QUANTITY: usize = 32;
/// Characters of a class's rationale.
pub const MAX_RATIONALE: usize = 1024;

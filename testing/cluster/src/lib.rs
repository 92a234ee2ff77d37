//! A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok,
//! which plays the nodes. For tests and benches, and for a person (`make cluster`).
//!
//! ```text
//!   Cluster ──▶ ControlPlane ──▶ Group        every process ends with the one that started it, however that ends
//!      │             ├─────────▶ Parts        where the binaries are
//!      │             └─────────▶ Authority    certificates
//!      ├──▶ homelab                           the seed's four nodes
//!      ├──▶ Webhook                           berth as a process, behind a Service
//!      └──▶ Replicas ──▶ Balancer             two of them, replaced as by a rollout
//! ```
//!
//! A test takes [`Cluster`], one control plane in one namespace of its own, and says what it means:
//!
//! ```ignore
//! cluster.create(pod("vllm")).await.runs_on("khelben").await;
//! ```

mod authority;
mod balancer;
mod cert_manager;
mod cluster;
mod control_plane;
mod created;
mod definitions;
mod error;
mod group;
pub mod homelab;
mod mounted;
mod parts;
mod port;
mod replicas;
mod watch;
mod webhook;

pub use cert_manager::start as start_cert_manager;
pub use cluster::{Cluster, Homelab};
pub use control_plane::{ControlPlane, Options};
pub use created::{Created, Workload};
pub use definitions::define;
pub use error::Error;
pub use parts::Parts;
pub use replicas::Replicas;
pub use watch::{PATIENCE, until};
pub use webhook::{Certificate, Serving, Setup, Source, Webhook};

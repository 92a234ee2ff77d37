//! The definitions of GPUPool and WorkloadClass, as they are installed with kustomize.

use tokio::time::{Instant, sleep};

use crate::{ControlPlane, Error, PATIENCE, control_plane::ASK, webhook::checkout};

/// Installs the definitions, and returns when kubectl knows both kinds.
pub async fn define(control_plane: &ControlPlane) -> Result<(), Error> {
    let folder = checkout().join("deploy/crds").display().to_string();
    let apply = ["apply", "--server-side", "-f", &folder];
    control_plane.kubectl_run(&apply).await?;
    let established = [
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "-f",
        &folder,
    ];
    control_plane.kubectl_run(&established).await?;
    for kind in ["gpupools.berth.dev", "workloadclasses.berth.dev"] {
        explains(control_plane, kind).await?;
    }
    Ok(())
}

/// Waits until kubectl explains a kind: the API server tells its clients of it later than it stores its objects.
async fn explains(control_plane: &ControlPlane, kind: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match control_plane.kubectl_run(&["explain", kind]).await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            // nothing announces it
            Err(_) => sleep(ASK).await,
        }
    }
}

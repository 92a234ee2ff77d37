//! cert-manager's own controllers and CA injector, as a process.

use std::fs;

use crate::{ControlPlane, Error};

const NAME: &str = "cert-manager";

/// Creates its definitions, starts it, and returns when it works.
pub async fn start(control_plane: &ControlPlane) -> Result<(), Error> {
    let definitions = control_plane.parts().path("cert-manager-crds")?;
    let definitions = definitions.display().to_string();
    // too large for the annotation of another apply, and there may be some already
    let apply = ["apply", "--server-side", "-f", &definitions];
    control_plane.kubectl_run(&apply).await?;
    let established = [
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "-f",
        &definitions,
    ];
    control_plane.kubectl_run(&established).await?;
    let mut command = control_plane.parts().command(NAME)?;
    command.arg(format!(
        "--kubeconfig={}",
        control_plane.kubeconfig()?.display()
    ));
    let pid = control_plane.group().spawn(NAME, &mut command)?;
    let log = control_plane.group().log(NAME);
    let ready = async || {
        let said = fs::read_to_string(&log).unwrap_or_default();
        said.lines().any(|line| line == "ready")
    };
    control_plane.answers(NAME, pid, ready).await
}

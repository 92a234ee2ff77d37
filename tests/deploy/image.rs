//! The image's recipe beside what runs it. tests/image.rs runs the image itself.

use std::fs;

use crate::{common::path, rendering::renderings};

/// The recipe's instructions of a name, without it.
fn instructions(name: &str) -> Vec<String> {
    let text = fs::read_to_string(path("Containerfile")).expect("a file");
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.map(|rest| rest.trim().to_owned()).collect()
}

#[test]
fn the_image_is_built_with_the_oldest_rust_that_is_promised() {
    let build = &instructions("FROM ")[0];
    let promised = env!("CARGO_PKG_RUST_VERSION");
    // one version of it, since a profile is of one
    let wanted = format!("--platform=$BUILDPLATFORM rust:{promised}.");
    assert!(build.starts_with(&wanted), "{build}");
    assert_eq!(instructions("FROM ").last().expect("a stage"), "scratch");
}

#[test]
fn the_image_runs_as_the_user_that_the_deployment_names() {
    assert_eq!(instructions("ENTRYPOINT "), [r#"["/berth"]"#]);
    let user = instructions("USER ");
    for rendering in renderings() {
        let pod = rendering.pod().security_context.expect("a context");
        let (uid, gid) = (pod.run_as_user.unwrap_or(0), pod.run_as_group.unwrap_or(0));
        assert_eq!(user, [format!("{uid}:{gid}")], "{}", rendering.name);
    }
}

/// `podman build` makes an image for one architecture: a node of another one could not start it. `make image` makes it
/// for two, and a release's chart, which names that image, does not select.
#[test]
fn replicas_run_on_nodes_of_the_architecture_that_is_built_without_asking() {
    for rendering in renderings() {
        let selector = rendering.pod().node_selector.expect("a selector");
        assert_eq!(
            selector["kubernetes.io/arch"], "amd64",
            "{}",
            rendering.name
        );
        assert_eq!(selector["kubernetes.io/os"], "linux", "{}", rendering.name);
    }
}

//! What `make release` laid out, as people take it: the archives, the plugin, and the chart as helm pulls it.
//! `make release-test` does both; without `BERTH_RELEASE`, the folder, there is nothing to test.
#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use axum::{
    Router,
    body::Bytes,
    extract::{self, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use berth_cluster::Parts;
use serde_json::Value;
use tempfile::TempDir;

mod common;

use common::{path, process::prints};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn release() -> Option<PathBuf> {
    let folder = env::var_os("BERTH_RELEASE").map(|folder| path("").join(folder));
    if folder.is_none() {
        eprintln!(
            "SKIPPED: no release is tested, because none is laid out: make release-test does both"
        );
    }
    folder
}

fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn unpack(archive: &Path) -> TempDir {
    let folder = scratch();
    prints(
        Command::new("tar")
            .arg("-xf")
            .arg(archive)
            .current_dir(folder.path()),
    );
    folder
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON")
}

/// The sum of each file, which is right.
fn sums(release: &Path) -> BTreeMap<String, String> {
    let mut check = Command::new("sha256sum");
    prints(
        check
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(release),
    );
    let text = fs::read_to_string(release.join("SHA256SUMS")).expect("a file");
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect()
}

#[test]
fn every_file_has_its_sum() {
    let Some(release) = release() else {
        return;
    };
    let sums = sums(&release);
    for file in fs::read_dir(&release).expect("a folder") {
        let name = file
            .expect("a file")
            .file_name()
            .into_string()
            .expect("UTF-8");
        assert!(name == "SHA256SUMS" || sums.contains_key(&name), "{name}");
    }
    assert_eq!(sums.len(), 8, "{sums:?}");
}

#[test]
fn the_plugin_is_the_binary_of_an_archive() {
    let Some(release) = release() else {
        return;
    };
    let sums = sums(&release);
    let text = fs::read_to_string(release.join("berth.yaml")).expect("a manifest");
    let plugin: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(plugin["metadata"]["name"], "berth");
    assert_eq!(plugin["spec"]["version"], format!("v{VERSION}"));
    let platforms = plugin["spec"]["platforms"].as_array().expect("platforms");
    assert_eq!(platforms.len(), 2);
    for platform in platforms {
        let uri = platform["uri"].as_str().expect("an address");
        let (_, name) = uri.rsplit_once('/').expect("a file");
        assert_eq!(platform["sha256"], sums[name]);
        let arch = platform["selector"]["matchLabels"]["arch"]
            .as_str()
            .expect("one");
        let folder = unpack(&release.join(name));
        assert!(folder.path().join("LICENSE").exists());
        let machine = if arch == "amd64" { "x86_64" } else { "aarch64" };
        if machine == env::consts::ARCH {
            // as krew installs it
            let plugin = folder.path().join("kubectl-berth");
            symlink(
                folder
                    .path()
                    .join(platform["bin"].as_str().expect("a path")),
                &plugin,
            )
            .expect("a link");
            let help = prints(Command::new(plugin).arg("--help"));
            assert!(help.contains("kubectl berth"), "{help}");
        }
    }
}

#[test]
fn each_binary_has_a_list_of_what_it_is_made_of() {
    let Some(release) = release() else {
        return;
    };
    for arch in ["amd64", "arm64"] {
        let sbom = read(&release.join(format!("berth-{VERSION}-linux-{arch}.cdx.json")));
        assert_eq!(sbom["bomFormat"], "CycloneDX");
        assert_eq!(sbom["metadata"]["component"]["name"], "berth");
        let parts = sbom["components"].as_array().expect("components");
        let named = |name: &str| parts.iter().any(|part| part["name"] == name);
        assert!(named("rustls") && named("berth-core"), "what it links");
        assert!(!named("proptest"), "nothing that only a test needs");
        let text = sbom.to_string();
        assert!(!text.contains("/tmp/") && !text.contains(env!("CARGO_MANIFEST_DIR")));
    }
}

/// A registry that has one layout, for what helm asks of one.
async fn registry(layout: PathBuf) -> SocketAddr {
    let routes = Router::new()
        .route("/v2/", get(|| async {}))
        .route("/v2/charts/berth/{kind}/{reference}", get(part))
        .with_state(Arc::new(layout));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(axum::serve(listener, routes).into_future());
    address
}

async fn part(
    State(layout): State<Arc<PathBuf>>,
    extract::Path((_, reference)): extract::Path<(String, String)>,
) -> Response {
    let index = read(&layout.join("index.json"));
    let manifests = index["manifests"].as_array().expect("manifests");
    let tagged = manifests.iter().find(|manifest| {
        manifest["annotations"]["org.opencontainers.image.ref.name"] == *reference
    });
    let digest = tagged.map_or(&*reference, |manifest| {
        manifest["digest"].as_str().expect("a digest")
    });
    let Ok(content) = fs::read(layout.join("blobs").join(digest.replace(':', "/"))) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let manifest = serde_json::from_slice(&content).ok();
    let kind = manifest
        .as_ref()
        .and_then(|manifest: &Value| manifest["mediaType"].as_str());
    let headers = [
        (
            header::CONTENT_TYPE.as_str(),
            kind.unwrap_or("application/octet-stream").to_owned(),
        ),
        ("docker-content-digest", digest.to_owned()),
    ];
    (headers, Bytes::from(content)).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_pulls_the_chart_from_a_registry() {
    let Some(release) = release() else {
        return;
    };
    let parts = Parts::find(None).expect("helm, which packaged it");
    let layout = unpack(&release.join(format!("berth-chart-{VERSION}.tar")));
    let address = registry(layout.path().to_owned()).await;
    let folder = scratch();
    let mut helm = Command::new(parts.path("helm").expect("helm"));
    helm.args([
        "pull",
        "--plain-http",
        "--version",
        VERSION,
        "--destination",
    ])
    .arg(folder.path())
    .arg(format!("oci://{address}/charts/berth"))
    .env("HELM_CONFIG_HOME", folder.path())
    .env("HELM_CACHE_HOME", folder.path());
    prints(&mut helm);
    let name = format!("berth-{VERSION}.tgz");
    assert_eq!(
        fs::read(folder.path().join(&name)).expect("pulled"),
        fs::read(release.join(&name)).expect("packaged")
    );
}

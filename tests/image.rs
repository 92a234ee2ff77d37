//! The image that `make image` wrote, as a runtime takes it: unpacked, and run in its own root, where nothing else is.
//! `make image-test` builds it and runs this; without `BERTH_IMAGE`, the archive, there is nothing to test.
#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

mod common;

use common::{
    client::{https, post},
    example, path,
    process::{Berth, arg, prints},
};

/// The layout of an image, unpacked.
struct Layout(TempDir);

/// One architecture of an image.
struct Image {
    architecture: String,
    manifest: Value,
    config: Value,
    /// What its layers hold.
    root: TempDir,
}

fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

impl Layout {
    /// The image that is to be tested, each part of which is what its digest says. None where there is none.
    fn asked() -> Option<Self> {
        let Some(archive) = env::var_os("BERTH_IMAGE") else {
            eprintln!("SKIPPED: no image is run, because none is built: make image-test does both");
            return None;
        };
        let layout = Self(scratch());
        let mut tar = Command::new("tar");
        prints(
            tar.arg("-xf")
                .arg(path("").join(archive))
                .current_dir(layout.0.path()),
        );
        for blob in fs::read_dir(layout.0.path().join("blobs/sha256")).expect("blobs") {
            let blob = blob.expect("a blob").path();
            let sum = prints(Command::new("sha256sum").arg(&blob));
            assert!(blob.ends_with(&sum[..64]), "{}", blob.display());
        }
        Some(layout)
    }

    fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().expect("a digest");
        self.0.path().join("blobs").join(digest.replace(':', "/"))
    }

    fn json(&self, descriptor: &Value) -> Value {
        read(&self.blob(descriptor))
    }

    /// The architectures that the one index names.
    fn images(&self) -> Vec<Image> {
        let top = read(&self.0.path().join("index.json"));
        let [index] = &top["manifests"].as_array().expect("descriptors")[..] else {
            panic!("not one index: {top}");
        };
        let index = self.json(index);
        let manifests = index["manifests"].as_array().expect("descriptors");
        manifests
            .iter()
            .map(|manifest| self.image(manifest))
            .collect()
    }

    fn image(&self, descriptor: &Value) -> Image {
        let manifest = self.json(descriptor);
        let root = scratch();
        for layer in manifest["layers"].as_array().expect("layers") {
            let mut tar = Command::new("tar");
            prints(
                tar.arg("-xpzf")
                    .arg(self.blob(layer))
                    .current_dir(root.path()),
            );
        }
        Image {
            architecture: descriptor["platform"]["architecture"]
                .as_str()
                .expect("one")
                .to_owned(),
            config: self.json(&manifest["config"]),
            manifest,
            root,
        }
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a blob")).expect("JSON")
}

impl Image {
    /// Its entrypoint as its user, in its root with nothing but what a runtime adds, and a folder at `/shared`. A
    /// binary for another machine runs under qemu.
    fn command(&self, shared: &Path) -> Command {
        for name in ["proc", "dev"] {
            fs::create_dir_all(self.root.path().join(name)).expect("a folder");
        }
        let user = self.config["config"]["User"].as_str().expect("a user");
        let (uid, gid) = user.split_once(':').expect("a group");
        let mut run = Command::new("bwrap");
        run.args([
            "--unshare-user",
            "--unshare-pid",
            "--die-with-parent",
            "--clearenv",
        ])
        .args([
            "--uid",
            uid,
            "--gid",
            gid,
            "--bind",
            arg(self.root.path()),
            "/",
        ])
        .args([
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--bind",
            arg(shared),
            "/shared",
        ]);
        let machine = machine(&self.architecture);
        if machine == env::consts::ARCH {
            run.arg("--");
        } else {
            let qemu = format!("/usr/bin/qemu-{machine}-static");
            run.args(["--ro-bind", &qemu, "/qemu", "--", "/qemu"]);
        }
        let entrypoint = self.config["config"]["Entrypoint"].as_array().expect("one");
        run.args(entrypoint.iter().map(|word| word.as_str().expect("text")));
        run
    }
}

/// An architecture as the kernel names it.
fn machine(architecture: &str) -> &'static str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => panic!("an architecture that is not built: {other}"),
    }
}

#[test]
fn the_image_is_one_binary_and_says_what_it_is() {
    let Some(layout) = Layout::asked() else {
        return;
    };
    let images = layout.images();
    let architectures: BTreeSet<&str> = images.iter().map(|image| &*image.architecture).collect();
    assert_eq!(architectures.len(), images.len(), "each architecture once");
    for image in &images {
        let held: Vec<_> = fs::read_dir(image.root.path()).expect("a root").collect();
        assert_eq!(held.len(), 1, "{held:?}");
        let config = &image.config;
        assert_eq!(config["architecture"], image.architecture);
        assert_eq!(config["os"], "linux");
        let labels = &config["config"]["Labels"];
        let named = |name: &str| labels[format!("org.opencontainers.image.{name}")].clone();
        assert_eq!(named("title"), "berth");
        assert_eq!(named("version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(named("licenses"), env!("CARGO_PKG_LICENSE"));
        assert_eq!(named("description"), env!("CARGO_PKG_DESCRIPTION"));
        assert_eq!(
            image.manifest["annotations"]["org.opencontainers.image.revision"],
            named("revision")
        );
    }
}

/// Where it was built does not show, and which crates it is made of does.
#[test]
fn the_binary_tells_its_crates_and_not_where_it_was_built() {
    let Some(layout) = Layout::asked() else {
        return;
    };
    for image in layout.images() {
        let binary = image.root.path().join("berth");
        let holds = |text: &str| {
            let mut grep = Command::new("grep");
            let found = grep.args(["-qaF", "--", text]).arg(&binary).status();
            found.expect("grep starts").success()
        };
        assert!(holds(".dep-v0"), "cargo-auditable's section");
        let home = env::var("HOME").expect("a home");
        for place in [env!("CARGO_MANIFEST_DIR"), &format!("{home}/.cargo")] {
            assert!(!holds(place), "{}: {place}", image.architecture);
        }
    }
}

#[tokio::test]
async fn the_image_answers_a_first_review_in_its_own_root() {
    let Some(layout) = Layout::asked() else {
        return;
    };
    for image in layout.images() {
        let shared = scratch();
        fs::copy(
            path("examples/homelab.yaml"),
            shared.path().join("table.yaml"),
        )
        .expect("copied");

        let version = prints(image.command(shared.path()).args(["version", "-o", "json"]));
        let version: Value = serde_json::from_str(&version).expect("JSON");
        let labels = &image.config["config"]["Labels"];
        assert_eq!(
            version["version"],
            labels["org.opencontainers.image.version"]
        );
        assert_eq!(
            version["commit"],
            labels["org.opencontainers.image.revision"]
        );

        let flags = [
            "--table",
            "/shared/table.yaml",
            "--tls-self-signed",
            "--ca-out",
            "/shared/ca.pem",
        ];
        let berth = Berth::within(image.command(shared.path()), &flags);
        let ca =
            fs::read_to_string(shared.path().join("ca.pem")).expect("written before it listens");
        let answer = post(&https(&ca), berth.webhook, example("vllm").to_string()).await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["response"]["allowed"], json!(true), "{answer}");
        assert_eq!(answer["response"]["patchType"], "JSONPatch", "{answer}");
        eprintln!("{}: answered", image.architecture);
    }
}

//! A certificate in files, as kubelet mounts a Secret: names link into `..data`, which links to a folder that is swapped
//! whole. This stands in for kubelet, which needs a node; as there, the files follow the Secret late.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    Certificate, ControlPlane, Error,
    authority::Identity,
    until,
    webhook::{NAME, SECRET, SERVER_NAME},
};

/// How long after the Secret its files change. kubelet takes up to a minute and a half; what counts is that the API
/// server knows a new CA before that.
const LAG: Duration = Duration::from_secs(1);

/// A folder with the files of a Secret.
#[derive(Debug)]
pub(crate) struct Mounted {
    folder: PathBuf,
    following: Option<JoinHandle<()>>,
}

type Files = BTreeMap<String, Vec<u8>>;

impl Mounted {
    /// The certificate that was asked for.
    pub(crate) async fn of(
        certificate: Certificate,
        control_plane: &ControlPlane,
        folder: &Path,
    ) -> Result<Self, Error> {
        match certificate {
            Certificate::OfTheControlPlane => {
                let identity = control_plane.authority().server(&[SERVER_NAME])?;
                Self::files(folder, &identity, control_plane.authority().pem())
            }
            Certificate::CertManager => Self::secret(folder, &control_plane.client().await?).await,
        }
    }

    /// A certificate that does not change.
    fn files(folder: &Path, identity: &Identity, ca: String) -> Result<Self, Error> {
        let files = [
            ("ca.crt", &ca),
            ("tls.crt", &identity.certificate),
            ("tls.key", &identity.key),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.clone().into_bytes()));
        write(folder, 0, &files.into()).map_err(Error::io(folder.display().to_string()))?;
        Ok(Self {
            folder: folder.to_owned(),
            following: None,
        })
    }

    /// The certificate of berth's Secret. Waits until it is there, and follows it for as long as the runtime lives.
    async fn secret(folder: &Path, client: &Client) -> Result<Self, Error> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), NAME);
        let one = watcher::Config::default().fields(&format!("metadata.name={SECRET}"));
        let issued = until(secrets.clone(), one.clone(), |secrets| {
            secrets.values().find_map(complete)
        });
        let missing =
            Error::NotReady("cert-manager issues no certificate: cert-manager.log says why");
        let first = issued.await.map_err(|_| missing)?;
        write(folder, 0, &first).map_err(Error::io(folder.display().to_string()))?;
        let following = tokio::spawn(follow(secrets, one, folder.to_owned(), first));
        Ok(Self {
            folder: folder.to_owned(),
            following: Some(following),
        })
    }

    /// Where a file of it is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(following) = &self.following {
            following.abort();
        }
    }
}

/// The Secret's files, where the certificate and its key are there.
fn complete(secret: &Secret) -> Option<Files> {
    let data = secret.data.as_ref()?;
    let filled = |name: &str| data.get(name).is_some_and(|bytes| !bytes.0.is_empty());
    let files = data
        .iter()
        .map(|(name, bytes)| (name.clone(), bytes.0.clone()));
    (filled("tls.crt") && filled("tls.key")).then(|| files.collect())
}

/// kubelet keeps the files of a Secret that is gone, and so does this.
async fn follow(secrets: Api<Secret>, one: watcher::Config, folder: PathBuf, mut now: Files) {
    let mut changes = Box::pin(watcher(secrets, one).default_backoff().applied_objects());
    let mut generation = 0;
    while let Some(change) = changes.next().await {
        let Some(files) = change.ok().as_ref().and_then(complete) else {
            continue;
        };
        if files != now {
            generation += 1;
            sleep(LAG).await;
            // where this fails, the old files stay, as kubelet's do
            let _ = write(&folder, generation, &files);
            now = files;
        }
    }
}

fn write(folder: &Path, generation: usize, files: &Files) -> io::Result<()> {
    let name = format!("..{generation}");
    let new = folder.join(&name);
    fs::create_dir_all(&new)?;
    for (file, content) in files {
        fs::write(new.join(file), content)?;
        if generation == 0 {
            symlink(Path::new("..data").join(file), folder.join(file))?;
        }
    }
    let link = folder.join("..data_tmp");
    symlink(&name, &link)?;
    fs::rename(&link, folder.join("..data"))?;
    match generation {
        0 => Ok(()),
        old => fs::remove_dir_all(folder.join(format!("..{}", old - 1))),
    }
}

//! `berth certs`.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use time::OffsetDateTime;

use super::report::{Ended, Failure, tell};
use berth_server::tls::{
    self_signed::{Authority, LEAF_LIFETIME},
    server_name,
};

const MORE: &str = "\
Examples:
  berth certs dev
  # for a Service of another name
  berth certs dev --out certs/ai --name berth.ai.svc --name 10.0.0.7

Exit codes:
  0  the files are written
  2  the flags are wrong, or the files cannot be written";

/// Make certificates
#[derive(Args, Debug)]
pub(super) struct Certs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A CA and a server certificate for development: ca.crt, tls.crt and tls.key. Not for production: use cert-manager there
    Dev(Dev),
}

#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
struct Dev {
    /// The folder to write to
    #[arg(long, value_name = "DIR", default_value = "certs/dev")]
    out: PathBuf,
    /// A DNS name or IP address of the server, besides localhost and loopback; repeatable
    #[arg(
        long = "name",
        value_name = "NAME",
        value_parser = server_name,
        default_values_t = ["berth.berth.svc".to_owned()]
    )]
    names: Vec<String>,
}

impl Certs {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let What::Dev(dev) = self.what;
        dev.run()
    }
}

impl Dev {
    fn run(self) -> Result<Ended, Failure> {
        let now = OffsetDateTime::now_utc();
        let make = || {
            let authority = Authority::new(now)?;
            let leaf = authority.leaf(&self.names, now, LEAF_LIFETIME)?;
            Ok::<_, rcgen::Error>((authority, leaf))
        };
        let (authority, leaf) =
            make().map_err(|error| Failure::usage(format!("--name: {error}")))?;
        let write = || {
            fs::create_dir_all(&self.out)?;
            fs::write(self.out.join("ca.crt"), authority.pem())?;
            fs::write(self.out.join("tls.crt"), leaf.certificate.pem())?;
            write_private(&self.out.join("tls.key"), &leaf.key.serialize_pem())
        };
        write().map_err(|error| Failure::out(&self.out, &error))?;
        let folder = self.out.display();
        tell(format_args!(
            "wrote ca.crt, tls.crt and tls.key to {folder}"
        ));
        Ok(Ended::Fine)
    }
}

/// For the owner's eyes alone, from its first byte.
fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content.as_bytes())
}

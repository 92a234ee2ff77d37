//! Servers in processes of their own, so that what they take is their own: berth, and what stands beside it.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, routing::post};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;

/// Why a measurement ends.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A table, a certificate that berth made, and room for an answer.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A new one.
    ///
    /// # Errors
    ///
    /// The binary is not there, or makes no certificate.
    pub fn new(berth: &Path) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let mut certs = Command::new(berth);
        certs.args(["certs", "dev", "--out"]).arg(folder.path());
        if !certs.stderr(Stdio::null()).status()?.success() {
            return Err("berth certs dev failed".into());
        }
        Ok(Self { folder })
    }

    /// A file of it: `tls.crt`, `tls.key`, `ca.crt`, and `answer.json` once it is written.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command of a binary of berth with the homelab's table, on `core` alone where one is given.
    #[must_use]
    pub fn berth(&self, binary: &Path, core: Option<usize>) -> Command {
        let mut command = on(core, binary);
        let any = "127.0.0.1:0";
        command.args(["serve", "--bind", any, "--admin-bind", any, "--table"]);
        command.arg(example("homelab.yaml"));
        command.arg("--tls-cert").arg(self.file("tls.crt"));
        command.arg("--tls-key").arg(self.file("tls.key"));
        command
    }

    /// The command of this tool in another mode, which finds the files in its environment.
    ///
    /// # Errors
    ///
    /// This program has no path.
    pub fn this(&self, mode: &str, core: Option<usize>) -> Result<Command, Failure> {
        let mut command = on(core, &env::current_exe()?);
        command.arg(mode).env("PLACE", self.folder.path());
        Ok(command)
    }
}

/// A file of examples/.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("examples").join(name)
}

fn on(core: Option<usize>, program: &Path) -> Command {
    let Some(core) = core else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// A file of the [`Place`] of whoever started this process.
///
/// # Errors
///
/// Nobody did, or there is no such file.
pub fn given(name: &str) -> Result<Vec<u8>, Failure> {
    Ok(fs::read(Path::new(&env::var("PLACE")?).join(name))?)
}

/// The server's side of TLS 1.3 as berth has it, with the certificate that was [`given`].
///
/// # Errors
///
/// Nothing was given.
pub fn tls() -> Result<Arc<ServerConfig>, Failure> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&given("tls.crt")?)?],
            PrivateKeyDer::from_pem_slice(&given("tls.key")?)?,
        )?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A port, which whoever started this process is told.
///
/// # Errors
///
/// There is none.
pub fn listen() -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let line = serde_json::json!({"message": "listening", "webhook": listener.local_addr()?});
    eprintln!("{line}");
    Ok(listener)
}

/// The floor, on the stack that berth has: reads the whole body, and answers what is [`given`].
///
/// # Errors
///
/// Nothing is given, or the port is lost.
pub async fn constant() -> Result<(), Failure> {
    let answer = Bytes::from(given("answer.json")?);
    let handler = async move |_: Bytes| ([(CONTENT_TYPE, "application/json")], answer.clone());
    let router = Router::new().route("/mutate", post(handler));
    let tls = RustlsConfig::from_config(tls()?);
    axum_server::from_tcp(listen()?)?
        .acceptor(RustlsAcceptor::new(tls))
        .serve(router.into_make_service())
        .await?;
    Ok(())
}

/// The runtime that such a server has.
///
/// # Errors
///
/// The system has no thread left.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build()
}

impl Server {
    /// Starts a command, and waits until it says on which port it listens.
    ///
    /// # Errors
    ///
    /// It does not start, or says something else.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("piped")?).lines();
        let address = loop {
            let line = lines.next().ok_or("the server ended")??;
            let event: serde_json::Value = serde_json::from_str(&line).map_err(|_| line.clone())?;
            if let Some(address) = event["webhook"].as_str() {
                break address.parse()?;
            }
        };
        // the log is written for someone
        thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    /// User and system time so far, by ticks of 10 ms.
    ///
    /// # Errors
    ///
    /// The process has ended, or this is no Linux.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        let stat = fs::read_to_string(self.proc("stat"))?;
        let (_, rest) = stat.rsplit_once(')').ok_or("no stat")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// What is resident now.
    ///
    /// # Errors
    ///
    /// As [`Self::cpu`].
    pub fn resident_kib(&self) -> Result<u64, Failure> {
        field(&fs::read_to_string(self.proc("status"))?, "VmRSS:")
    }

    /// How often its threads have waited so far: a wake-up for each.
    ///
    /// # Errors
    ///
    /// As [`Self::cpu`].
    pub fn waits(&self) -> Result<u64, Failure> {
        let threads = fs::read_dir(self.proc("task"))?;
        let of = |status: String| field(&status, "voluntary_ctxt_switches:");
        threads
            .map(|thread| of(fs::read_to_string(thread?.path().join("status"))?))
            .sum()
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }
}

fn field(status: &str, name: &str) -> Result<u64, Failure> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("no {name}"))?.parse()?)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

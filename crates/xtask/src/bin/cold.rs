//! `make cold`: what a review takes that comes alone, after a pause in which the caches have forgotten berth, and which part
//! takes it. Each row of a table does what the row above does, and one part more: what a part takes is the difference.
//!
//! ```text
//!   loopback   bytes come, an answer goes: two wake-ups and the kernel
//!   TLS        the same within TLS 1.3, by rustls
//!   HTTP       a handler with a constant answer, on the stack that berth has
//!   read       berth, which reads a Pod without a class: its limits, the review's parts, metrics
//!   placed     berth, which places the Pod, and logs nothing
//!   logged     berth as it is: a line for each review, which somebody reads
//! ```
//!
//! The servers run on one core and the client on another, where `taskset` and two cores are there. They are asked in
//! turns, so that what else the machine does is in every row.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "counts and times are small here"
)]

use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::{Value, json};
use xtask::servers::{Failure, Place, Server, constant, example, given, listen, runtime, tls};

/// The pauses between two reviews of a server, and how many reviews.
const LOADS: [(Duration, usize); 4] = [
    (Duration::from_millis(5), 2_000),
    (Duration::from_millis(50), 600),
    (Duration::from_millis(250), 240),
    (Duration::from_secs(1), 120),
];
/// Reviews that are not counted, of each server.
const WARM: usize = 200;
/// The cores of the servers and of the client.
const CORES: [usize; 2] = [1, 0];

/// A server that is measured, and a connection to it.
struct Subject {
    part: &'static str,
    server: Server,
    connection: Connection,
    request: Vec<u8>,
}

enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What was seen of a subject at a load.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    waits: u64,
}

fn main() -> Result<(), Failure> {
    let _ = default_provider().install_default();
    match env::args().nth(1).as_deref() {
        Some("loopback") => echo(|stream| Ok(Box::new(stream))),
        Some("tls") => {
            let config = tls()?;
            echo(move |stream| {
                let tls = ServerConnection::new(Arc::clone(&config))?;
                Ok(Box::new(StreamOwned::new(tls, stream)))
            })
        }
        Some("constant") => runtime()?.block_on(constant()),
        Some(berth) => measure(berth.as_ref()),
        None => Err("usage: cold BERTH".into()),
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Answers each request of as many bytes as the one that was given. One client at a time.
fn echo(wrap: impl Fn(TcpStream) -> Result<Box<dyn Stream>, Failure>) -> Result<(), Failure> {
    let mut request = vec![0; given("request")?.len()];
    let answer = given("answer")?;
    let listener = listen()?;
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut stream = wrap(stream)?;
        while stream.read_exact(&mut request).is_ok() {
            stream.write_all(&answer)?;
            stream.flush()?;
        }
    }
}

fn measure(berth: &Path) -> Result<(), Failure> {
    let cores = pin();
    let place = Place::new(berth)?;
    let review = fs::read(example("reviews/vllm-replicaset.json"))?;
    let review: Value = serde_json::from_slice(&review)?;
    let (with, without) = (request(&review), request(&without_class(&review)));
    fs::write(place.file("request"), &with)?;
    let quiet = || {
        let mut command = place.berth(berth, cores);
        // it says where it listens, and nothing of a review
        command.args(["--log-level", "warn,berth_server::server=info"]);
        Server::start(&mut command)
    };
    let config = trust(&place)?;

    let berth = Server::start(&mut place.berth(berth, cores))?;
    let mut logged = Subject::new("logged", berth, Some(&config), &with)?;
    let answer = logged.ask()?;
    fs::write(place.file("answer"), &answer)?;
    let (_, body) = split(&answer).ok_or("an answer without a body")?;
    fs::write(place.file("answer.json"), body)?;
    let this = |mode| Server::start(&mut place.this(mode, cores)?);
    let mut subjects = [
        Subject::new("loopback", this("loopback")?, None, &with)?,
        Subject::new("TLS", this("tls")?, Some(&config), &with)?,
        Subject::new("HTTP", this("constant")?, Some(&config), &with)?,
        Subject::new("read", quiet()?, Some(&config), &without)?,
        Subject::new("placed", quiet()?, Some(&config), &with)?,
        logged,
    ];
    println!(
        "a request of {} bytes, an answer of {}; {}",
        with.len(),
        answer.len(),
        if cores.is_some() {
            "the servers on one core, the client on another"
        } else {
            "nothing is pinned: there are not two cores, or no taskset"
        }
    );
    for _ in 0..WARM {
        for subject in &mut subjects {
            subject.ask()?;
        }
    }
    for (pause, reviews) in LOADS {
        let seen = turns(&mut subjects, pause, reviews)?;
        table(&subjects, pause, seen);
    }
    Ok(())
}

/// The client on its core; the core of the servers.
fn pin() -> Option<usize> {
    let [servers, client] = CORES;
    if thread::available_parallelism().ok()?.get() < CORES.len() {
        return None;
    }
    let mut taskset = Command::new("taskset");
    let own = std::process::id().to_string();
    taskset.args(["-a", "-p", "-c", &client.to_string(), &own]);
    let pinned = taskset.stdout(Stdio::null()).status().ok()?;
    pinned.success().then_some(servers)
}

/// Asks each subject once in a pause, one after the other.
fn turns(subjects: &mut [Subject], pause: Duration, reviews: usize) -> Result<Vec<Seen>, Failure> {
    let mut seen: Vec<Seen> = subjects.iter().map(|_| Seen::default()).collect();
    for (subject, seen) in subjects.iter().zip(&mut seen) {
        seen.waits = subject.server.waits()?;
    }
    let step = pause / u32::try_from(subjects.len())?;
    let mut next = Instant::now();
    for _ in 0..reviews {
        for (subject, seen) in subjects.iter_mut().zip(&mut seen) {
            next += step;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let began = Instant::now();
            subject.ask()?;
            seen.times.push(began.elapsed());
        }
    }
    for (subject, seen) in subjects.iter().zip(&mut seen) {
        seen.waits = subject.server.waits()? - seen.waits;
        seen.times.sort_unstable();
    }
    Ok(seen)
}

fn table(subjects: &[Subject], pause: Duration, seen: Vec<Seen>) {
    println!(
        "\none review every {pause:?}, {} of each",
        seen[0].times.len()
    );
    println!("  part         p50     more      p90   wake-ups a review");
    let mut before = 0.0;
    for (subject, seen) in subjects.iter().zip(seen) {
        let at = |part: usize| seen.times[seen.times.len() * part / 100].as_secs_f64() * 1e6;
        let (middle, late) = (at(50), at(90));
        println!(
            "  {:8} {middle:7.1} {:+8.1} {late:8.1} {:9.2}",
            subject.part,
            middle - before,
            seen.waits as f64 / seen.times.len() as f64
        );
        before = middle;
    }
    println!("  times in microseconds, as the client sees them");
}

impl Subject {
    fn new(
        part: &'static str,
        server: Server,
        tls: Option<&Arc<ClientConfig>>,
        request: &[u8],
    ) -> Result<Self, Failure> {
        Ok(Self {
            part,
            connection: connect(server.address, tls)?,
            server,
            request: request.to_vec(),
        })
    }

    /// Sends the request, and reads the whole answer.
    fn ask(&mut self) -> Result<Vec<u8>, Failure> {
        match &mut self.connection {
            Connection::Plain(stream) => exchange(stream, &self.request),
            Connection::Tls(stream) => exchange(stream, &self.request),
        }
        .map_err(|error| format!("{}: {error}", self.part).into())
    }
}

fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Connection, Failure> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let Some(config) = tls else {
        return Ok(Connection::Plain(stream));
    };
    let tls = ClientConnection::new(Arc::clone(config), "localhost".try_into()?)?;
    Ok(Connection::Tls(Box::new(StreamOwned::new(tls, stream))))
}

fn trust(place: &Place) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&fs::read(
        place.file("ca.crt"),
    )?)?)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> Result<Vec<u8>, Failure> {
    stream.write_all(request)?;
    stream.flush()?;
    let (mut answer, mut part) = (Vec::new(), [0; 16 << 10]);
    loop {
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Err("the connection ended".into());
        }
        answer.extend_from_slice(&part[..read]);
        if let Some((head, body)) = split(&answer)
            && body.len() >= length(head)?
        {
            return if head.starts_with(b"HTTP/1.1 200") {
                Ok(answer)
            } else {
                Err(String::from_utf8_lossy(&answer).into())
            };
        }
    }
}

/// The head of an answer, and what has come of its body.
fn split(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    Some(answer.split_at(end))
}

fn length(head: &[u8]) -> Result<usize, Failure> {
    let head = str::from_utf8(head)?.to_ascii_lowercase();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    Ok(line.ok_or("no length")?.trim().parse()?)
}

/// The review as the API server sends it.
fn request(review: &Value) -> Vec<u8> {
    let body = review.to_string();
    let head = format!(
        "POST /mutate?timeout=5s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// The same Pod with another label in its place.
fn without_class(review: &Value) -> Value {
    let mut review = review.clone();
    let labels = &mut review["request"]["object"]["metadata"]["labels"];
    if let Some(labels) = labels.as_object_mut() {
        labels.remove("berth.dev/workload-class");
        labels.insert("berth.example/workload-cla".to_owned(), json!("vllm"));
    }
    review
}

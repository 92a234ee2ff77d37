//! A start with a table or a certificate that is broken, cut or absent: berth lives, is not ready and says why, and serves
//! within a second of the repair. So does one whose certificate ends while it runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use berth_server::tls::self_signed::{Authority, LEAF_LIFETIME, Leaf};
use regex::Regex;
use serde_json::Value;
use time::OffsetDateTime;

mod common;

use common::{
    client::{connect, exchange, get, https, metric, post, ready, trust},
    example, path,
    process::{Berth, arg, command, ends},
};

/// How soon what was repaired must serve.
const SOON: Duration = Duration::from_secs(1);
/// A machine with other work to do may be late, berth is not.
const ATTEMPTS: usize = 5;
/// The name that the API server asks for.
const NAME: &str = "berth.berth.svc";

/// Words that Kubernetes writes with capitals inside.
const OF_KUBERNETES: &str = "^(WorkloadClass|ServiceAccount|ClusterRole|CustomResourceDefinition)";

/// That a text which people read has no word of the code that wrote it: a variant's name, a value as a debugger shows it,
/// or a number of the system. The folder's name is drawn by lot.
#[track_caller]
fn is_in_plain_words(text: &str, folder: &Path) {
    let text = text.replace(arg(folder), "FOLDER");
    let words = Regex::new(r"\b[A-Z][a-z]+[A-Z]\w*").expect("a pattern");
    let kubernetes = Regex::new(OF_KUBERNETES).expect("a pattern");
    let foreign = words.find_iter(&text).map(|word| word.as_str());
    let foreign: Vec<&str> = foreign.filter(|word| !kubernetes.is_match(word)).collect();
    assert!(foreign.is_empty(), "{foreign:?}: {text}");
    let shown = r"u\{|\b(Some|Ok|Err)\(|\(os error|\[\d+, \d+|\b(struct|enum|variant|io error)\b";
    let shown = Regex::new(shown).expect("a pattern").find(&text);
    assert_eq!(shown.map(|it| it.as_str()), None, "{text}");
}

/// The same of everything that a server has written and shows.
async fn speaks_plainly(berth: &Berth, folder: &Path) {
    for event in berth.said() {
        is_in_plain_words(&event.to_string(), folder);
    }
    is_in_plain_words(&ready(berth.admin).await.1, folder);
}

fn homelab() -> String {
    fs::read_to_string(path("examples/homelab.yaml")).expect("a table")
}

/// Makes what is at a path what a case wants.
type Make = fn(&Path);

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    // never half of it: a reader may be there
    let beside = path.with_extension("tmp");
    fs::write(&beside, text).expect("written");
    fs::rename(beside, path).expect("renamed");
}

fn pipe(path: &Path) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo runs").success());
}

/// A table that cannot be used: what it is called, how it comes about, and what is said about it.
const TABLES: [(&str, Make, &str); 7] = [
    ("absent", |_| {}, "No such file"),
    (
        "an empty folder",
        |file| fs::create_dir_all(file.parent().expect("a folder")).expect("a folder"),
        "No such file",
    ),
    (
        "invalid",
        |file| {
            write(
                file,
                "apiVersion: berth.dev/v1alpha1\nkind: WorkloadClass\nmetadata: {name: vllm}\nspec:\n  pools:\n  - name: nowhere\n",
            );
        },
        "table.yaml:6:",
    ),
    (
        "cut",
        |file| {
            write(
                file,
                "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {name: a",
            );
        },
        "table.yaml:3:",
    ),
    ("without a byte", |file| write(file, ""), "no WorkloadClass"),
    (
        "comments alone",
        |file| write(file, "# later\n---\n# or never\n"),
        "no WorkloadClass",
    ),
    ("a pipe", pipe, "named pipe"),
];

/// The shortest of some attempts, of which one is soon enough.
async fn soonest(attempt: impl AsyncFn() -> Duration) -> Duration {
    let mut soonest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        soonest = soonest.min(attempt().await);
        if soonest < SOON {
            break;
        }
    }
    soonest
}

#[tokio::test]
async fn a_start_without_a_usable_table_lives_says_why_and_serves_after_the_repair() {
    let mut slowest = Duration::ZERO;
    for (name, make, says) in TABLES {
        let took = soonest(async || serves_after_its_table(name, make, says).await);
        slowest = slowest.max(took.await);
    }
    println!(
        "{} tables, the slowest served {slowest:.0?} after its repair",
        TABLES.len()
    );
    assert!(slowest < SOON, "{slowest:?}");
}

/// How long after the repair of its table it serves.
async fn serves_after_its_table(name: &str, make: Make, says: &str) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, file) = (
        folder.path().join("ca.pem"),
        folder.path().join("t/table.yaml"),
    );
    make(&file);
    let flags = [
        "--table",
        arg(&file),
        "--tls-self-signed",
        "--ca-out",
        arg(&ca),
    ];
    let berth = Berth::serve(&flags);
    assert_eq!(get(berth.admin, "/livez").await, "ok\n", "{name}");
    let (code, text) = ready(berth.admin).await;
    assert_eq!(code, 503, "{name}: {text}");
    assert!(
        text.starts_with("no table is in force: ") && text.contains(says),
        "{name}: {text}"
    );
    assert_eq!(
        metric(berth.admin, "berth_not_ready{reason=\"NoTable\"}").await,
        1
    );
    assert_eq!(
        metric(berth.admin, "berth_source_invalid{source=\"table\"}").await,
        1
    );
    speaks_plainly(&berth, folder.path()).await;
    let client = https(&fs::read_to_string(&ca).expect("a CA"));
    let answer = post(&client, berth.webhook, example("vllm").to_string()).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 503, "{name}");
    assert_eq!(answer.headers()["retry-after"], "1", "{name}");

    write(&file, &homelab());
    let repaired = Instant::now();
    berth.event(|event| event["source"] == "table" && event["message"] == "loaded");
    let answer = post(&client, berth.webhook, example("vllm").to_string()).await;
    assert_eq!(answer.expect("an answer").status(), 200, "{name}");
    let took = repaired.elapsed();
    assert_eq!(ready(berth.admin).await, (200, "ok\n".to_owned()), "{name}");
    assert_eq!(
        metric(berth.admin, "berth_not_ready{reason=\"NoTable\"}").await,
        0
    );
    assert_eq!(
        metric(berth.admin, "berth_source_invalid{source=\"table\"}").await,
        0
    );
    took
}

/// A CA, and the files of a pair that berth follows.
struct Pair {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Pair {
    fn new() -> Self {
        let authority = Authority::new(OffsetDateTime::now_utc()).expect("a CA");
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, authority }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("tls").join(name)
    }

    /// A leaf for a name, of another age than a new one, that is valid for so long after its beginning.
    fn leaf(&self, name: &str, age: Duration, lifetime: Duration) -> Leaf {
        let born = OffsetDateTime::now_utc() - age;
        let leaf = self.authority.leaf(&[name.to_owned()], born, lifetime);
        leaf.expect("a leaf")
    }

    fn write(&self, leaf: &Leaf) {
        write(&self.file("tls.key"), &leaf.key.serialize_pem());
        write(&self.file("tls.crt"), &leaf.certificate.pem());
    }

    fn serve(&self) -> Berth {
        self.serve_with(&[])
    }

    fn serve_with(&self, flags: &[&str]) -> Berth {
        let (table, cert, key) = (
            path("examples/homelab.yaml"),
            self.file("tls.crt"),
            self.file("tls.key"),
        );
        let own = [
            "--table",
            arg(&table),
            "--tls-cert",
            arg(&cert),
            "--tls-key",
            arg(&key),
            "--tls-server-name",
            NAME,
        ];
        Berth::serve(&[&own, flags].concat())
    }

    fn good(&self) -> Leaf {
        self.leaf(NAME, Duration::ZERO, LEAF_LIFETIME)
    }
}

/// A pair that cannot be used: what it is called, how it comes about, and what is said about it.
type Unusable = (&'static str, fn(&Pair), &'static str);

/// A section of PEM that has the form and nothing in it.
fn junk(kind: &str) -> String {
    format!("-----BEGIN {kind}-----\nMAA=\n-----END {kind}-----\n")
}

const PAIRS: [Unusable; 11] = [
    ("absent", |_| {}, "No such file"),
    (
        "cut",
        |pair| {
            pair.write(&pair.good());
            let pem = fs::read_to_string(pair.file("tls.crt")).expect("a certificate");
            write(&pair.file("tls.crt"), &pem[..pem.len() / 2]);
        },
        "no PEM certificate in it",
    ),
    (
        "without a byte",
        |pair| {
            pair.write(&pair.good());
            write(&pair.file("tls.key"), "");
        },
        "no PEM private key in it",
    ),
    (
        "not base64",
        |pair| {
            pair.write(&pair.good());
            let text = junk("CERTIFICATE").replace("MAA=", "M*A=");
            write(&pair.file("tls.crt"), &text);
        },
        "no PEM certificate in it (a section is not base64)",
    ),
    (
        "no certificate",
        |pair| {
            pair.write(&pair.good());
            write(&pair.file("tls.crt"), &junk("CERTIFICATE"));
        },
        "is not an X.509 certificate",
    ),
    (
        "a key of no use",
        |pair| {
            pair.write(&pair.good());
            write(&pair.file("tls.key"), &junk("PRIVATE KEY"));
        },
        "the private key cannot be used",
    ),
    (
        "of two issues",
        |pair| {
            pair.write(&pair.good());
            write(&pair.file("tls.key"), &pair.good().key.serialize_pem());
        },
        "is not the key of",
    ),
    (
        "expired",
        |pair| pair.write(&pair.leaf(NAME, Duration::from_hours(2), Duration::from_mins(1))),
        "expired on",
    ),
    (
        "not valid yet",
        |pair| {
            let now = OffsetDateTime::now_utc() + Duration::from_hours(24);
            let leaf = pair.authority.leaf(&[NAME.to_owned()], now, LEAF_LIFETIME);
            pair.write(&leaf.expect("a leaf"));
        },
        "is not valid before",
    ),
    (
        "of another name",
        |pair| pair.write(&pair.leaf("other.berth.svc", Duration::ZERO, LEAF_LIFETIME)),
        "is for localhost, 127.0.0.1, ::1, other.berth.svc, and not for berth.berth.svc",
    ),
    (
        "a client's",
        |pair| {
            let leaf = pair.authority.client(NAME, OffsetDateTime::now_utc());
            pair.write(&leaf.expect("a leaf"));
        },
        "is not for servers",
    ),
];

#[tokio::test]
async fn a_start_without_a_usable_certificate_lives_says_why_and_serves_after_the_repair() {
    let mut slowest = Duration::ZERO;
    for (name, make, says) in PAIRS {
        let took = soonest(async || serves_after_its_pair(name, make, says).await);
        slowest = slowest.max(took.await);
    }
    println!(
        "{} pairs, the slowest served {slowest:.0?} after its repair",
        PAIRS.len()
    );
    assert!(slowest < SOON, "{slowest:?}");
}

/// How long after the repair of its pair it serves, or a client waited before that to be refused.
async fn serves_after_its_pair(name: &str, make: fn(&Pair), says: &str) -> Duration {
    let pair = Pair::new();
    make(&pair);
    let berth = pair.serve();
    let (code, text) = ready(berth.admin).await;
    assert_eq!(code, 503, "{name}: {text}");
    assert!(
        text.starts_with("no certificate is in force: ") && text.contains(says),
        "{name}: {text}"
    );
    assert_eq!(
        metric(berth.admin, "berth_not_ready{reason=\"NoCertificate\"}").await,
        1
    );
    speaks_plainly(&berth, pair.folder.path()).await;
    let ca = pair.authority.pem();
    let asked = Instant::now();
    assert!(connect(berth.webhook, trust(&ca)).await.is_err(), "{name}");
    // and nobody waits to be refused
    let refused = asked.elapsed();

    pair.write(&pair.good());
    let repaired = Instant::now();
    berth.event(|event| event["source"] == "certificate" && event["message"] == "loaded");
    let mut stream = connect(berth.webhook, trust(&ca))
        .await
        .expect("a handshake");
    let answer = exchange(&mut stream, &example("vllm").to_string()).await;
    assert!(
        answer.expect("an answer").starts_with("HTTP/1.1 200"),
        "{name}"
    );
    let took = repaired.elapsed();
    assert_eq!(ready(berth.admin).await.0, 200, "{name}");
    took.max(refused)
}

#[tokio::test]
async fn a_bad_pair_never_replaces_a_good_one() {
    let pair = Pair::new();
    pair.write(&pair.good());
    let berth = pair.serve();
    let ca = pair.authority.pem();
    for (name, make, says) in PAIRS.into_iter().skip(1) {
        make(&pair);
        let event = berth.event(|event| {
            let error = event["error"].as_str().unwrap_or_default();
            event["level"] == "ERROR" && error.contains(says)
        });
        assert_eq!(
            event["message"], "invalid: the last good one stays in force",
            "{name}"
        );
        let answer = post(&https(&ca), berth.webhook, example("vllm").to_string()).await;
        assert_eq!(answer.expect("an answer").status(), 200, "{name}");
        assert_eq!(ready(berth.admin).await.0, 200, "{name}");
        assert_eq!(
            metric(berth.admin, "berth_source_invalid{source=\"certificate\"}").await,
            1
        );
    }
    speaks_plainly(&berth, pair.folder.path()).await;
    pair.write(&pair.good());
    let event =
        berth.event(|event| event["source"] == "certificate" && event["message"] == "reloaded");
    assert!(event["invalid_seconds"].as_f64() > Some(0.0), "{event}");
    assert_eq!(
        metric(berth.admin, "berth_source_invalid{source=\"certificate\"}").await,
        0
    );
}

#[tokio::test]
async fn a_certificate_that_ends_while_berth_runs_makes_it_unready_and_is_told_at_each_poll() {
    let pair = Pair::new();
    let lives = Duration::from_secs(4);
    pair.write(&pair.leaf(NAME, Duration::ZERO, lives));
    let began = Instant::now();
    let berth = pair.serve();
    assert_eq!(ready(berth.admin).await.0, 200);
    // nothing happens when it ends, and /readyz knows
    tokio::time::sleep((lives + SOON).saturating_sub(began.elapsed())).await;
    let (code, text) = ready(berth.admin).await;
    assert_eq!(code, 503, "{text}");
    assert!(
        text.starts_with("the certificate in force expired on "),
        "{text}"
    );
    assert_eq!(
        metric(
            berth.admin,
            "berth_not_ready{reason=\"CertificateOutOfDate\"}"
        )
        .await,
        1
    );
    let told =
        |event: &Value| event["message"] == "not ready: clients do not accept the certificate";
    berth.event(told);
    berth.event(told);
    pair.write(&pair.good());
    berth.event(|event| event["source"] == "certificate" && event["message"] == "reloaded");
    assert_eq!(ready(berth.admin).await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn a_clients_ca_that_cannot_be_used_is_told_in_plain_words() {
    for (text, says) in [
        (String::new(), "it has no certificate"),
        (junk("CERTIFICATE"), "its certificate 1 is not an X.509"),
        (junk("CERTIFICATE").replace("END", "E"), "has no END line"),
    ] {
        let pair = Pair::new();
        pair.write(&pair.good());
        let ca = pair.file("ca.crt");
        write(&ca, &text);
        let berth = pair.serve_with(&["--client-ca", arg(&ca)]);
        let (code, shown) = ready(berth.admin).await;
        assert_eq!(code, 503, "{shown}");
        assert!(shown.contains(says), "{shown}");
        speaks_plainly(&berth, pair.folder.path()).await;
    }
}

/// A kubeconfig of one context, whose cluster and user are as given.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

#[test]
fn a_kubeconfig_that_cannot_be_used_ends_with_what_to_do() {
    let server = "server: \"https://127.0.0.1:1\"";
    let with = |field: &str| kubeconfig(&format!("{server}, {field}"), "");
    // each of one section with nothing in it
    let key = "client-key-data: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1BQT0KLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo=";
    let certificate = "client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BQT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    for (text, says) in [
        (None, "No such file or directory; check the path"),
        (Some("a: [".to_owned()), "is not a kubeconfig (line "),
        (Some("{}".to_owned()), "name a context with --context"),
        (
            Some("current-context: x".to_owned()),
            "it has no context \"x\"",
        ),
        (
            Some(kubeconfig("", "").replace("name: k, ", "name: other, ")),
            "it has no cluster \"k\"",
        ),
        (Some(kubeconfig("", "")), "has no server; add its URL"),
        (
            Some(kubeconfig("server: \"http://[x\"", "")),
            "server is not a URL",
        ),
        (
            Some(with("certificate-authority: /nowhere")),
            "its certificate-authority /nowhere: No such file",
        ),
        (
            Some(with("certificate-authority-data: '*'")),
            "its certificate-authority-data is not base64",
        ),
        (
            Some(kubeconfig(server, &format!("{certificate}, {key}"))),
            "no client for the API server",
        ),
    ] {
        if let Some(text) = text {
            write(&file, &text);
        }
        let flags = ["--kubeconfig", arg(&file)];
        let (code, shown) = from_cluster(&flags);
        assert_eq!(code, 2, "{shown}");
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(says), "{says}: {shown}");
        is_in_plain_words(&shown, folder.path());
    }
    let (_, shown) = from_cluster(&[]);
    assert!(
        shown.contains("KUBERNETES_SERVICE_PORT is not set"),
        "{shown}"
    );
    is_in_plain_words(&shown, folder.path());
}

/// What a server says that reads its table from a cluster, and cannot.
fn from_cluster(flags: &[&str]) -> (i32, String) {
    let address = "127.0.0.1:0";
    let mut command = command();
    command.args(["serve", "--bind", address, "--admin-bind", address]);
    command.args(["--table-source", "cluster", "--tls-self-signed"]);
    command.env_remove("KUBERNETES_SERVICE_HOST");
    ends(command.args(flags))
}

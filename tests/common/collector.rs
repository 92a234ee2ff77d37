//! The OpenTelemetry Collector as a process that ends with its test. It logs each span that it gets.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use berth_cluster::{Error, Parts};
use serde_json::{Value, json};

use super::process::PATIENCE;

/// A Collector on ports of its own.
pub struct Collector {
    child: Child,
    log: Receiver<Value>,
    /// Where it takes OTLP over HTTP, and over gRPC: host and port.
    pub http: String,
    pub grpc: String,
}

/// A span, as the Collector shows it: its fields, its attributes and those of its resource, by name.
pub type Span = BTreeMap<String, String>;

impl Collector {
    /// Starts one. None where it cannot be built, which the script says.
    pub fn start() -> Option<Self> {
        Self::with(&json!({}))
    }

    /// The same, with more settings of its port for HTTP.
    pub fn with(http: &Value) -> Option<Self> {
        let parts = match Parts::find(None) {
            Ok(parts) => parts,
            Err(Error::Missing(said)) => {
                eprintln!("{said}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let mut settings = json!({"endpoint": "127.0.0.1:0"});
        let more = http.as_object().expect("an object").clone();
        settings.as_object_mut().expect("an object").extend(more);
        let config = json!({
            "receivers": {"otlp": {"protocols": {"http": settings, "grpc": {"endpoint": "127.0.0.1:0"}}}},
            "exporters": {"debug": {"verbosity": "detailed"}},
            "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["debug"]}}},
        });
        let mut child = Command::new(parts.path("collector").expect("a part"))
            .arg(format!("--config=yaml:{config}"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = lines(child.stderr.take().expect("piped"));
        let mut collector = Self {
            child,
            log,
            http: String::new(),
            grpc: String::new(),
        };
        while collector.http.is_empty() || collector.grpc.is_empty() {
            let line = collector.line();
            let endpoint = line["endpoint"].as_str().unwrap_or_default().to_owned();
            match line["msg"].as_str() {
                Some("Starting HTTP server") => collector.http = endpoint,
                Some("Starting GRPC server") => collector.grpc = endpoint,
                _ => {}
            }
        }
        Some(collector)
    }

    /// The next spans that it gets, which come together.
    pub fn spans(&self) -> Vec<Span> {
        loop {
            let line = self.line();
            let text = line["msg"].as_str().unwrap_or_default();
            if text.starts_with("ResourceSpans #") {
                return spans(text);
            }
        }
    }

    /// Waits for a span.
    pub fn span(&self, wanted: impl Fn(&Span) -> bool) -> Span {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(span) = self.spans().into_iter().find(&wanted) {
                return span;
            }
            assert!(Instant::now() < deadline, "no such span");
        }
    }

    fn line(&self) -> Value {
        let line = self.log.recv_timeout(PATIENCE);
        line.expect("the Collector says no more, or nothing in time")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(log: impl Read + Send + 'static) -> Receiver<Value> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The spans in the words of the Collector: a line `name : value` for a field, and `-> name: Type(value)` for an attribute.
fn spans(text: &str) -> Vec<Span> {
    let (mut all, mut resource): (Vec<Span>, _) = (Vec::new(), Span::new());
    let mut is_resource = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("ResourceSpans #") {
            (resource, is_resource) = (Span::new(), true);
        } else if line.starts_with("Span #") {
            all.push(resource.clone());
            is_resource = false;
        } else if let Some(attribute) = line.strip_prefix("-> ") {
            // a value of several lines, as others have, is of no use here
            let Some((name, typed)) = attribute.split_once(": ") else {
                continue;
            };
            let (_, value) = typed.split_once('(').unwrap_or_default();
            let value = value.strip_suffix(')').unwrap_or(value).to_owned();
            let span = all.last_mut().filter(|_| !is_resource);
            span.unwrap_or(&mut resource).insert(name.to_owned(), value);
        } else if let (Some(span), Some((name, value))) = (all.last_mut(), line.split_once(" :")) {
            span.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    all
}

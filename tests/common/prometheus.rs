//! The rules and the dashboard as a Prometheus of a namespace has them, and a Prometheus as a process that ends with its
//! test.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::channel,
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{client, path, process::PATIENCE, tool};

pub const DASHBOARD: &str = "deploy/chart/berth/dashboard.json";
const RULES: &str = "deploy/kustomize/components/prometheus/rules.yaml";

/// The groups of rules, as a namespace berth has them.
pub fn rules() -> Value {
    let text = fs::read_to_string(path(RULES)).expect("a file");
    let text = text.replace("$(BERTH_NAMESPACE)", "berth");
    let rule: Value = serde_saphyr::from_str(&text).expect("YAML");
    json!({"groups": rule["spec"]["groups"]})
}

pub fn alerts() -> BTreeSet<String> {
    let rules = &rules()["groups"][0]["rules"];
    let rules = rules.as_array().expect("rules").iter();
    let names = rules.map(|rule| rule["alert"].as_str().expect("a name").to_owned());
    names.collect()
}

/// What a panel of the dashboard asks for.
#[derive(Debug)]
pub struct Expression {
    /// The panel's title.
    pub title: String,
    pub expr: String,
    /// What names its lines, with labels as `{{pod}}`.
    pub legend: String,
}

/// Each expression of the dashboard, for the job berth in the namespace berth.
pub fn expressions() -> Vec<Expression> {
    let text = fs::read_to_string(path(DASHBOARD)).expect("a file");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let all = panels.flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| {
            let expr = target["expr"].as_str().expect("an expression");
            let expr = expr.replace("$job", "berth").replace("$namespace", "berth");
            Expression {
                title: title.clone(),
                expr: expr.replace("$__rate_interval", "5m"),
                legend: target["legendFormat"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            }
        })
    });
    all.collect()
}

/// A Prometheus on a port of its own, with our rules.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    /// Its settings, its rules and what it has scraped.
    _folder: TempDir,
}

impl Prometheus {
    /// Where the binary is. None where it cannot be installed, which the script says.
    pub fn binary() -> Option<PathBuf> {
        tool("tools/prometheus")
    }

    /// Starts one that scrapes these jobs (`scrape_configs`) each second.
    pub fn start(binary: PathBuf, jobs: &[Value]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [file("rules.json")],
            "scrape_configs": jobs,
        });
        // YAML is a superset of JSON
        fs::write(file("rules.json"), rules().to_string()).expect("written");
        fs::write(file("config.json"), config.to_string()).expect("written");
        let mut child = Command::new(binary)
            .arg(format!("--config.file={}", file("config.json").display()))
            .arg(format!("--storage.tsdb.path={}", file("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = child.stderr.take().expect("piped");
        let mut prometheus = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            _folder: folder,
        };
        prometheus.address = listens(log);
        prometheus
    }

    /// What its API says to a question, as `query`, with parameters.
    pub async fn asked(&self, question: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("http://{}/api/v1/{question}", self.address);
        let url = reqwest::Url::parse_with_params(&url, parameters).expect("a URL");
        let client = client::builder("").timeout(PATIENCE).build();
        let answer = client.expect("a client").get(url).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        assert_eq!(
            answer["status"], "success",
            "{question} {parameters:?}: {answer}"
        );
        answer["data"].clone()
    }

    /// The series that an expression comes to now.
    pub async fn query(&self, expr: &str) -> Vec<Value> {
        let data = self.asked("query", &[("query", expr)]).await;
        data["result"].as_array().expect("a vector").clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a log until it listens and is ready. What comes after that is read, too, so that it never waits in the pipe.
fn listens(log: impl Read + Send + 'static) -> SocketAddr {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            // the test has what it waits for
            let _ = sender.send(line);
        }
    });
    let (mut said, mut address, mut is_ready) = (Vec::new(), None, false);
    loop {
        if let (Some(address), true) = (address, is_ready) {
            return address;
        }
        let line = receiver.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("Prometheus is not ready: {said:#?}"));
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        match event["msg"].as_str() {
            Some("Listening on") => {
                let text = event["address"].as_str().expect("an address");
                address = Some(text.parse().expect("an address"));
            }
            Some("Server is ready to receive web requests.") => is_ready = true,
            _ => {}
        }
        said.push(line);
    }
}

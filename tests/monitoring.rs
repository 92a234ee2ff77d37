//! Alerts and dashboard in Prometheus' own engine: promtool runs them over series, without a server or a clock.
#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, sync::Arc, time::Duration};

use berth_core::{live::Room, outcome::Reason};
use berth_server::metrics::{
    Metrics,
    pools::{Numbers, Pools},
};
use serde_json::{Value, json};

mod common;

use common::{
    client::{get, https},
    example, path,
    process::serve,
    prometheus::{DASHBOARD, alerts, expressions, rules},
    tool,
};

/// The labels of a replica's series.
const REPLICA: &str = r#"job="berth",namespace="berth",pod="berth-0",instance="10.0.0.7:8080""#;

/// None where it cannot be installed, which the script says.
fn promtool() -> Option<PathBuf> {
    tool("tools/promtool")
}

/// A series, and its values as promtool writes them.
type Series = (String, String);

fn series(metric: &str, labels: &str, values: &str) -> Series {
    (format!("{metric}{{{labels}}}"), values.to_owned())
}

/// A test of promtool's: what each expression comes to after an hour and a half of the series.
fn unit(input: &[Series], expressions: &[(String, u8)]) -> Value {
    let input = input
        .iter()
        .map(|(series, values)| json!({"series": series, "values": values}));
    let tests = expressions.iter().map(|(expr, value)| {
        json!({
            "expr": expr, "eval_time": "90m",
            "exp_samples": [{"labels": "{}", "value": value}],
        })
    });
    json!({
        "interval": "1m",
        "input_series": input.collect::<Vec<_>>(),
        "promql_expr_test": tests.collect::<Vec<_>>(),
    })
}

/// Runs the tests with the rules.
fn run(promtool: &PathBuf, tests: Vec<Value>) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (rules_file, tests_file) = (folder.path().join("rules"), folder.path().join("tests"));
    fs::write(&rules_file, rules().to_string()).expect("written");
    let all = json!({"rule_files": [rules_file], "evaluation_interval": "1m", "tests": tests});
    fs::write(&tests_file, all.to_string()).expect("written");
    let mut command = Command::new(promtool);
    let ran = command.args(["test", "rules"]).arg(&tests_file).output();
    let ran = ran.expect("promtool starts");
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(ran.status.success(), "{said}");
}

#[test]
fn prometheus_takes_the_rules() {
    let Some(promtool) = promtool() else {
        return;
    };
    let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    fs::write(file.path(), rules().to_string()).expect("written");
    let mut command = Command::new(promtool);
    let checked = command.args(["check", "rules"]).arg(file.path()).output();
    let checked = checked.expect("promtool starts");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
    let expected = format!("SUCCESS: {} rules found", alerts().len());
    assert!(said.contains(&expected), "{said}");
}

/// What two replicas show where all is well.
fn well() -> Vec<Series> {
    let hook = r#"name="pods.berth.dev""#;
    let mut all = vec![
        series(
            "apiserver_admission_webhook_rejection_count",
            &format!(r#"{hook},error_type="calling_webhook_error""#),
            "0x120",
        ),
        series("apiserver_admission_webhook_fail_open_count", hook, "0x120"),
        series(
            "kube_deployment_status_replicas_available",
            r#"deployment="berth",namespace="berth""#,
            "2x120",
        ),
        series(
            "kube_deployment_spec_replicas",
            r#"deployment="berth",namespace="berth""#,
            "2x120",
        ),
    ];
    for pod in ["berth-0", "berth-1"] {
        let of = |more: &str| {
            format!(r#"job="berth",namespace="berth",pod="{pod}",instance="{pod}"{more}"#)
        };
        let mut add =
            |metric: &str, more: &str, values: &str| all.push(series(metric, &of(more), values));
        add("up", "", "1x120");
        add(
            "berth_reviews_total",
            r#",result="mutated",reason="Placed",class="vllm",pool="a""#,
            "0+60x120",
        );
        add(
            "berth_reviews_total",
            r#",result="denied",reason="UnknownClass",class="",pool="""#,
            "0+1x120",
        );
        add(
            "berth_review_duration_seconds_bucket",
            r#",le="1.0""#,
            "0+61x120",
        );
        add(
            "berth_review_duration_seconds_bucket",
            r#",le="5.0""#,
            "0+61x120",
        );
        add(
            "berth_review_duration_seconds_bucket",
            r#",le="+Inf""#,
            "0+61x120",
        );
        add("berth_panics_total", "", "0x120");
        add("berth_table_classes", "", "5x120");
        add("berth_source_invalid", r#",source="table""#, "0x120");
        add(
            "berth_watch_last_contact_timestamp_seconds",
            r#",kind="Node""#,
            "0+60x120",
        );
        add(
            "berth_objects",
            r#",kind="GPUPool",accepted="false""#,
            "0x120",
        );
        add("berth_forwards_total", r#",result="answered""#, "0+10x120");
        add("berth_forwards_total", r#",result="failed""#, "0x120");
        add("berth_table_info", r#",revision="3c2470915ff1""#, "1x120");
        add(
            "berth_build_info",
            r#",version="0.1.0",commit="c""#,
            "1x120",
        );
        add(
            "berth_certificate_not_after_timestamp_seconds",
            "",
            "8640000x120",
        );
        add("berth_log_lines_dropped_total", "", "0x120");
    }
    all
}

/// The same series, where those of the metric with the text in their labels have other values.
fn but(metric: &str, labels: &str, values: &str) -> Vec<Series> {
    let mut all = well();
    let mut found = false;
    for (series, old) in &mut all {
        if series.starts_with(&format!("{metric}{{")) && series.contains(labels) {
            values.clone_into(old);
            found = true;
        }
    }
    assert!(found, "{metric} {labels}");
    all
}

fn and(metric: &str, more: &str, values: &str) -> Vec<Series> {
    let mut all = well();
    let labels = format!(r#"job="berth",namespace="berth",pod="berth-1",instance="berth-1"{more}"#);
    all.push(series(metric, &labels, values));
    all
}

#[test]
fn each_alert_fires_alone_for_what_it_is_for() {
    let Some(promtool) = promtool() else {
        return;
    };
    let (rises, none) = ("0+10x120", "0x120");
    let error = r#",result="error",reason="Overloaded",class="",pool="""#;
    let stray = r#",result="allowed",reason="NoClass",class="",pool="""#;
    let cases = [
        (
            "BerthUnreachable",
            but("apiserver_admission_webhook_rejection_count", "", rises),
        ),
        (
            "BerthFailOpen",
            but("apiserver_admission_webhook_fail_open_count", "", rises),
        ),
        (
            "BerthReplicas",
            but("kube_deployment_status_replicas_available", "", "1x120"),
        ),
        // and BerthErrorBudgetSlow, which is for less
        (
            "BerthErrorBudgetFast",
            and("berth_reviews_total", error, rises),
        ),
        // 2 of 1,000
        (
            "BerthErrorBudgetSlow",
            and("berth_reviews_total", error, "0+0.25x120"),
        ),
        (
            "BerthPanicked",
            but("berth_panics_total", "berth-1", "0x60 1x60"),
        ),
        (
            "BerthSlow",
            but("berth_review_duration_seconds_bucket", r#"le="1.0""#, none),
        ),
        (
            "BerthDenials",
            but("berth_reviews_total", "denied", "0+90x120"),
        ),
        (
            "BerthStrayRequests",
            and("berth_reviews_total", stray, rises),
        ),
        (
            "BerthTableEmpty",
            but("berth_table_classes", "berth-1", none),
        ),
        (
            "BerthSourceInvalid",
            but("berth_source_invalid", "berth-1", "1x120"),
        ),
        (
            "BerthWatchSilent",
            but(
                "berth_watch_last_contact_timestamp_seconds",
                "berth-1",
                none,
            ),
        ),
        ("BerthObjectNotAccepted", but("berth_objects", "", "1x120")),
        (
            "BerthChoosesApart",
            but("berth_forwards_total", "failed", rises),
        ),
        (
            "BerthTablesDiffer",
            and("berth_table_info", r#",revision="other""#, "1x120"),
        ),
        (
            "BerthReleasesDiffer",
            and(
                "berth_build_info",
                r#",version="0.2.0",commit="d""#,
                "1x120",
            ),
        ),
        (
            "BerthCertificateEnds",
            but(
                "berth_certificate_not_after_timestamp_seconds",
                "berth-1",
                "600000x120",
            ),
        ),
        (
            "BerthLogLinesDropped",
            but("berth_log_lines_dropped_total", "berth-1", rises),
        ),
        // and BerthReplicas, since replicas are down
        ("BerthDown", but("up", "", none)),
    ];
    let named: BTreeSet<_> = cases.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, alerts());
    let firing = |which: &str| {
        format!(
            r#"count(count by (alertname) (ALERTS{{alertstate="firing"{which}}})) or vector(0)"#
        )
    };
    let mut tests = vec![unit(&well(), &[(firing(""), 0)])];
    tests.extend(cases.map(|(name, input)| {
        let others = u8::from(["BerthDown", "BerthErrorBudgetFast"].contains(&name));
        let this = firing(&format!(r#",alertname="{name}""#));
        unit(&input, &[(this, 1), (firing(""), 1 + others)])
    }));
    run(&promtool, tests);
}

/// The lines of a scrape as series whose counters rise.
fn scraped(text: &str) -> Vec<Series> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let read = samples.map(|line| {
        // no value of a label has a space here
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let (metric, labels) = name.split_once('{').unwrap_or((name, "}"));
        let labels = labels.trim_end_matches('}');
        let comma = if labels.is_empty() { "" } else { "," };
        let value: f64 = value.parse().expect("a number");
        let counts = ["_total", "_count", "_sum", "_bucket"];
        let rises = counts.iter().any(|end| metric.ends_with(end));
        let values = if rises {
            format!("0+{value}x120")
        } else {
            format!("{value}x120")
        };
        series(metric, &format!("{REPLICA}{comma}{labels}"), &values)
    });
    read.collect()
}

/// What a server shows after a Pod is placed, one denied, one warned of, and a body that is no review.
async fn scrape() -> String {
    let (berth, ca) = serve(&[]);
    let client = https(&ca);
    let url = format!("https://localhost:{}/mutate", berth.webhook.port());
    let ask = async |body: String| {
        let request = client.post(&url).header("Content-Type", "application/json");
        request.body(body).send().await.expect("an answer");
    };
    let placed = example("vllm");
    ask(placed.to_string()).await;
    let mut denied = placed.clone();
    denied["request"]["object"]["metadata"]["labels"]["berth.dev/workload-class"] = "vlm".into();
    ask(denied.to_string()).await;
    let mut warned = placed;
    warned["request"]["object"]["metadata"]["labels"]["berth.dev/workload-clas"] = "x".into();
    ask(warned.to_string()).await;
    ask("{".to_owned()).await;
    get(berth.admin, "/metrics").await
}

/// What a server shows with its table in the cluster, from the same code without a cluster: `tests/cluster` has the real ones.
fn of_a_cluster() -> String {
    let metrics = Arc::new(Metrics::default());
    metrics.contacted("Node");
    metrics.objects("GPUPool", 1, 1);
    metrics.forwarded("answered");
    metrics.chose(Room::Enough);
    metrics.reservations_expired.inc();
    let gpus = ["allocatable", "used", "reserved", "free", "unknown"].map(|state| (state, 1));
    let nodes = ["matching", "usable", "unknown"].map(|state| (state, 1));
    let pools: &Pools = &metrics.pools;
    pools.show("strix-halo", &Numbers { gpus, nodes });
    metrics.failed(Reason::Overloaded, Duration::ZERO);
    metrics.text().expect("text")
}

#[tokio::test]
async fn each_panel_of_the_dashboard_has_data() {
    let Some(promtool) = promtool() else {
        return;
    };
    let mut input = scraped(&scrape().await);
    let known: BTreeSet<_> = input.iter().map(|(series, _)| series.clone()).collect();
    let more = scraped(&of_a_cluster()).into_iter();
    input.extend(more.filter(|(series, _)| !known.contains(series)));
    let hook = r#"name="pods.berth.dev""#;
    let failed = format!(r#"{hook},error_type="calling_webhook_error""#);
    let bucket = format!(r#"{hook},le="+Inf""#);
    // the API server's own
    for (metric, labels) in [
        ("apiserver_admission_webhook_rejection_count", &*failed),
        ("apiserver_admission_webhook_fail_open_count", hook),
        (
            "apiserver_admission_webhook_admission_duration_seconds_bucket",
            &bucket,
        ),
    ] {
        input.push(series(metric, labels, "0+1x120"));
    }
    let expressions = expressions();
    assert!(expressions.len() > 30, "{expressions:?}");
    let there = expressions
        .iter()
        .map(|it| (format!("count({}) > bool 0", it.expr), 1));
    run(&promtool, vec![unit(&input, &there.collect::<Vec<_>>())]);
}

/// No Grafana runs here: its types say what it reads of a dashboard, and of each panel.
#[test]
fn the_dashboard_is_of_grafanas_own_types() {
    let check = |dashboard: &Value| {
        let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
        fs::write(file.path(), dashboard.to_string()).expect("written");
        let mut command = Command::new(path("tools/grafana-schema/check"));
        let ran = command.arg(file.path()).output().expect("a shell");
        let said = [ran.stdout, ran.stderr].concat();
        (
            ran.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let text = fs::read_to_string(path(DASHBOARD)).expect("a file");
    let mut dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let (code, said) = check(&dashboard);
    if code == Some(3) {
        eprintln!("{said}");
        return;
    }
    assert_eq!(code, Some(0), "{said}");
    let panels = dashboard["panels"].as_array_mut().expect("panels");
    let stat = panels.iter_mut().find(|panel| panel["type"] == "stat");
    stat.expect("one")["options"]["colorMode"] = json!("colourful");
    let (code, said) = check(&dashboard);
    assert!(code != Some(0) && said.contains("colourful"), "{said}");
}

#[test]
fn the_dashboard_is_one_and_explains_itself() {
    let chart = fs::read_to_string(path(DASHBOARD)).expect("a file");
    let kustomize = path("deploy/kustomize/components/grafana/dashboard.json");
    assert_eq!(chart, fs::read_to_string(kustomize).expect("a file"));
    let dashboard: Value = serde_json::from_str(&chart).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(
        ids.len(),
        panels.len(),
        "each panel has a number of its own"
    );
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && taken.insert((x, y)), "{title} lies over another");
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

//! What the commands that ask a cluster say where there is none, or one that does not answer as an API server does.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use common::process::{arg, command};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A question of each command that asks a cluster.
const QUESTIONS: [&[&str]; 7] = [
    &["check"],
    &["explain", "pod/x"],
    &["classes"],
    &["bench", "--cluster"],
    &["lint", "--from-cluster"],
    &["adopt", "--from-cluster"],
    &["init", "--from-cluster"],
];

/// A kubeconfig for a server and a user, in a folder of its own.
fn kubeconfig(server: &str, user: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": user}],
    });
    fs::write(&file, config.to_string()).expect("written");
    (folder, file)
}

/// Each question ends with the exit code and the sentence, and without an answer.
fn all_end(asks: impl Fn(&mut Command), code: i32, says: &str) {
    for question in QUESTIONS {
        let mut command = command();
        asks(command.args(question));
        let output = command.output().expect("berth starts");
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(code), "{question:?}: {said}");
        assert!(output.stdout.is_empty(), "{question:?}: {output:?}");
        assert!(said.contains(says), "{question:?}: {says}: {said}");
    }
}

fn of_file(file: &Path) -> impl Fn(&mut Command) {
    let file = file.to_owned();
    move |command| {
        command.args(["--kubeconfig", arg(&file)]);
    }
}

/// A server that gives everybody one answer, until the test is over.
fn answers(status: &str, kind: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            let lines = BufReader::new(&connection).lines();
            // the request's head; a question has no body
            let head = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty());
            head.for_each(drop);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn nobody_listens() {
    // a port that was free a moment ago
    let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let (_folder, file) = kubeconfig(&format!("https://{}", free.expect("a port")), &json!({}));
    let says = "Connection refused; is the cluster of the kubeconfig's context there?";
    all_end(of_file(&file), 3, says);
}

#[test]
fn who_asks_is_not_known() {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
    });
    let server = answers("401 Unauthorized", "application/json", &status.to_string());
    let (_folder, file) = kubeconfig(&server, &json!({"token": "expired"}));
    all_end(of_file(&file), 3, "Unauthorized; log in again");
}

#[test]
fn the_server_is_no_api_server() {
    let page = "<!DOCTYPE HTML>\n<html>\n<p>Not here.</p>\n</html>";
    let server = answers("404 Not Found", "text/html", page);
    let (_folder, file) = kubeconfig(&server, &json!({}));
    all_end(
        of_file(&file),
        3,
        "an answer of status 404 that is not an API server's; is the cluster",
    );
    // what the API server says to http
    let says = "Client sent an HTTP request to an HTTPS server.";
    let server = answers("400 Bad Request", "text/plain", says);
    let (_folder, file) = kubeconfig(&server, &json!({}));
    all_end(of_file(&file), 3, says.trim_end_matches('.'));
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let variable = |path: PathBuf| {
        move |command: &mut Command| {
            command.env("KUBECONFIG", &path);
            command.env_remove("KUBERNETES_SERVICE_HOST");
        }
    };
    let absent = folder.path().join("absent");
    all_end(of_file(&absent), 2, "No such file");
    all_end(variable(absent), 2, "no cluster: there is no kubeconfig");
    let is_folder = folder.path().to_owned();
    all_end(
        variable(is_folder),
        2,
        "Is a directory; check the path and its permissions",
    );

    let exec = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-command", "interactiveMode": "Never",
    }});
    let (_folder, file) = kubeconfig("https://127.0.0.1:1", &exec);
    let says =
        "the command by which the kubeconfig's user logs in (exec) does not start: No such file";
    all_end(of_file(&file), 2, says);
    let lost = json!({"client-certificate": "lost.crt", "client-key": "lost.key"});
    let (_folder, file) = kubeconfig("https://127.0.0.1:1", &lost);
    all_end(of_file(&file), 2, "lost.crt: No such file");
}

//! Chromium as people have it, driven by `WebDriver`: the little of that protocol that a page needs. A library of it brings
//! 22 crates, and what is asked here most is Chromium's own: widths, dark, scripts off, the console.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{client, process::PATIENCE, tool};

/// A window of a browser that ends with its test.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    client: reqwest::Client,
    session: String,
    /// Where it keeps what it writes.
    folder: TempDir,
}

impl Browser {
    /// Opens a window. None where this machine has no browser.
    pub async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut driver = Command::new(tool("tools/chromium")?)
            .arg("--port=0")
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines.find_map(|line| {
            let line = line.expect("text");
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("a port")));
        let client = client::builder("").timeout(PATIENCE * 2).build();
        let mut browser = Self {
            driver,
            address,
            client: client.expect("a client"),
            session: String::new(),
            folder,
        };
        let profile = format!("--user-data-dir={}", browser.folder.path().display());
        let arguments = [
            "--headless=new",
            // as root, as CI is
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            &profile,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let session = browser.post("session", wanted).await;
        let session = session["sessionId"].as_str().expect("a session");
        browser.session = format!("session/{session}/");
        browser
            .tell("timeouts", json!({"script": PATIENCE.as_millis()}))
            .await;
        Some(browser)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}/{path}", self.address);
        let answer = self.client.post(url).json(&body).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        assert!(
            answer["value"]["error"].is_null(),
            "{path} {body}: {answer}"
        );
        answer["value"].clone()
    }

    async fn tell(&self, command: &str, body: Value) -> Value {
        self.post(&format!("{}{command}", self.session), body).await
    }

    /// Goes to a page, which is loaded then.
    pub async fn open(&self, url: &str) {
        self.tell("url", json!({"url": url})).await;
    }

    /// What a function's body returns in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.tell("execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// Waits until an expression is true in the page, which is asked at every change of it.
    pub async fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0]; const ask = () => {expression};
             if (ask()) return done();
             const observer = new MutationObserver(() => {{ if (ask()) {{ observer.disconnect(); done(); }} }});
             observer.observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}});"
        );
        self.tell("execute/async", json!({"script": script, "args": []}))
            .await;
    }

    /// A command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, params: Value) {
        self.tell(
            "goog/cdp/execute",
            json!({"cmd": command, "params": params}),
        )
        .await;
    }

    /// As wide as a telephone, say; and as high as the page is.
    pub async fn width(&self, width: u32, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
        for height in [json!(800), Value::Null] {
            let height = match height {
                Value::Null => {
                    self.run("return document.documentElement.scrollHeight")
                        .await
                }
                height => height,
            };
            let size =
                json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
            self.devtools("Emulation.setDeviceMetricsOverride", size)
                .await;
        }
    }

    /// What it looks like, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let url = format!("http://{}/{}screenshot", self.address, self.session);
        let answer = self.client.get(url).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        let picture = answer["value"].as_str().expect("a picture");
        STANDARD.decode(picture).expect("base64")
    }

    /// What the console has said since it was asked last: errors, and what the page's policy did not let through.
    pub async fn console(&self) -> Vec<String> {
        let said = self.tell("se/log", json!({"type": "browser"})).await;
        let said = said.as_array().expect("lines").iter();
        said.map(|line| line["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    /// The driver ends the browser, which is no child of ours.
    fn drop(&mut self) {
        let shutdown = TcpStream::connect(self.address).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(
                b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            )?;
            stream.read_to_end(&mut Vec::new())
        });
        if shutdown.is_err() {
            let _ = self.driver.kill();
        }
        let _ = self.driver.wait();
    }
}

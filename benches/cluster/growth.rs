//! What a create costs as the table grows: all tables and all contenders in turns of one run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use axum::http::Request;
use berth_cluster::ControlPlane;
use kube::Client;
use serde_json::Value;

use crate::{
    Failure,
    chart::{Axis, Line, Panel, draw},
    measure::{median, shuffled},
    policy::{self, Policy},
    subjects::{Servers, is_placed, namespace, pod},
    table,
};

/// The tables.
const CLASSES: [usize; 4] = [5, 100, 1_000, 10_000];
/// Rounds end after so long, or so many.
const MOST: Duration = Duration::from_mins(4);
const ROUNDS: usize = 600;
/// A create that takes longer than this one is in every tenth round alone.
const SLOW: Duration = Duration::from_millis(30);
const SELDOM: usize = 10;
/// How long a policy may need to be in force.
const PATIENCE: Duration = Duration::from_mins(1);
/// Classes that fit in one expression.
const PART: usize = 2_500;

/// Who places the Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Who {
    Nothing,
    Constant,
    Berth,
    Literal,
    Selected,
    Bound,
}

/// One contender with one table, in a namespace of its own.
#[derive(Debug)]
struct Subject {
    who: Who,
    classes: usize,
    /// What each create took in milliseconds, and in which round.
    times: Vec<(usize, f64)>,
    every: usize,
}

impl Who {
    const ALL: [Self; 5] = [
        Self::Berth,
        Self::Constant,
        Self::Literal,
        Self::Selected,
        Self::Bound,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Constant => "a constant answer",
            Self::Berth => "berth",
            Self::Literal => "a policy, classes literal",
            Self::Selected => "a policy, an object a class",
            Self::Bound => "a policy, an object and a binding a class",
        }
    }
}

impl Subject {
    fn new(who: Who, classes: usize) -> Self {
        Self {
            who,
            classes,
            times: Vec::new(),
            every: 1,
        }
    }

    fn namespace(&self) -> String {
        let who = format!("{:?}", self.who).to_lowercase();
        format!("{who}-{}", self.classes)
    }

    async fn install(
        &self,
        servers: &Servers<'_>,
        client: &Client,
        table: &Path,
    ) -> Result<(), Failure> {
        let name = self.namespace();
        let policy = Policy {
            name: &name,
            reinvocation: "Never",
        };
        match self.who {
            Who::Nothing => return Ok(()),
            Who::Constant => servers
                .serve(&name, &env::current_exe()?, table)
                .await
                .map(drop)?,
            Who::Berth => {
                let berth = PathBuf::from(env!("CARGO_BIN_EXE_berth"));
                servers.serve(&name, &berth, table).await.map(drop)?;
            }
            Who::Literal => {
                let whole = policy::literal(client, policy, self.classes, self.classes).await;
                if let Err(refused) = whole {
                    println!(
                        "{} classes in one expression: {}",
                        self.classes,
                        first(&*refused)
                    );
                    policy::literal(client, policy, self.classes, PART).await?;
                }
            }
            Who::Selected => {
                policy::classes(client, &name, self.classes).await?;
                policy::selected(client, policy).await?;
            }
            Who::Bound => {
                policy::classes(client, &name, self.classes).await?;
                policy::bound(client, policy, self.classes).await?;
            }
        }
        self.in_force(client).await
    }

    /// Waits until the Pod is placed: else what the API server says.
    async fn in_force(&self, client: &Client) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = match self.create(client).await {
                Ok(pod) if is_placed(&pod) => return Ok(()),
                Ok(_) => "the Pod is not placed".into(),
                Err(error) => error,
            };
            if Instant::now() > deadline {
                return Err(said);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A Pod of the class in the middle of the table.
    fn pod(&self) -> Value {
        pod(self.classes / 2)
    }

    async fn create(&self, client: &Client) -> Result<Value, Failure> {
        let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", self.namespace());
        let request = Request::post(path).header("Content-Type", "application/json");
        Ok(client
            .request(request.body(self.pod().to_string().into_bytes())?)
            .await?)
    }

    async fn measure(&mut self, client: &Client, round: usize) -> Result<(), Failure> {
        let started = Instant::now();
        self.create(client).await?;
        let took = started.elapsed();
        if round == 0 {
            // the first one does not count, and says how often it can be asked
            self.every = if took > SLOW { SELDOM } else { 1 };
        } else {
            self.times.push((round, took.as_secs_f64() * 1e3));
        }
        Ok(())
    }

    /// The median of the differences with another one in the same rounds.
    fn added(&self, base: &Self) -> f64 {
        let of = |round| base.times.binary_search_by_key(&round, |time| time.0);
        let difference = |(round, time): &(usize, f64)| Some(time - base.times[of(*round).ok()?].1);
        median(self.times.iter().filter_map(difference).collect())
    }
}

/// Measures, prints and draws.
pub(crate) async fn run(control_plane: &ControlPlane) -> Result<(), Failure> {
    let client = control_plane.client().await?;
    let mut subjects = install(control_plane, &client).await?;
    let until = Instant::now() + MOST;
    let mut rounds = 0;
    while rounds <= ROUNDS && Instant::now() < until {
        for i in shuffled(rounds, subjects.len()) {
            if rounds.is_multiple_of(subjects[i].every) {
                subjects[i].measure(&client, rounds).await?;
            }
        }
        rounds += 1;
    }
    let Some((nothing, subjects)) = subjects.split_first() else {
        return Ok(());
    };
    let base = median(nothing.times.iter().map(|time| time.1).collect());
    println!(
        "\ndry runs of a Pod of some {} bytes, one at a time, {} rounds at most: ms at the median, and what is added by classes",
        nothing.pod().to_string().len(),
        rounds - 1
    );
    println!("{:42} {base:10.2}", nothing.who.name());
    let line = |who: Who| {
        let of = subjects.iter().filter(|subject| subject.who == who);
        let points = of.map(|subject| (subject.classes as f64, subject.added(nothing)));
        Line {
            name: who.name(),
            points: points.collect(),
        }
    };
    let mut lines: Vec<Line> = Who::ALL.into_iter().map(line).collect();
    for line in &lines {
        let points = line.points.iter();
        let texts: Vec<String> = points
            .map(|(classes, added)| format!("{classes:6}: +{added:.2}"))
            .collect();
        println!("{:42} {}", line.name, texts.join("  "));
    }
    for line in &mut lines {
        // a logarithm has no place for the others
        line.points.retain(|point| point.1 > 0.0);
    }
    let panel = Panel {
        x: Axis::tens("classes of the table"),
        y: Axis::tens("ms added to a create, median"),
        lines,
    };
    draw("docs/cost-classes.svg", &[panel])
}

/// Installs all of them, the base first. One that the API server does not take is named, and left out.
async fn install(control_plane: &ControlPlane, client: &Client) -> Result<Vec<Subject>, Failure> {
    let all = CLASSES
        .into_iter()
        .flat_map(|classes| Who::ALL.map(|who| Subject::new(who, classes)));
    let all: Vec<Subject> = [Subject::new(Who::Nothing, 0)]
        .into_iter()
        .chain(all)
        .collect();
    let names: Vec<String> = all.iter().map(Subject::namespace).collect();
    let servers = Servers::new(control_plane, client, &names)?;
    let mut installed = Vec::new();
    for subject in all {
        namespace(client, &subject.namespace()).await?;
        let table = control_plane.path(&format!("{}.json", subject.namespace()));
        fs::write(&table, table::text(subject.classes))?;
        match subject.install(&servers, client, &table).await {
            Ok(()) => installed.push(subject),
            Err(error) => println!("left out: {}: {}", subject.namespace(), first(&*error)),
        }
    }
    Ok(installed)
}

/// The beginning and the end of what may quote a whole policy.
fn first(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let begin: String = text.chars().take(300).collect();
    let end: String = text
        .chars()
        .rev()
        .take(400)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    if text.len() < 700 {
        text
    } else {
        format!("{begin} ... {end}")
    }
}

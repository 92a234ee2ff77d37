//! The board: a page on the admin port for who would rather look than read. What it shows is in [`berth_core::board`].
//!
//! ```text
//!   sources ─▶ Board ◀─ webhook           a change, and a decision: no more than a copy
//!                │
//!              keeper ─▶ Page ─▶ streams  made while somebody watches, twice a second at most
//! ```
//!
//! A page is made on a thread that computes, so that a probe does not wait for it, from a copy of the counts.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use clap::{Args, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::{JoinError, spawn_blocking},
    time::{sleep, timeout},
};

use crate::{process::host, state::ServerState};
use berth_core::{
    board::{Board as Shown, Decided, Known},
    fleet::Fleet,
    objects::Compiled,
    review::Answer,
};
use page::Page;

mod page;
mod routes;
mod stream;

pub(crate) use routes::routes;

/// So many decisions are kept, each of some hundred bytes.
const DECISIONS: usize = 50;
/// So many may watch at a time. Each has one of the admin port's connections, of which probes need some.
const STREAMS: usize = 16;
/// So much time lies between two pages.
const PAUSE: Duration = Duration::from_millis(500);
/// So often a page is made where nothing says that something has changed: a table of files, or a certificate that ends.
const SELDOM: Duration = Duration::from_secs(2);

/// Whether there is a board, and for whom.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Options {
    // class names would undo the one message of a 403, and Pod names are nobody's business: so not for everyone by default
    /// Who may see the board, a page at / of the admin port with the pools, the Pods that have their GPUs, the classes and
    /// the last decisions: loopback for who is on the machine or may use kubectl port-forward, all for who reaches the
    /// port, off for nobody
    #[arg(
        long,
        env = "BERTH_BOARD",
        value_name = "WHO",
        default_value = "loopback",
        hide_possible_values = true
    )]
    pub board: Audience,
}

/// Who may see the board.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Audience {
    /// Nobody: there is none.
    Off,
    /// Who connects from the machine itself, as `kubectl port-forward` does.
    Loopback,
    /// Who reaches the port.
    All,
}

/// The way to the board, for those who know what it shows.
#[derive(Clone, Debug)]
pub struct Board(Arc<Inner>);

/// How a copy of what is counted is had.
type Look = Box<dyn Fn() -> Fleet + Send + Sync>;

/// The last page, and when it was begun.
type Made = Option<(Instant, Arc<Page>)>;

struct Inner {
    audience: Audience,
    /// The name of this replica: others have decided other reviews.
    replica: String,
    /// The newest last.
    decisions: Mutex<VecDeque<Decided>>,
    compiled: ArcSwapOption<Compiled>,
    look: OnceLock<Look>,
    changed: Notify,
    /// Somebody watches from now on.
    came: Notify,
    streams: Arc<Semaphore>,
    made: tokio::sync::Mutex<Made>,
    latest: watch::Sender<Arc<Page>>,
    ended: watch::Sender<bool>,
}

impl Board {
    /// The board for an audience; none for nobody.
    #[must_use]
    pub fn new(options: Options) -> Option<Self> {
        (options.board != Audience::Off).then(|| {
            Self(Arc::new(Inner {
                audience: options.board,
                replica: host(),
                decisions: Mutex::new(VecDeque::with_capacity(DECISIONS)),
                compiled: ArcSwapOption::empty(),
                look: OnceLock::new(),
                changed: Notify::new(),
                came: Notify::new(),
                streams: Arc::new(Semaphore::new(STREAMS)),
                made: tokio::sync::Mutex::default(),
                latest: watch::Sender::new(Arc::default()),
                ended: watch::Sender::new(false),
            }))
        })
    }

    /// What is counted can be copied so.
    pub(crate) fn look_by(&self, look: impl Fn() -> Fleet + Send + Sync + 'static) {
        // a server follows one cluster
        let _ = self.0.look.set(Box::new(look));
        self.change();
    }

    /// These objects are in force.
    pub(crate) fn put(&self, compiled: Arc<Compiled>) {
        self.0.compiled.store(Some(compiled));
        self.change();
    }

    /// Something was seen that the board may show.
    pub(crate) fn change(&self) {
        self.0.changed.notify_one();
    }

    /// Takes what a review came to, in place of the oldest. It holds the lock while names, a message and some sentences are
    /// copied.
    pub(crate) fn decided(&self, answer: &Answer<'_>) {
        if !Decided::is_kept(answer.decision.reason) {
            return;
        }
        let at = Timestamp::now();
        let mut decisions = self.decisions();
        let oldest = (decisions.len() == DECISIONS).then(|| decisions.pop_front());
        decisions.push_back(Decided::of(answer, at, oldest.flatten()));
        drop(decisions);
        self.change();
    }

    /// Ends every stream, and lets no other begin: the server drains, and what comes next is another replica's.
    pub(crate) fn end(&self) {
        self.0.ended.send_replace(true);
    }

    /// Makes pages while somebody watches, as long as it is polled.
    pub(crate) async fn keep(self, state: Arc<ServerState>) {
        let inner = &self.0;
        loop {
            if inner.latest.receiver_count() == 0 {
                inner.came.notified().await;
            } else {
                // nothing may have said so
                let _ = timeout(SELDOM, inner.changed.notified()).await;
            }
            match self.new_page(&state).await {
                Ok(page) => drop(inner.latest.send_replace(page)),
                Err(error) => tracing::error!(%error, "the board was not made: a bug in berth"),
            }
            sleep(PAUSE).await;
        }
    }

    /// The page as things are, or were a moment ago: however many ask, the counts are copied so often at most.
    async fn page(&self, state: &Arc<ServerState>) -> Result<Arc<Page>, JoinError> {
        let mut made = self.0.made.lock().await;
        if let Some((_, page)) = made.as_ref().filter(|(at, _)| at.elapsed() < PAUSE) {
            return Ok(Arc::clone(page));
        }
        self.make_in(&mut made, state).await
    }

    /// The page as things are now.
    async fn new_page(&self, state: &Arc<ServerState>) -> Result<Arc<Page>, JoinError> {
        self.make_in(&mut *self.0.made.lock().await, state).await
    }

    async fn make_in(
        &self,
        made: &mut Made,
        state: &Arc<ServerState>,
    ) -> Result<Arc<Page>, JoinError> {
        let at = Instant::now();
        let (board, state) = (self.clone(), Arc::clone(state));
        let page = Arc::new(spawn_blocking(move || board.make(&state)).await?);
        *made = Some((at, Arc::clone(&page)));
        Ok(page)
    }

    fn make(&self, state: &ServerState) -> Page {
        let compiled = self.0.compiled.load_full();
        let view = state.view().clone();
        let table = match (&compiled, &view) {
            (Some(compiled), _) => Some(&compiled.table),
            (None, Some(view)) => Some(&view.table),
            (None, None) => None,
        };
        let fleet = self.0.look.get().map(|look| look());
        let shown = table.map(|table| {
            Shown::of(Known {
                table,
                compiled: compiled.as_deref(),
                fleet: fleet.as_ref(),
            })
        });
        let decisions: Vec<Decided> = self.decisions().iter().rev().cloned().collect();
        let not_ready = state.ready().err().unwrap_or_default();
        Page::new(&page::Content {
            replica: &self.0.replica,
            not_ready: &not_ready,
            is_of_files: compiled.is_none(),
            board: shown.as_ref(),
            decisions: &decisions,
        })
    }

    /// A panic elsewhere leaves a list whole.
    fn decisions(&self) -> std::sync::MutexGuard<'_, VecDeque<Decided>> {
        let decisions = &self.0.decisions;
        decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

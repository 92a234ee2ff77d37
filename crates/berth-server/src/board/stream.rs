//! What a page is told after it was loaded: each part that has changed, and now and then that nothing has.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::response::sse::Event;
use futures_util::{Stream, stream::unfold};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};

use super::{Board, page::Page};

/// So often something is said, so that who hears nothing knows that the connection is lost. `board.js` waits three times
/// as long.
const BEAT: Duration = Duration::from_secs(4);

/// Who watches.
struct Watcher {
    pages: watch::Receiver<Arc<Page>>,
    ended: watch::Receiver<bool>,
    /// What it was told last.
    told: Arc<Page>,
    to_tell: VecDeque<Event>,
    _seat: OwnedSemaphorePermit,
}

impl Board {
    /// What somebody who watches from now on is told; none where too many do, or the server drains.
    pub(super) fn watch(&self) -> Option<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        let inner = &self.0;
        let ended = inner.ended.subscribe();
        let seat = Arc::clone(&inner.streams).try_acquire_owned().ok();
        let seat = seat.filter(|_| !*ended.borrow())?;
        let watcher = Watcher {
            // what was made for others before is not new
            pages: inner.latest.subscribe(),
            ended,
            told: Arc::default(),
            to_tell: VecDeque::new(),
            _seat: seat,
        };
        inner.came.notify_one();
        inner.changed.notify_one();
        Some(unfold(watcher, |mut watcher| async {
            let event = watcher.next().await?;
            Some((Ok(event), watcher))
        }))
    }
}

impl Watcher {
    /// None at the end.
    async fn next(&mut self) -> Option<Event> {
        while self.to_tell.is_empty() {
            let page = tokio::select! {
                _ = self.ended.wait_for(|ended| *ended) => return None,
                page = timeout(BEAT, self.pages.changed()) => page,
            };
            match page {
                Ok(changed) => {
                    changed.ok()?;
                    let page = Arc::clone(&self.pages.borrow_and_update());
                    let news = page.news_since(&self.told);
                    let event = |(id, html)| Event::default().event(id).data(html);
                    self.to_tell.extend(news.map(event));
                    self.told = page;
                }
                Err(_) => return Some(Event::default().event("beat").data("")),
            }
        }
        self.to_tell.pop_front()
    }
}

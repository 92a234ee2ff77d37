use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::{
    sources::cluster::picture::{self, Picture},
    state::ServerState,
};

fn object(kind: &str, spec: &Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec,
    });
    serde_json::from_value(object).expect("an object")
}

fn labelled(name: &str, labels: &Value) -> PartialObjectMeta<Namespace> {
    let namespace = json!({"metadata": {"name": name, "labels": labels}});
    serde_json::from_value(namespace).expect("a Namespace")
}

fn namespace(name: &str, labels: &Value) -> News {
    News::Namespaces(Ok(Event::Apply(labelled(name, labels))))
}

fn listed() -> [News; 3] {
    [
        News::Pools(Ok(Event::InitDone)),
        News::Classes(Ok(Event::InitDone)),
        News::Namespaces(Ok(Event::InitDone)),
    ]
}

/// What the task that counts is told, in order.
fn told(news: &mut Receiver<picture::News>) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(news) = news.try_recv() {
        told.push(match news {
            picture::News::Table(table) => format!("{} pools", table.pool_count()),
            picture::News::Namespaces(classes) => format!("{classes:?}"),
            _ => panic!("a watch"),
        });
    }
    told
}

/// Objects that put what they see in force in the state.
fn objects(picture: Option<Picture>) -> (Objects, Arc<ServerState>) {
    let state = Arc::new(ServerState::default());
    let publisher = Publisher::new(Arc::clone(&state), Arc::default());
    let shown = Shown {
        drafts: None,
        board: None,
    };
    let settings = Settings::default();
    let objects = Objects::new(settings, Arc::default(), publisher, picture, shown);
    (objects, state)
}

#[tokio::test]
async fn the_labels_of_namespaces_are_in_force_whichever_list_comes_first() {
    for first in 0..3 {
        let (mut objects, state) = objects(None);
        let mut lists = listed().map(|it| vec![it]);
        let namespace = labelled("new", &json!({"team": "a"}));
        lists[2].insert(0, News::Namespaces(Ok(Event::InitApply(namespace))));
        lists.rotate_left(first);
        for list in lists {
            let mut changed = Changed::default();
            for seen in list {
                objects.take(seen, &mut changed);
            }
            assert!(state.view().is_none(), "a list is missing");
            objects.put(changed).await.expect("no panic");
        }
        let in_force = state.view().clone().expect("in force");
        let namespace = in_force.namespace("new");
        assert_eq!(namespace.label("team"), Some("a"), "{first}");
    }
}

#[tokio::test]
async fn a_namespace_is_in_force_at_once_and_nothing_is_compiled_or_counted_for_it() {
    let (picture, mut news) = Picture::told();
    let (mut objects, state) = objects(Some(picture));
    let in_force = || state.view().clone().expect("in force");
    let pool = json!({"hostnames": ["n"], "resourceName": "amd.com/gpu"});
    let pool = News::Pools(Ok(Event::Apply(object("GPUPool", &pool))));
    let class = "berth.dev/workload-class";
    let steps: [(Vec<News>, &[&str]); 6] = [
        (listed().into(), &["0 pools"]),
        (vec![namespace("new", &json!({"team": "a"}))], &[]),
        (vec![pool], &["1 pools"]),
        (vec![namespace("new", &json!({"team": "b"}))], &[]),
        (
            vec![namespace("new", &json!({"team": "b", class: "x"}))],
            &[r#"{"new": "x"}"#],
        ),
        (
            vec![namespace("new", &json!({"team": "c", class: "x"}))],
            &[],
        ),
    ];
    for (news_of_step, expected) in steps {
        let mut changed = Changed::default();
        for seen in news_of_step {
            objects.take(seen, &mut changed);
        }
        let before = state.view().clone();
        objects.put(changed).await.expect("no panic");
        assert_eq!(told(&mut news), expected);
        let (before, after) = (before.map(|it| Arc::clone(&it.table)), in_force());
        let is_same = before.is_some_and(|before| Arc::ptr_eq(&before, &after.table));
        assert_eq!(is_same, expected.iter().all(|it| !it.contains("pools")));
    }
    assert_eq!(in_force().namespace("new").label("team"), Some("c"));
}

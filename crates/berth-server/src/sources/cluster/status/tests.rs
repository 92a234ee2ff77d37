use kube::runtime::watcher::Event;
use tokio::sync::watch;

use super::{
    super::{calls::played, drafts::Kind, lease},
    *,
};

fn object(name: &str) -> Object {
    Object {
        kind: Kind::Class,
        name: name.to_owned(),
    }
}

/// A writer whose API server answers each write so.
fn writer(code: u16, message: &'static str) -> Writer {
    let answer = json!({"kind": "Status", "code": code, "message": message});
    let (_, held) = watch::channel(None);
    let (_, other) = watch::channel(None);
    Writer {
        client: played(move |_, _| (code, answer.clone())),
        drafts: Arc::default(),
        counted: None,
        held: lease::known(held, other).0,
        manager: "berth".to_owned(),
        events: None,
        metrics: Arc::default(),
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_object_stops_no_other_from_being_written() {
    let policy = r#"workloadclasses.berth.dev "x" is forbidden: ValidatingAdmissionPolicy "p" denied request"#;
    let right = r#"workloadclasses.berth.dev "x" is forbidden: User "berth" cannot patch resource "workloadclasses/status" in API group "berth.dev" at the cluster scope"#;
    for (code, message, is_alone) in [
        (403, policy, true),
        (409, "the object has been modified", true),
        (422, "x is invalid", true),
        (404, "x not found", true),
        (403, right, false),
        (500, "etcd", false),
    ] {
        let mut history = History::default();
        let draft = Draft {
            object: object("x"),
            status: json!({}),
            found: Value::Null,
        };
        let written = writer(code, message).write(draft, &mut history).await;
        assert_eq!(written.is_ok(), is_alone, "{code} {message}");
        assert_eq!(history.objects.contains_key(&object("x")), is_alone);
    }
}

#[tokio::test]
async fn nothing_is_kept_of_an_object_that_is_gone() {
    let writer = writer(500, "nothing is written");
    let seen = |name: &str| -> DynamicObject {
        let object = json!({"apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": name}});
        serde_json::from_value(object).expect("an object")
    };
    let mut history = History::default();
    for name in ["stays", "goes"] {
        writer
            .drafts
            .see(Kind::Class, &Ok(Event::Apply(seen(name))));
        history.succeeds(object(name), json!({}), json!({}));
    }
    writer
        .drafts
        .see(Kind::Class, &Ok(Event::Delete(seen("goes"))));
    // an answer that comes later makes no object
    writer.drafts.wrote(object("goes"), json!({}));
    writer.round(&mut history).await.expect("no panic");
    assert!(history.objects.keys().eq([&object("stays")]));
}

use serde_json::{Value, json};

use super::*;

/// A minute after which everything happened.
fn now() -> Timestamp {
    Timestamp::from_second(60).expect("a time")
}

fn pod(name: &str, phase: &str, change: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "ai"},
        "spec": {"containers": [], "nodeName": if phase == "Running" { Some("n1") } else { None }},
        "status": {"phase": phase},
    });
    for (key, value) in change.as_object().expect("an object") {
        let whole = pod[key].as_object_mut().expect("an object");
        whole.extend(value.as_object().expect("an object").clone());
    }
    serde_json::from_value(pod).expect("a Pod")
}

fn failed(message: &str) -> Event {
    let event = json!({
        "metadata": {}, "involvedObject": {}, "reason": "FailedCreate", "message": message, "count": 3,
        "lastTimestamp": "1970-01-01T00:00:50Z",
    });
    serde_json::from_value(event).expect("an Event")
}

fn maker(name: &str, wanted: u64, has: u64, events: &[Event]) -> Maker {
    Maker {
        object: format!("ReplicaSet/{name}"),
        wanted: Some(wanted),
        has,
        events: Some(events.to_vec()),
    }
}

/// A Deployment with these, whose template is denied.
fn denied(makers: Vec<Maker>, pods: Vec<Pod>) -> Workload {
    Workload {
        object: "deploy/llm".to_owned(),
        namespace: "ai".to_owned(),
        pods: Some(pods),
        makers: Some(makers),
        review: Some((
            Reason::ClassUnavailable,
            Some("there is no class vlm".to_owned()),
        )),
        ..Workload::default()
    }
}

fn told(workload: &Workload) -> Explanation {
    let worst = workload.pods.as_deref().and_then(worst);
    let of_pod = worst.map(|pod| {
        let is_running = is_running(pod);
        let reason = if is_running {
            Why::Running
        } else {
            Why::NoFreeGpu
        };
        let mut told = Explanation::new(reason, "of its Pod");
        told.object = format!("pod/{}", pod.metadata.name.clone().unwrap_or_default());
        told
    });
    super::workload(workload, of_pod, now())
}

#[test]
fn pods_of_an_earlier_template_do_not_hide_that_there_is_none_of_this_one() {
    let runs = || {
        vec![
            pod("a", "Running", &json!({})),
            pod("b", "Running", &json!({})),
        ]
    };
    let old = || maker("llm-1", 2, 2, &[]);
    let new = |events: &[Event]| maker("llm-2", 1, 0, events);
    let event = failed("admission webhook denied it");
    for events in [&[event.clone()][..], &[]] {
        let explained = told(&denied(vec![new(events), old()], runs()));
        assert_eq!(explained.reason, Why::Denied, "{explained:#?}");
        let sentence = "no new Pod is made, since berth denies it: there is no class vlm";
        assert_eq!(explained.conclusion, sentence);
        let remark = "it has 2 Pods, of which 2 run".to_owned();
        assert!(explained.remarks.contains(&remark), "{explained:#?}");
    }
    // it is not berth
    let mut quota = denied(vec![new(&[failed("exceeded quota")]), old()], runs());
    quota.review = None;
    let explained = told(&quota);
    assert_eq!(explained.reason, Why::NotCreated);
    assert_eq!(explained.conclusion, "no new Pod is made: exceeded quota");
    // nobody wants more than there are: what failed an hour ago is over, and the template is of no account
    let explained = told(&denied(vec![maker("llm-1", 2, 2, &[event])], runs()));
    assert_eq!(
        (explained.reason, &*explained.conclusion),
        (Why::Running, "of its Pod")
    );
    // a Pod that waits needs its word, too
    let mut both = runs();
    both.push(pod("c", "Pending", &json!({})));
    let explained = told(&denied(vec![new(&[failed("x")]), old()], both));
    assert_eq!(explained.reason, Why::NoFreeGpu);
    let remarks = [
        "pod/c is one of 3 Pods, of which 2 run",
        "ReplicaSet/llm-2: FailedCreate 3 times, last 10s ago",
        "its Pods would be denied: there is no class vlm",
    ];
    assert_eq!(explained.remarks, remarks);
}

#[test]
fn of_what_could_not_be_read_nothing_is_concluded() {
    let denial = "its Pods would be denied: there is no class vlm".to_owned();
    let mut workload = denied(Vec::new(), Vec::new());
    workload.makers = None;
    let explained = told(&workload);
    assert_eq!(explained.reason, Why::Unknown, "{explained:#?}");
    assert_eq!(
        explained.conclusion,
        "what makes its Pods could not be read"
    );
    assert_eq!(explained.remarks, std::slice::from_ref(&denial));

    let mut workload = denied(vec![maker("llm-1", 1, 1, &[])], Vec::new());
    workload.pods = None;
    let explained = told(&workload);
    assert_eq!(explained.reason, Why::Unknown, "{explained:#?}");
    assert_eq!(explained.conclusion, "its Pods could not be read");
    // its controller wrote down that there is none
    workload.makers = Some(vec![maker("llm-1", 1, 0, &[])]);
    assert_eq!(told(&workload).reason, Why::Denied);

    workload.pods = Some(Vec::new());
    workload.review = None;
    let sentence = "it has no Pod yet, and no Event says why";
    assert_eq!(told(&workload).conclusion, sentence);
    workload.makers.as_mut().expect("some")[0].events = None;
    assert_eq!(told(&workload).conclusion, "it has no Pod yet");
}

#[test]
fn the_template_of_a_job_is_not_edited() {
    let mut job = denied(vec![maker("train", 1, 0, &[])], Vec::new());
    (job.object, job.is_fixed) = ("job/train".to_owned(), true);
    let explained = told(&job);
    let advice = explained.advice.last().expect("an advice");
    assert_eq!(advice.command, "kubectl -n ai delete job/train");
    assert!(advice.text.contains("create it again"), "{advice:?}");
}

#[test]
fn the_worst_pod_is_one_that_stays_and_does_not_run() {
    let leaving = json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:40Z"}});
    let crashes = json!({"status": {"containerStatuses": [{
        "name": "main", "image": "x", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    }]}});
    let pods = [
        pod("a", "Pending", &leaving),
        pod("b", "Running", &json!({})),
        pod("c", "Running", &crashes),
        pod("d", "Pending", &json!({})),
    ];
    for (pods, name) in [
        (&pods[..], "d"),
        (&pods[..3], "c"),
        (&pods[..2], "b"),
        (&pods[..1], "a"),
    ] {
        let worst = worst(pods).and_then(|it| it.metadata.name.as_deref());
        assert_eq!(worst, Some(name));
    }
}

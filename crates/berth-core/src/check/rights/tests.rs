use super::*;
use crate::check::{Outcome, Unseen};

fn account() -> Account {
    Account {
        namespace: "gpu".to_owned(),
        name: "berth".to_owned(),
        role: "berth".to_owned(),
        absent: Vec::new(),
        lease: "berth".to_owned(),
        reads_cluster: true,
        live: true,
        status: true,
        events: true,
    }
}

/// The rulings where these rights are turned.
fn checks(turned: &[&str], reason: &str) -> Vec<Check> {
    let ruling = |right: Right| {
        let is_turned = turned.contains(&&*right.to_string());
        let ruling = Ruling {
            is_allowed: right.is_needed != is_turned,
            reason: reason.to_owned(),
        };
        (right, ruling)
    };
    let rulings = asked(&account()).into_iter().map(ruling).collect();
    rights(&Ok(account()), &Ok(rulings))
}

#[test]
fn a_right_that_is_missing_is_named_and_the_patch_adds_it() {
    let all = checks(&[], "");
    assert!(
        all.iter().all(|it| it.outcome == Outcome::Passed),
        "{all:?}"
    );
    let missing = checks(
        &[
            "watch nodes",
            "patch gpupools/status.berth.dev",
            "update leases.coordination.k8s.io berth in namespace gpu",
        ],
        "",
    );
    assert_eq!(missing[0].outcome, Outcome::Failed);
    assert_eq!(missing[1].outcome, Outcome::Passed);
    let hint = missing[0].hint.as_ref().expect("a hint").text();
    let (of_cluster, of_namespace) = hint.split_once(" && ").expect("two");
    assert!(
        of_cluster.starts_with("kubectl patch clusterrole berth --type=json -p '["),
        "{hint}"
    );
    assert!(
        of_cluster.contains(r#"{"apiGroups":[""],"resources":["nodes"],"verbs":["watch"]}"#),
        "{hint}"
    );
    assert!(
        of_cluster.contains(r#""resources":["gpupools/status"]"#),
        "{hint}"
    );
    assert!(
        of_namespace.starts_with("kubectl patch role berth -n gpu"),
        "{hint}"
    );
    assert!(
        of_namespace.contains(r#""resourceNames":["berth"]"#),
        "{hint}"
    );
}

#[test]
fn a_right_by_which_it_could_harm_is_named_with_its_binding() {
    let reason = r#"RBAC: allowed by ClusterRoleBinding "too-much" of ClusterRole "view-all" to ServiceAccount "berth/gpu""#;
    let found = checks(
        &[
            "get secrets in namespace gpu",
            "list secrets in namespace gpu",
        ],
        reason,
    );
    assert_eq!(found[1].outcome, Outcome::Failed);
    let said = found[1].found.as_deref().expect("said");
    assert_eq!(
        said,
        "it may get secrets in namespace gpu, list secrets in namespace gpu, by ClusterRoleBinding too-much"
    );
    assert_eq!(
        found[1].hint.as_ref().expect("a hint").text(),
        "kubectl delete clusterrolebinding too-much"
    );
    // of a namespace's binding
    let reason_here = reason.replace(
        "ClusterRoleBinding \"too-much\"",
        "RoleBinding \"too-much/gpu\"",
    );
    let here = checks(&["create pods/exec in namespace gpu"], &reason_here);
    let hint = here[1].hint.as_ref().expect("a hint").text();
    assert_eq!(hint, "kubectl delete rolebinding too-much -n gpu");
    let own = checks(&["patch nodes"], &reason.replace("too-much", "berth"));
    assert!(
        own[1]
            .hint
            .as_ref()
            .expect("a hint")
            .text()
            .contains("kubectl edit clusterrole berth")
    );
}

#[test]
fn what_is_switched_off_needs_no_right_and_what_is_not_known_is_skipped() {
    let needed = |account: &Account| asked(account).iter().filter(|it| it.is_needed).count();
    let files = Account {
        reads_cluster: false,
        ..account()
    };
    assert_eq!(needed(&files), 0);
    let quiet = Account {
        live: false,
        status: false,
        events: false,
        ..account()
    };
    assert_eq!((needed(&account()), needed(&quiet)), (19, 6));
    let why = Unseen("no right to ask".to_owned());
    let skipped = rights(&Err(why.clone()), &Err(why));
    assert!(skipped.iter().all(|it| it.outcome == Outcome::Skipped));
}

/// Where the roles or their bindings are gone, a patch would change nothing.
#[test]
fn what_carries_the_rights_is_made_again_where_it_is_gone() {
    let right = |resource: &str| {
        asked(&account())
            .into_iter()
            .find(|it| it.resource == resource)
    };
    let (nodes, lease) = (right("nodes").expect("one"), right("leases").expect("one"));
    let grant = |absent: &[Carrier]| {
        let account = Account {
            absent: absent.to_vec(),
            ..account()
        };
        account.grant(&[&nodes, &lease])
    };
    assert_eq!(
        grant(&[Carrier::ClusterRoleBinding, Carrier::RoleBinding]),
        "kubectl create clusterrolebinding berth --clusterrole=berth --serviceaccount=gpu:berth && \
         kubectl create rolebinding berth -n gpu --role=berth --serviceaccount=gpu:berth"
    );
    let made = grant(&[Carrier::ClusterRole, Carrier::Role]);
    let (of_cluster, of_namespace) = made.split_once(" && ").expect("two");
    assert!(
        of_cluster.starts_with(
            r#"echo '{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole""#
        ),
        "{made}"
    );
    assert!(
        of_namespace.contains(r#""metadata":{"name":"berth","namespace":"gpu"}"#),
        "{made}"
    );
}

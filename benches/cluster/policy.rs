//! `MutatingAdmissionPolicy`s that do what berth's patch does to the Pod, with the classes in three places.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Failure,
    subjects::{LABEL, post, post_as},
    table,
};

/// What berth's patch does, in CEL.
const PATCH: &str = r#"[
  JSONPatch{op: "add", path: "/spec/affinity", value: Object.spec.affinity{nodeAffinity: Object.spec.affinity.nodeAffinity{
    requiredDuringSchedulingIgnoredDuringExecution: Object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution{
      nodeSelectorTerms: [Object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms{
        matchExpressions: [Object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.matchExpressions{
          key: "kubernetes.io/hostname", operator: "In", values: [variables.class]}]}]}}}},
  JSONPatch{op: "add", path: "/spec/tolerations/-", value: Object.spec.tolerations{
    key: "dedicated", operator: "Equal", value: variables.class, effect: "NoSchedule"}},
  JSONPatch{op: "add", path: "/spec/containers/0/resources/limits", value: {"amd.com/gpu": "1"}},
  JSONPatch{op: "add", path: "/metadata/annotations", value: {"berth.dev/pool": variables.class}}
]"#;
/// The class that the Pod names.
const NAMED: &str = "object.metadata.labels['berth.dev/workload-class']";
/// Objects that are created at once.
const AT_ONCE: usize = 16;

/// A policy for the namespace of its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    pub(crate) name: &'a str,
    pub(crate) reinvocation: &'a str,
}

impl Policy<'_> {
    async fn declare(self, client: &Client, more: Value) -> Result<(), Failure> {
        let here = json!({"matchLabels": {LABEL: self.name}});
        let mut spec = json!({
            "failurePolicy": "Fail", "reinvocationPolicy": self.reinvocation,
            "matchConstraints": {
                "namespaceSelector": here,
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            },
            "matchConditions": [
                {"name": "labelled", "expression": "'berth.dev/workload-class' in object.metadata.?labels.orValue({})"},
                {"name": "not-yet", "expression": "!has(object.spec.affinity)"},
            ],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": PATCH}}],
        });
        for field in ["paramKind", "variables"] {
            spec[field] = more[field].clone();
        }
        if let (Some(all), Some(further)) = (
            spec["matchConditions"].as_array_mut(),
            more.get("condition"),
        ) {
            all.push(further.clone());
        }
        let policy = json!({"metadata": {"name": self.name}, "spec": spec});
        post_as(client, "MutatingAdmissionPolicy", policy).await
    }
}

/// The classes are literal in the policy, so many in each variable.
pub(crate) async fn literal(
    client: &Client,
    policy: Policy<'_>,
    classes: usize,
    each: usize,
) -> Result<(), Failure> {
    let parts = (0..classes).step_by(each);
    let map = |from: usize| {
        let entries =
            (from..classes.min(from + each)).map(|i| format!("{0:?}: {0:?}", table::name(i)));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
    };
    let part = |from| json!({"name": format!("from{from}"), "expression": map(from)});
    let mut variables: Vec<Value> = parts.clone().map(part).collect();
    let found = parts
        .rev()
        .map(|from| {
            (
                format!("{NAMED} in variables.from{from}"),
                format!("variables.from{from}[{NAMED}]"),
            )
        })
        .reduce(|(_, rest), (is_here, here)| {
            (is_here.clone(), format!("{is_here} ? {here} : {rest}"))
        });
    let (_, found) = found.ok_or("no classes")?;
    variables.push(json!({"name": "class", "expression": found}));
    policy
        .declare(client, json!({"variables": variables}))
        .await?;
    bind(client, policy.name, policy.name, json!({})).await
}

/// A `ConfigMap` a class, all of them bound at once: the policy is evaluated for each, and a condition takes the Pod's.
pub(crate) async fn selected(client: &Client, policy: Policy<'_>) -> Result<(), Failure> {
    let its =
        json!({"name": "its-class", "expression": format!("params.metadata.name == {NAMED}")});
    let mut more = of_params();
    more["condition"] = its;
    policy.declare(client, more).await?;
    let all = json!({"matchLabels": {LABEL: policy.name}});
    let params =
        json!({"selector": all, "namespace": policy.name, "parameterNotFoundAction": "Deny"});
    bind(
        client,
        policy.name,
        policy.name,
        json!({"paramRef": params}),
    )
    .await
}

/// A `ConfigMap` and a binding a class: the binding's selector takes the Pod's.
pub(crate) async fn bound(
    client: &Client,
    policy: Policy<'_>,
    classes: usize,
) -> Result<(), Failure> {
    policy.declare(client, of_params()).await?;
    let name = policy.name.to_owned();
    at_once(classes, |i| {
        let (client, name) = (client.clone(), name.clone());
        async move {
            let class = table::name(i);
            let params =
                json!({"name": class, "namespace": name, "parameterNotFoundAction": "Deny"});
            let labelled =
                json!({"objectSelector": {"matchLabels": {"berth.dev/workload-class": class}}});
            let more = json!({"paramRef": params, "matchResources": labelled});
            bind(&client, &format!("{name}-{i}"), &name, more).await
        }
    })
    .await
}

/// Creates the classes as `ConfigMap`s of the namespace.
pub(crate) async fn classes(client: &Client, namespace: &str, count: usize) -> Result<(), Failure> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let label = json!({LABEL: namespace});
    at_once(count, |i| {
        let (maps, label) = (maps.clone(), label.clone());
        async move {
            let class = table::name(i);
            let map =
                json!({"metadata": {"name": class, "labels": label}, "data": {"node": class}});
            post(&maps, map).await
        }
    })
    .await
}

fn of_params() -> Value {
    json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [{"name": "class", "expression": "params.data.node"}],
    })
}

async fn bind(client: &Client, name: &str, policy: &str, more: Value) -> Result<(), Failure> {
    let mut spec = more;
    spec["policyName"] = json!(policy);
    let binding = json!({"metadata": {"name": name}, "spec": spec});
    post_as(client, "MutatingAdmissionPolicyBinding", binding).await
}

/// Creates so many, some of them at a time.
async fn at_once<F: Future<Output = Result<(), Failure>> + Send + 'static>(
    count: usize,
    create: impl Fn(usize) -> F,
) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for i in 0..count {
        if i >= AT_ONCE
            && let Some(done) = tasks.join_next().await
        {
            done??;
        }
        tasks.spawn(create(i));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

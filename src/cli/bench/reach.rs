//! Whether a Pod without a class reaches berth, as the webhook configurations say.

use k8s_openapi::{
    api::admissionregistration::v1::{
        MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use berth_core::{
    check::{HOOK, NAMESPACE_HOOK},
    labels::Namespace,
    names::GROUP,
    selector::Selector,
};

/// The condition with which berth is installed. No Pod that is created through the API server meets it.
const SHIPPED: &str = "no-mirror-pod";

/// What becomes of a Pod without a class.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// It is not sent to berth.
    Never,
    /// A webhook sends it, and berth leaves it as it is.
    Sent(String),
    /// The namespace names a class for it, and berth places it.
    Placed,
    /// Nobody knows, and why.
    Unknown(String),
}

/// What becomes of a Pod without a label in a namespace.
pub(super) fn of(
    configurations: &[MutatingWebhookConfiguration],
    namespace: Namespace<'_>,
) -> Reach {
    let hooks = configurations
        .iter()
        .flat_map(|it| it.webhooks.iter().flatten());
    let mut reach = Reach::Never;
    for hook in hooks.filter(|it| is_berth(&it.name) && takes_pods(it)) {
        let object = matches(hook.object_selector.as_ref(), |_| None);
        let place = matches(hook.namespace_selector.as_ref(), |key| namespace.label(key));
        if !(object && place) {
            continue;
        }
        let conditions = hook.match_conditions.iter().flatten();
        let names: Vec<_> = conditions
            .map(|it| &*it.name)
            .filter(|it| *it != SHIPPED)
            .collect();
        if names.is_empty() {
            return Reach::Sent(hook.name.clone());
        }
        reach = Reach::Unknown(format!(
            "the matchConditions of {} decide: {}",
            hook.name,
            names.join(", ")
        ));
    }
    reach
}

fn is_berth(name: &str) -> bool {
    let hooks = [HOOK, NAMESPACE_HOOK].map(|hook| format!("{hook}.{GROUP}"));
    hooks.iter().any(|it| it == name)
}

fn takes_pods(hook: &MutatingWebhook) -> bool {
    let has = |list: &Option<Vec<String>>, words: &[&str]| {
        let mut list = list.iter().flatten();
        list.any(|it| words.contains(&&**it))
    };
    let takes = |rule: &RuleWithOperations| {
        has(&rule.api_groups, &["", "*"])
            && has(&rule.resources, &["pods", "*", "*/*"])
            && has(&rule.operations, &["CREATE", "*"])
    };
    hook.rules.iter().flatten().any(takes)
}

/// Whether a selector takes these labels. One that is not there takes all.
fn matches<'l>(selector: Option<&LabelSelector>, label: impl Fn(&str) -> Option<&'l str>) -> bool {
    let selector = selector.and_then(|it| Selector::new(it).ok());
    selector.is_none_or(|it| it.matches(label))
}

#[cfg(test)]
mod tests {
    use berth_core::labels::Namespaces;
    use serde_json::{Value, json};

    use super::*;

    fn hook(name: &str, more: Value) -> Value {
        let mut hook = json!({
            "name": name, "admissionReviewVersions": ["v1"], "clientConfig": {}, "sideEffects": "None",
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        });
        let fields = hook.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        hook
    }

    #[test]
    fn a_pod_without_a_class_reaches_berth_where_a_webhook_takes_it() {
        let exists = json!({"matchExpressions": [{"key": "berth.dev/workload-class", "operator": "Exists"}]});
        let absent = json!({"matchExpressions": [{"key": "berth.dev/workload-class", "operator": "DoesNotExist"}]});
        let (pods, namespaces) = ("pods.berth.dev", "namespaces.berth.dev");
        let never = Reach::Never;
        let sent = |name: &str| Reach::Sent(name.to_owned());
        let shipped = [
            hook(pods, json!({"objectSelector": exists})),
            hook(
                namespaces,
                json!({"objectSelector": absent, "namespaceSelector": exists}),
            ),
        ];
        let conditions = json!({"matchConditions": [
            {"name": SHIPPED, "expression": "true"}, {"name": "mine", "expression": "false"},
        ]});
        for (what, hooks, in_plain, in_labelled) in [
            ("none", vec![], never.clone(), never.clone()),
            (
                "as shipped",
                shipped.to_vec(),
                never.clone(),
                sent(namespaces),
            ),
            (
                "no selector",
                vec![hook(pods, json!({}))],
                sent(pods),
                sent(pods),
            ),
            (
                "another's",
                vec![hook("pods.example.com", json!({}))],
                never.clone(),
                never.clone(),
            ),
            (
                "of another resource",
                vec![hook(
                    pods,
                    json!({"rules": [
                        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]},
                    ]}),
                )],
                never.clone(),
                never.clone(),
            ),
            (
                "a namespace of its own",
                vec![hook(
                    pods,
                    json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "plain"}}}),
                )],
                sent(pods),
                never.clone(),
            ),
            (
                "conditions",
                vec![hook(pods, conditions)],
                Reach::Unknown("the matchConditions of pods.berth.dev decide: mine".to_owned()),
                Reach::Unknown("the matchConditions of pods.berth.dev decide: mine".to_owned()),
            ),
        ] {
            let configuration = json!({"metadata": {"name": "berth"}, "webhooks": hooks});
            let configuration = serde_json::from_value(configuration).expect("a configuration");
            let class = ("berth.dev/workload-class".to_owned(), "vllm".to_owned());
            let namespaces = Namespaces::new([
                ("plain".to_owned(), [].into()),
                ("labelled".to_owned(), [class].into()),
            ]);
            let all = [configuration];
            assert_eq!(of(&all, namespaces.of_name("plain")), in_plain, "{what}");
            assert_eq!(
                of(&all, namespaces.of_name("labelled")),
                in_labelled,
                "{what}"
            );
        }
    }
}

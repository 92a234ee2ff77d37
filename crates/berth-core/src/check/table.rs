//! The objects of the table: each accepted.

use super::{Check, Seen, counted};
use crate::objects::{Compiled, Judged};

/// Whether every GPUPool and WorkloadClass is in the table.
#[must_use]
pub fn objects(compiled: &Seen<Compiled>) -> Vec<Check> {
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(why) => {
            return vec![Check::skipped(
                "every GPUPool and WorkloadClass is accepted",
                why,
            )];
        }
    };
    let mut checks = refused("GPUPool", &compiled.pools);
    checks.extend(refused("WorkloadClass", &compiled.classes));
    let (pools, classes) = (compiled.pools.len(), compiled.classes.len());
    if pools + classes == 0 {
        let what = "the table has a class";
        let none = "there is no GPUPool and no WorkloadClass: no Pod can name a class";
        return vec![
            Check::warned(what, none)
                .run("kubectl get nodes -o json | berth init -f - | kubectl apply -f -"),
        ];
    }
    if checks.is_empty() {
        let pools = counted(pools, "GPUPool", "GPUPools");
        let classes = counted(classes, "WorkloadClass", "WorkloadClasses");
        checks.push(Check::passed(format!("{pools} and {classes} are accepted")));
    }
    checks
}

fn refused<S>(kind: &str, objects: &[Judged<S>]) -> Vec<Check> {
    let check = |it: &Judged<S>| {
        let refusal = it.refusal.as_ref()?;
        let what = format!("{kind} {} is accepted", it.name);
        let check = Check::failed(
            what,
            format!("{}: {}", refusal.cause.as_str(), refusal.message),
        );
        Some(check.run(format!(
            "kubectl edit {} {}",
            kind.to_ascii_lowercase(),
            it.name
        )))
    };
    objects.iter().filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use kube_core::DynamicObject;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::{Outcome, Unseen},
        objects::compile_each,
        table::Settings,
        validate::NamespaceLabels,
    };

    fn object(name: &str, spec: Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))
            .expect("an object")
    }

    fn checks(pools: &[DynamicObject], classes: &[DynamicObject]) -> Vec<Check> {
        let settings = Settings {
            namespaces: NamespaceLabels::All,
            ..Settings::default()
        };
        objects(&Ok(compile_each(pools, classes, &settings)))
    }

    #[test]
    fn each_object_that_is_not_accepted_has_a_line() {
        let good = object(
            "good",
            json!({"resourceName": "amd.com/gpu", "hostnames": ["n"]}),
        );
        let class = |name: &str, pool: &str| object(name, json!({"pools": [{"name": pool}]}));
        let fine = checks(std::slice::from_ref(&good), &[class("a", "good")]);
        assert_eq!(
            fine,
            [Check::passed("1 GPUPool and 1 WorkloadClass are accepted")]
        );
        let bad = object("bad", json!({"resourceName": 5}));
        let found = checks(&[good, bad], &[class("a", "good"), class("b", "gone")]);
        let whats: Vec<&str> = found.iter().map(|it| &*it.what).collect();
        assert_eq!(
            whats,
            ["GPUPool bad is accepted", "WorkloadClass b is accepted"]
        );
        let why = found[1].found.as_deref().expect("why");
        assert!(
            why.contains("PoolNotFound") && why.contains("\"gone\""),
            "{why}"
        );
        assert_eq!(checks(&[], &[])[0].outcome, Outcome::Warned);
        let unseen = objects(&Err(Unseen("no right".to_owned())));
        assert_eq!(unseen[0].outcome, Outcome::Skipped);
    }
}

//! The commands that give berth its rights back, by the objects that carry them.

use serde_json::{Value, json};

use super::{Account, Carrier, Right};
use crate::check::{patch, shell};

impl Account {
    /// What gives it rights that it has not.
    pub(super) fn grant(&self, missing: &[&Right]) -> String {
        let (everywhere, here): (Vec<&Right>, Vec<&Right>) =
            missing.iter().partition(|it| it.namespace.is_empty());
        let mut commands = Vec::new();
        if !everywhere.is_empty() {
            self.carry(
                &mut commands,
                [Carrier::ClusterRole, Carrier::ClusterRoleBinding],
                &everywhere,
            );
        }
        if !here.is_empty() {
            self.carry(&mut commands, [Carrier::Role, Carrier::RoleBinding], &here);
        }
        commands.join(" && ")
    }

    /// A role without its binding is not looked at: what it lacks shows once it is bound.
    fn carry(&self, commands: &mut Vec<String>, [role, binding]: [Carrier; 2], rights: &[&Right]) {
        let (has_role, is_bound) = (
            !self.absent.contains(&role),
            !self.absent.contains(&binding),
        );
        let (name, kind) = (shell(&self.role), role.kind().to_ascii_lowercase());
        let place = match role {
            Carrier::Role | Carrier::RoleBinding => format!(" -n {}", self.namespace),
            Carrier::ClusterRole | Carrier::ClusterRoleBinding => String::new(),
        };
        let rules: Vec<Value> = rights.iter().map(|it| rule(it)).collect();
        if !has_role {
            let mut object = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": role.kind(),
                "metadata": {"name": self.role}, "rules": rules,
            });
            if !place.is_empty() {
                object["metadata"]["namespace"] = json!(self.namespace);
            }
            commands.push(format!(
                "echo {} | kubectl apply -f -",
                shell(&object.to_string())
            ));
        } else if is_bound {
            let operations = rules
                .iter()
                .map(|it| json!({"op": "add", "path": "/rules/-", "value": it}));
            let operations: Value = operations.collect();
            commands.push(patch(&format!("{kind} {name}{place}"), &operations));
        }
        if !is_bound {
            let (binding, namespace) = (binding.kind().to_ascii_lowercase(), &self.namespace);
            commands.push(format!(
                "kubectl create {binding} {name}{place} --{kind}={name} --serviceaccount={namespace}:{}",
                shell(&self.name)
            ));
        }
    }
}

impl Carrier {
    /// As Kubernetes names the kind.
    const fn kind(self) -> &'static str {
        match self {
            Self::ClusterRole => "ClusterRole",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
        }
    }
}

fn rule(right: &Right) -> Value {
    let slash = if right.subresource.is_empty() {
        ""
    } else {
        "/"
    };
    let resource = format!("{}{slash}{}", right.resource, right.subresource);
    let mut rule =
        json!({"apiGroups": [right.group], "resources": [resource], "verbs": [right.verb]});
    if !right.name.is_empty() {
        rule["resourceNames"] = json!([right.name]);
    }
    rule
}

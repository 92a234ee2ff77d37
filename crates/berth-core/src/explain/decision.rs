//! The decision about a Pod in sentences: which container, by which rule, and what was added or left.

use crate::{
    outcome::Warning,
    placement::{
        ContainerPlacement, Given, Placement, RuntimeClass, TaintDecision, TermDecision, Terms, Way,
    },
    shown,
    table::TolerableTaint,
};

/// What was decided, in sentences.
#[must_use]
pub fn decision(placement: &Placement<'_>) -> Vec<String> {
    let mut sentences: Vec<String> = container(placement).into_iter().collect();
    sentences.push(terms(placement));
    let tolerations = placement.group.taints.iter().zip(&placement.taints);
    sentences.extend(tolerations.map(|(taint, decision)| toleration(taint, *decision)));
    match &placement.runtime_class {
        RuntimeClass::Added(class) => {
            sentences.push(format!("runtimeClassName {} is added", class.text));
        }
        RuntimeClass::InPlace => sentences.push("its runtimeClassName is the pool's".to_owned()),
        _ => {}
    }
    if let Some(scheduler) = placement.scheduler {
        sentences.push(format!("schedulerName {} is added", scheduler.text));
    }
    let env = placement.containers.iter().flat_map(|it| &it.env);
    let env: Vec<&str> = env.map(|it| it.text.as_str()).collect();
    if !env.is_empty() {
        sentences.push(format!("env {} is added", env.join(", ")));
    }
    let choice = placement.choice;
    if let Some(choice) = choice.filter(|it| it.plan > 0) {
        sentences.push(format!(
            "the pools before it have no room; of the room here is known: {}",
            choice.room.as_str()
        ));
    }
    let warnings = placement.warnings();
    sentences.extend(warnings.iter().map(Warning::to_string));
    sentences
}

fn container(placement: &Placement<'_>) -> Option<String> {
    let target = placement.target?;
    let container = placement.containers.get(target.container)?;
    let name = name(container);
    let why = match target.way {
        Way::Annotated => "its annotation names it",
        Way::Asks => "it asks for the GPU itself",
        Way::Claims => "it has a claim, which may be the GPU",
        Way::NamedByClass => "the class names it",
        Way::OnlyOne => "it is the only one",
        Way::KubectlDefault => "it is kubectl's default container",
        Way::NamedByFramework => "a serving framework gives this name to the user's container",
    };
    let resource = &placement.group.resource;
    let what = match target.given {
        Given::Gpus => format!("gets {} of {resource}", container.gpus),
        Given::ItsOwn => format!("has {} of {resource}", container.gpus),
        Given::OptedOut => format!("says 0 for the GPU, and gets none of {resource}"),
        Given::Claim => format!("gets none of {resource}"),
    };
    Some(format!("container {name} {what}: {why}"))
}

fn name(container: &ContainerPlacement<'_>) -> String {
    shown::named(&container.request.container).to_string()
}

fn terms(placement: &Placement<'_>) -> String {
    let alternative = |at: usize| {
        let alternative = placement.group.alternatives.get(at);
        alternative.map(ToString::to_string).unwrap_or_default()
    };
    match &placement.affinity.terms {
        Terms::NodeChosen => "nodeName has chosen the node already".to_owned(),
        Terms::Implied(at) => format!("its nodeSelector says {} already", alternative(*at)),
        Terms::Added => {
            let all = placement.group.alternatives.iter();
            let all: Vec<String> = all.map(ToString::to_string).collect();
            format!("node affinity is added: {}", all.join(" or "))
        }
        Terms::Each(decisions) => {
            let each = decisions.iter().zip(1..);
            let each: Vec<String> = each
                .map(|(decision, place)| match decision {
                    TermDecision::Empty => format!("term {place} is empty and matches no node"),
                    TermDecision::Implied(at) => {
                        format!("term {place} says {} already", alternative(*at))
                    }
                    TermDecision::Narrowed => {
                        format!("term {place} is narrowed by {}", alternative(0))
                    }
                    TermDecision::Multiplied => format!(
                        "term {place} becomes {}, one for each pool",
                        placement.group.alternatives.len()
                    ),
                })
                .collect();
            format!("its node affinity: {}", each.join("; "))
        }
    }
}

fn toleration(taint: &TolerableTaint, decision: TaintDecision) -> String {
    let TolerableTaint {
        key, value, effect, ..
    } = taint;
    let value = if value.is_empty() {
        String::new()
    } else {
        format!("={value}")
    };
    let taint = format!("{key}{value}:{}", effect.as_str());
    match decision {
        TaintDecision::Added => format!("a toleration of {taint} is added"),
        TaintDecision::Tolerated(_) => format!("it tolerates {taint} already"),
        TaintDecision::ToleratedForATime(_) => format!("it tolerates {taint}, for a time only"),
    }
}

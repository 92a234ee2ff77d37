//! GPU limits (rules 14 to 18 and 20): who asks for what, who is given what, and how it is written.

use crate::{
    json::{Amount, Map},
    outcome::{Denial, Reason},
    patch::{Piece, pointer_segment},
    pod::{Container, Pod, Resources, Spec, list, text},
    quantity::Quantity,
    table::Group,
};

use super::{Context, Plan, bundle, pools, target};

/// A container's place in the Pod; written as its JSON Pointer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    list: &'static str,
    index: usize,
}

impl Piece for Place {
    fn write(&self, out: &mut String) {
        ("/spec/", self.list, "/", self.index).write(out);
    }
}

/// How long a container runs, which decides how its GPUs are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// As long as the Pod.
    Regular,
    /// As long as the Pod, from its turn among the init containers on.
    Sidecar,
    /// Alone in its turn.
    Init,
}

/// What one container says of the group's resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'p> {
    pub(super) container: &'p Container<'p>,
    pub(super) role: Role,
    place: Place,
    /// The name under which it asks: the resource, or an alias.
    name: Option<&'p str>,
    limit: Option<u64>,
    request: Option<u64>,
}

/// Gives the Pod's container its limit, and everyone with a GPU what else it needs.
pub(super) fn apply(
    pod: &Pod<'_>,
    spec: &Spec<'_>,
    context: Context<'_>,
    plan: &mut Plan<'_>,
) -> Result<(), Denial> {
    let asks = asks(spec, context)?;
    let given = target::choose(pod, context.class, &asks, plan)?;
    let gpus = |i: usize, ask: &Ask<'_>| {
        if Some(i) == given {
            context.class.default_gpus
        } else {
            ask.gpus()
        }
    };
    let gpus: Vec<u64> = asks
        .iter()
        .enumerate()
        .map(|(i, ask)| gpus(i, ask))
        .collect();
    plan.gpus = effective(&asks, &gpus);
    plan.container = asks
        .iter()
        .zip(&gpus)
        .find(|(ask, gpus)| **gpus > 0 && ask.may_be_target())
        .map(|(ask, _)| ask.name_of_container().to_owned());
    within_maximum(context, plan.gpus)?;
    write(spec, context.group, &asks, &gpus, plan);
    Ok(())
}

fn write(spec: &Spec<'_>, group: &Group, asks: &[Ask<'_>], gpus: &[u64], plan: &mut Plan<'_>) {
    let by_alias = asks
        .iter()
        .any(|ask| ask.gpus() > 0 && ask.alias(group).is_some());
    for (ask, gpus) in asks.iter().zip(gpus) {
        if by_alias {
            ask.rename(group, plan);
        }
        if *gpus > 0 {
            if ask.limit.is_none() {
                ask.set_limit(*gpus, group, plan);
            }
            bundle::environment(ask.container, ask.place, group, plan);
        }
    }
    if gpus.iter().any(|gpus| *gpus > 0) {
        bundle::runtime(spec, group, plan);
        bundle::visible_devices(spec, asks.iter().map(|ask| ask.container), group, plan);
    }
}

/// Every container's ask, init containers first, in their order.
fn asks<'p>(spec: &'p Spec<'_>, context: Context<'_>) -> Result<Vec<Ask<'p>>, Denial> {
    let init = list(&spec.init_containers)
        .iter()
        .enumerate()
        .map(|(index, container)| {
            let role = if container.restarts() {
                Role::Sidecar
            } else {
                Role::Init
            };
            (
                container,
                role,
                Place {
                    list: "initContainers",
                    index,
                },
            )
        });
    let regular = list(&spec.containers).iter().enumerate();
    let regular = regular.map(|(index, container)| {
        (
            container,
            Role::Regular,
            Place {
                list: "containers",
                index,
            },
        )
    });
    init.chain(regular)
        .map(|(container, role, place)| Ask::read(container, role, place, context))
        .collect()
}

/// The Pod's GPUs as the scheduler counts them: an init container runs beside the sidecars before it.
fn effective(asks: &[Ask<'_>], gpus: &[u64]) -> u64 {
    let (mut running, mut peak) = (0_u64, 0_u64);
    for (ask, gpus) in asks.iter().zip(gpus) {
        match ask.role {
            Role::Init => peak = peak.max(running.saturating_add(*gpus)),
            Role::Sidecar | Role::Regular => running = running.saturating_add(*gpus),
        }
    }
    peak.max(running)
}

/// Rule 16.
fn within_maximum(context: Context<'_>, gpus: u64) -> Result<(), Denial> {
    let Context { class, group, .. } = context;
    if gpus <= class.max_gpus {
        return Ok(());
    }
    let message = format!(
        "the Pod asks for {gpus} of {}, and workload class {:?} allows {}: ask for fewer, or use another class \
         (a LimitRange of the namespace may have filled in the request)",
        group.resource, class.name, class.max_gpus
    );
    Err(Denial::new(Reason::TooManyGpus, message))
}

impl<'p> Ask<'p> {
    fn read(
        container: &'p Container<'p>,
        role: Role,
        place: Place,
        context: Context<'_>,
    ) -> Result<Self, Denial> {
        let mut ask = Self {
            container,
            role,
            place,
            name: None,
            limit: None,
            request: None,
        };
        let Some(resources) = &container.resources else {
            return Ok(ask);
        };
        ask.name = ask.one_name(resources, context)?;
        let Some(name) = ask.name else { return Ok(ask) };
        ask.limit = ask.amount("limits", resources.limits.as_ref(), name)?;
        ask.request = ask.amount("requests", resources.requests.as_ref(), name)?;
        match (ask.limit, ask.request) {
            (Some(limit), Some(request)) if limit != request => {
                Err(ask.differs(name, limit, request))
            }
            _ => Ok(ask),
        }
    }

    /// The one name under which the container asks for the group's resource. Two names, or another GPU, are denied.
    fn one_name(
        &self,
        resources: &'p Resources<'p>,
        context: Context<'_>,
    ) -> Result<Option<&'p str>, Denial> {
        let mut found: Option<&str> = None;
        for (name, amount) in entries(resources) {
            if !context.table.is_gpu(name) {
                continue;
            }
            match found {
                _ if !context.group.names(name) => self.no_other_gpu(name, amount, context)?,
                Some(other) if other != name => return Err(self.two_names(other, name)),
                _ => found = Some(name),
            }
        }
        Ok(found)
    }

    /// Rule 17. Zero of another GPU asks for nothing.
    fn no_other_gpu(
        &self,
        name: &str,
        amount: &Amount<'_>,
        context: Context<'_>,
    ) -> Result<(), Denial> {
        let Context { class, group, .. } = context;
        if Quantity::parse(&amount.0).is_some_and(|quantity| !quantity.is_positive()) {
            return Ok(());
        }
        let message = format!(
            "container {:?} asks for {name}, and {} of workload class {:?} has {}: \
             remove {name} (berth adds what is needed), or use a class that has it",
            self.name_of_container(),
            pools(group),
            class.name,
            group.resource
        );
        Err(Denial::new(Reason::OtherGpu, message))
    }

    /// Rule 18.
    fn two_names(&self, one: &str, other: &str) -> Denial {
        let container = self.name_of_container();
        let message = format!(
            "container {container:?} asks for one GPU by two names, {one} and {other}: keep one of them"
        );
        Denial::new(Reason::AliasConflict, message)
    }

    fn amount(
        &self,
        list: &str,
        amounts: Option<&Map<'_, Amount<'_>>>,
        name: &str,
    ) -> Result<Option<u64>, Denial> {
        let Some(amount) = amounts.and_then(|amounts| amounts.get(name)) else {
            return Ok(None);
        };
        let field = format!("{}.resources.{list}[{name}]", self.field());
        let Some(quantity) = Quantity::parse(&amount.0) else {
            let message = format!(
                "{field}: {:?} is no quantity: write a whole number",
                amount.0
            );
            return Err(Denial::new(Reason::PodShape, message));
        };
        quantity.whole().map(Some).ok_or_else(|| {
            let message = format!("{field}: {:?} is no whole number of GPUs: a GPU is shared by its pool, not by fractions", amount.0);
            Denial::new(Reason::FractionalGpu, message)
        })
    }

    /// Rule 15.
    fn differs(&self, name: &str, limit: u64, request: u64) -> Denial {
        let message = format!(
            "{}.resources: limit {limit} and request {request} of {name} differ, and for GPUs they must be equal: \
             remove the request",
            self.field()
        );
        Denial::new(Reason::RequestDiffers, message)
    }

    fn field(&self) -> String {
        format!("spec.{}[{}]", self.place.list, self.place.index)
    }

    fn alias(&self, group: &Group) -> Option<&'p str> {
        self.name.filter(|name| *name != group.resource)
    }

    /// Rule 18: the alias becomes the resource, in limits and requests.
    fn rename(&self, group: &Group, plan: &mut Plan<'_>) {
        let Some(alias) = self.alias(group) else {
            return;
        };
        for (list, amount) in [("limits", self.limit), ("requests", self.request)] {
            if amount.is_some() {
                let (place, from, to) = (self.place, pointer_segment(alias), &group.pointer);
                let parent = (place, "/resources/", list, "/");
                plan.patch.rename((parent, &from), (parent, to));
            }
        }
    }

    /// Rules 15 and 20: the limit alone; the API server defaults the request.
    fn set_limit(&self, gpus: u64, group: &Group, plan: &mut Plan<'_>) {
        let (place, resource) = (self.place, &group.resource);
        match self
            .container
            .resources
            .as_ref()
            .map(|resources| &resources.limits)
        {
            None => {
                let value = (r#"{"limits":{""#, resource, r#"":""#, gpus, r#""}}"#);
                plan.patch.add((place, "/resources"), value);
            }
            Some(None) => {
                let value = (r#"{""#, resource, r#"":""#, gpus, r#""}"#);
                plan.patch.add((place, "/resources/limits"), value);
            }
            Some(Some(_)) => {
                let path = (place, "/resources/limits/", &group.pointer);
                plan.patch.add(path, ("\"", gpus, "\""));
            }
        }
    }

    pub(super) fn name_of_container(&self) -> &'p str {
        text(&self.container.name)
    }

    /// Whether the container may be the one that gets the GPU (rule 14).
    pub(super) fn may_be_target(&self) -> bool {
        self.role != Role::Init
    }

    /// The GPUs that it asks for.
    pub(super) fn gpus(&self) -> u64 {
        self.limit.or(self.request).unwrap_or_default()
    }

    /// Whether it asks for none in so many words.
    pub(super) fn opts_out(&self) -> bool {
        self.name.is_some() && self.gpus() == 0
    }
}

fn entries<'p>(resources: &'p Resources<'p>) -> impl Iterator<Item = (&'p str, &'p Amount<'p>)> {
    [&resources.limits, &resources.requests]
        .into_iter()
        .flatten()
        .flat_map(Map::iter)
}

#[cfg(test)]
mod tests;

//! What each container says of the group's resource (rules 15, 17 and 18).

use smallvec::SmallVec;

use crate::{
    accelerators::{Kind, vendor_of},
    field,
    json::{Amount, Map, Text},
    outcome::{Denial, Reason, WARNINGS},
    placement::{Beside, GpuRequest, Role, Zero},
    pod::{Container, Resources, Spec, list},
    quantity::Quantity,
    shown,
    table::AllocationTable,
};

use super::{Context, one_or_many, pools};

/// A resource of a container's that is a GPU, belongs to one, or may be one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'r, 'a> {
    /// The word for the list that it is in.
    list: &'static str,
    name: &'r Text<'a>,
    kind: Kind,
    /// Whether the amount is zero.
    is_none: bool,
}

/// A list with an entry for each container, init containers first.
pub(super) type ByContainer<T> = SmallVec<[T; 2]>;

/// The named resources of each container: they are the same for every group.
pub(super) fn named<'r, 'a>(
    spec: &'r Spec<'a>,
    table: &AllocationTable,
) -> ByContainer<Vec<Named<'r, 'a>>> {
    let of_entry = |(list, name, amount): (&'static str, &'r Text<'a>, &'r Amount<'a>)| {
        let kind = table.kind(name);
        let matters = !matches!(kind, Kind::Other | Kind::Device);
        matters.then(|| Named {
            list,
            name,
            kind,
            is_none: asks_for_none(amount),
        })
    };
    let of = |container: &'r Container<'a>| {
        let resources = container.resources.iter();
        resources.flat_map(entries).filter_map(of_entry).collect()
    };
    let init = list(&spec.init_containers).iter();
    init.chain(list(&spec.containers)).map(of).collect()
}

/// Every container's request.
pub(super) fn read<'a>(
    spec: &Spec<'a>,
    resources: &[Vec<Named<'_, 'a>>],
    context: Context<'_>,
) -> Result<ByContainer<GpuRequest<'a>>, Denial> {
    let init = list(&spec.init_containers).iter().enumerate();
    let init = init.map(|(index, container)| {
        let role = if container.restarts() {
            Role::Sidecar
        } else {
            Role::Init
        };
        (container, role, index)
    });
    let regular = list(&spec.containers).iter().enumerate();
    let regular = regular.map(|(index, container)| (container, Role::Regular, index));
    init.chain(regular)
        .zip(resources)
        .map(|((container, role, index), named)| {
            GpuRequest::read(container, named, role, index, context)
        })
        .collect()
}

impl<'a> GpuRequest<'a> {
    fn read(
        container: &Container<'a>,
        named: &[Named<'_, 'a>],
        role: Role,
        index: usize,
        context: Context<'_>,
    ) -> Result<Self, Denial> {
        let mut request = Self {
            container: container.name.clone().unwrap_or_default(),
            role,
            index,
            resource: None,
            limit: None,
            request: None,
            zero: None,
            beside: Vec::new(),
            has_claims: container.has_claims(),
        };
        let Some(resources) = &container.resources else {
            return Ok(request);
        };
        let Some(name) = request.one_name(named, context)? else {
            return Ok(request);
        };
        request.limit = request.amount("limits", resources.limits.as_ref(), name)?;
        request.request = request.amount("requests", resources.requests.as_ref(), name)?;
        request.resource = Some(name.clone());
        match (request.limit, request.request) {
            (Some(limit), Some(own)) if limit != own => Err(request.differs(name, limit, own)),
            _ => Ok(request),
        }
    }

    /// The one name under which the container asks for the group's resource. Two names, or another GPU, are denied.
    fn one_name<'r>(
        &mut self,
        resources: &[Named<'r, 'a>],
        context: Context<'_>,
    ) -> Result<Option<&'r Text<'a>>, Denial> {
        let mut found: Option<&Text<'a>> = None;
        for resource in resources {
            let Named { name, is_none, .. } = *resource;
            if resource.kind != Kind::Gpu {
                self.stand_beside(resource, context);
                continue;
            }
            if self.zero.is_none() && is_none && context.class.names(name) {
                self.zero = Some(Zero {
                    resource: name.clone(),
                    amount: resource.list,
                });
            }
            match found {
                // zero of another GPU asks for nothing
                _ if !context.group.names(name) && is_none => {}
                _ if !context.group.names(name) => return Err(self.other_gpu(name, context)),
                Some(other) if other != name => return Err(self.two_names(other, name)),
                _ => found = Some(name),
            }
        }
        Ok(found)
    }

    /// What is no GPU, or may be none, and does nothing beside the group's (rules 17 and 35).
    fn stand_beside(&mut self, resource: &Named<'_, 'a>, context: Context<'_>) {
        let ours = vendor_of(&context.group.resource);
        let name = resource.name;
        let beside = match resource.kind {
            _ if resource.is_none || self.beside.len() > WARNINGS => return,
            Kind::Companion(vendor) if ours.is_some_and(|ours| ours != vendor) => {
                Beside::Foreign(name.clone(), vendor)
            }
            Kind::Unknown => Beside::Unknown(name.clone()),
            _ => return,
        };
        if !self.beside.contains(&beside) {
            self.beside.push(beside);
        }
    }

    /// Rule 17.
    fn other_gpu(&self, name: &str, context: Context<'_>) -> Denial {
        let Context { class, group, .. } = context;
        let of_group = format!(
            "{} of workload class {} {} {}",
            pools(group),
            shown::quoted(&class.name),
            one_or_many(group, "has", "have"),
            group.resource
        );
        let name = shown::name(name);
        Denial::of_group(
            Reason::OtherGpu,
            format!(
                "container {} asks for {name}, and ",
                shown::named(&self.container)
            ),
            of_group,
            ", and ",
            format!(": remove {name} (berth adds what is needed), or use a class that has it"),
        )
    }

    /// Rule 18.
    fn two_names(&self, one: &str, other: &str) -> Denial {
        let (container, one, other) = (
            shown::name(&self.container),
            shown::name(one),
            shown::name(other),
        );
        let message = format!(
            "container {container} asks for the same GPU by two names, {one} and {other}: keep one of them",
            container = shown::quoted(&container)
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
        let denied = |reason, problem: &str, expected| {
            let amounts = format!("{}.resources.{list}", self.field());
            let field = field::entry(&amounts, name);
            let amount = shown::name(&amount.0);
            let message = format!("{field}: {} is {problem}", shown::quoted(&amount));
            Denial::new(reason, message).at(field, expected)
        };
        let Some(quantity) = Quantity::parse(&amount.0) else {
            let problem = "not a quantity: write a whole number";
            return Err(denied(Reason::PodShape, problem, Some("a whole amount")));
        };
        quantity.whole().map(Some).ok_or_else(|| {
            let problem = if quantity.is_negative() {
                "less than zero: write a whole number of GPUs"
            } else {
                "not a whole number of GPUs: write one; a class on a shared pool gives a share of a GPU"
            };
            denied(Reason::FractionalGpu, problem, None)
        })
    }

    /// Rule 15.
    fn differs(&self, name: &str, limit: u64, request: u64) -> Denial {
        let message = format!(
            "{}.resources: limit {limit} and request {request} of {} differ, and for GPUs they must be equal: \
             remove the request",
            self.field(),
            shown::name(name)
        );
        Denial::new(Reason::RequestDiffers, message)
    }

    fn field(&self) -> String {
        format!("spec.{}[{}]", self.list(), self.index)
    }
}

fn asks_for_none(amount: &Amount<'_>) -> bool {
    Quantity::parse(&amount.0).is_some_and(Quantity::is_zero)
}

/// Every amount, with the word for the list that it is in.
fn entries<'r, 'a>(
    resources: &'r Resources<'a>,
) -> impl Iterator<Item = (&'static str, &'r Text<'a>, &'r Amount<'a>)> {
    let of = |word, list: &'r Option<Map<'a, Amount<'a>>>| {
        let entries = list.iter().flat_map(Map::entries);
        entries.map(move |(name, amount)| (word, name, amount))
    };
    of("limit", &resources.limits).chain(of("request", &resources.requests))
}

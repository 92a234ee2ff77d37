//! The flags of a table that stand beside its manifests, the same for every command.

use clap::Args;

use super::report::Failure;
use berth_core::table::Settings;

/// What is set beside the manifests.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Table")]
pub(crate) struct SettingsOptions {
    /// The label that names a Pod's workload class
    #[arg(long, env = "BERTH_CLASS_LABEL", value_name = "LABEL", default_value_t = Settings::default().class_label, value_parser = class_label)]
    class_label: String,
    /// A resource that is a GPU, such as nvidia.com/a100, besides those that berth knows; repeatable
    #[arg(
        long = "gpu-resource",
        env = "BERTH_GPU_RESOURCES",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = resource
    )]
    gpu_resources: Vec<String>,
    /// A resource that belongs to a GPU but is not a GPU, such as its memory; repeatable
    #[arg(
        long = "companion-resource",
        env = "BERTH_COMPANION_RESOURCES",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = resource
    )]
    companion_resources: Vec<String>,
    /// A container that another webhook injects, which needs no GPU, besides those that berth knows; repeatable
    #[arg(
        long = "injected-container",
        env = "BERTH_INJECTED_CONTAINERS",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = container
    )]
    injected_containers: Vec<String>,
}

/// An error where one name is said to be a GPU and to be none.
impl TryFrom<SettingsOptions> for Settings {
    type Error = Failure;

    fn try_from(options: SettingsOptions) -> Result<Self, Failure> {
        let gpu_resources = named(options.gpu_resources);
        let companion_resources = named(options.companion_resources);
        let mut gpus = gpu_resources.iter();
        if let Some(both) = gpus.find(|gpu| companion_resources.contains(gpu)) {
            return Err(Failure::usage(format_args!(
                "{both} is in --gpu-resource and in --companion-resource: a companion is not a GPU, so leave it out of one of them"
            )));
        }
        Ok(Self {
            class_label: options.class_label,
            gpu_resources,
            companion_resources,
            injected_containers: named(options.injected_containers),
            ..Self::default()
        })
    }
}

/// The names of a list, of which a variable that is empty has none.
fn named(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| !name.is_empty());
    names
}

fn class_label(text: &str) -> Result<String, String> {
    if berth_core::syntax::is_qualified_name(text) {
        Ok(text.to_owned())
    } else {
        Err("not a label key: write it as example.com/name".to_owned())
    }
}

fn resource(text: &str) -> Result<String, String> {
    let text = text.trim();
    // a variable that is empty names nothing
    if text.is_empty() || berth_core::syntax::is_extended_resource(text) {
        Ok(text.to_owned())
    } else {
        Err("not an extended resource: write it as nvidia.com/gpu".to_owned())
    }
}

pub(super) fn namespace(text: &str) -> Result<String, String> {
    if berth_core::syntax::is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("not the name of a namespace: use only lower-case letters, digits and -".to_owned())
    }
}

fn container(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || berth_core::syntax::is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err(
            "not the name of a container: use at most 63 lower-case letters, digits and -"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_list_that_is_empty_names_nothing() {
        let (none, two) = (vec![String::new()], vec!["a".to_owned(), String::new()]);
        assert_eq!(super::named(none), Vec::<String>::new());
        assert_eq!(super::named(two), ["a"]);
        assert_eq!(super::resource(" a.com/x ").as_deref(), Ok("a.com/x"));
        assert_eq!(super::container("").as_deref(), Ok(""));
    }
}

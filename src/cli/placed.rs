//! `berth placed`.

use clap::Args;

use super::report::{Ended, Failure, print, tell};

/// Say which pool this Pod was given: what the chart's test runs, inside a Pod that the webhook should have seen
#[derive(Args, Debug)]
#[command(hide = true)]
pub(super) struct Placed {
    /// The Pod's annotation berth.dev/pool, by the downward API; empty where there is none
    #[arg(long, value_name = "POOL")]
    pool: String,
}

impl Placed {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        if self.pool.is_empty() {
            tell(
                "this Pod was created without berth: look at the MutatingWebhookConfiguration's selectors and \
                 failurePolicy, and at the labels of the Pod and its namespace",
            );
            return Ok(Ended::Found);
        }
        print(format_args!("placed by berth: pool {}\n", self.pool))?;
        Ok(Ended::Fine)
    }
}

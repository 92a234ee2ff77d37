//! The cluster as it is counted, held against a count by definition; and bursts of Pods through the ledger.
//!
//! 10,000 random events; `BERTH_EVENTS` sets another number, and `BERTH_SEED` another seed. Ten million were run with
//! `BERTH_EVENTS=10000000 cargo test --release --test fleet random_events`.

use std::{env, sync::Arc, time::Duration};

use berth_core::{
    fleet::{Change, Kind},
    ledger::Ledger,
    live::{Plan, Room, Wish},
};
use world::{Dice, Event, World};

mod burst;
mod by_definition;
mod odd;
mod tables;
mod world;

/// The number of events, unless `BERTH_EVENTS` says otherwise.
const EVENTS: u64 = 10_000;

fn number(name: &str, default: u64) -> u64 {
    let set = env::var(name).ok();
    set.map_or(default, |it| it.parse().expect("a number"))
}

/// P3: what is counted incrementally is what is counted from scratch, for any order of events, relists and tables. The
/// ledger's part is P4 and P5: dry runs take nothing, and nothing stays that is settled or expired.
#[test]
fn random_events_leave_the_counts_that_a_count_from_scratch_gives() {
    let mut dice = Dice(number("BERTH_SEED", 29));
    let mut world = World::new(tables::all());
    let mut ledger = Ledger::new(world.table());
    let events = number("BERTH_EVENTS", EVENTS);
    let (mut chosen, mut checked) = ([0_u64; 4], 0_u64);
    for event in 0..events {
        match world.event(&mut dice) {
            Event::Change(change) => {
                ledger.apply(&change);
                world.apply(&change);
            }
            Event::Table => {
                let fleet = ledger.fleet().with_table(world.table());
                ledger.put_fleet(fleet);
            }
            Event::Time(passed) => world.now += passed,
            Event::Choice(wanted) => {
                let table = world.table();
                let class = table.class(wanted.class).expect("the class is there");
                let plans = class.groups.iter().map(|group| Plan {
                    group,
                    gpus: wanted.gpus,
                });
                let plans: Vec<Plan<'_>> = plans.collect();
                let wish = Wish {
                    namespace: "ai",
                    owner: wanted.owner,
                    class,
                    plans: &plans,
                    dry_run: wanted.dry_run,
                };
                let choice = ledger.choose(&wish, world.now);
                let expected = world.choose(&wish);
                assert_eq!(choice, expected, "event {event}");
                chosen[choice.room as usize] += 1;
            }
        }
        if event % 5 == 0 || event + 1 == events {
            ledger.expire(world.now);
            world.expire();
            by_definition::check(&ledger, &world, event);
            checked += 1;
        }
    }
    println!("{events} events, {checked} checks, choices by room: {chosen:?}");
    assert!(chosen.iter().all(|count| *count > 0), "{chosen:?}");
    // P4
    world.now += Duration::from_secs(4);
    ledger.expire(world.now);
    assert!(ledger.is_empty());
    // a relist that has nothing in it leaves nothing
    for kind in [Kind::Node, Kind::Pod] {
        ledger.apply(&Change::RelistBegins(kind));
        ledger.apply(&Change::RelistEnds(kind));
    }
    let fleet = ledger.fleet();
    assert_eq!((fleet.pod_count(), fleet.node_count()), (0, 0));
    let fresh = Ledger::new(world.table());
    assert_eq!(
        fleet.kept(),
        fresh.fleet().kept(),
        "nothing is kept that nobody uses"
    );
}

/// P7, and a table that the fleet does not know: neither excludes a group.
#[test]
fn what_is_not_known_never_excludes_a_group() {
    let tables = tables::all();
    let ledger = Ledger::new(Arc::clone(&tables[0]));
    let other = tables::table(
        &[tables::pool("elsewhere", "amd.com/gpu", "x")],
        &[tables::class("c", &["elsewhere"])],
    );
    let group = &other.class("c").expect("there").groups[0];
    assert_eq!(
        ledger.room(group, 1),
        Room::Unknown,
        "nothing was listed yet"
    );
    let mut ledger = ledger;
    for kind in [Kind::Node, Kind::Pod] {
        ledger.apply(&Change::RelistBegins(kind));
        ledger.apply(&Change::RelistEnds(kind));
    }
    assert_eq!(ledger.room(group, 1), Room::Unknown, "no such group");
    let known = &tables[0].class("x").expect("there").groups[0];
    assert_eq!(ledger.room(known, 1), Room::None);
}

//! The queue against a model of it: random operations from two connections at once on a real
//! PostgreSQL, and after each step every row must be where the model allows it to be.
//!
//! `POSTRIDER_MODEL_SEED` repeats a run; its seed is printed. The two operations of a step run
//! at the same time; the model tries both orders and accepts what either of them explains.

mod actor;
mod effects;
mod random;
mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use postrider::domain::delivery::DeliveryKey;
use postrider::domain::id::SubscriptionId;

use crate::support::rig::Rig;
use actor::Actor;
use effects::Done;
use random::Random;
use state::{Observed, State, observe};

const STEPS: usize = 600;
const SUBSCRIPTIONS: usize = 4;
/// Partitions as a service has them that has run for nine days.
const NINE_DAYS: &str =
    "select ensure_partitions((now() at time zone 'UTC')::date - 9, (now() at time zone 'UTC')::date)";

/// Deliveries that do anything but wait for their turn while older ones of their ordering group are there.
const OVERTAKING: &str = "
    select count(*)
    from deliveries as d
    where d.next_attempt_at < 'infinity'
        and exists (
            select 1
            from deliveries as e
            where (e.subscription_id, e.ordering_key) = (d.subscription_id, d.ordering_key)
                and e.position < d.position
        )";

/// A subscription as it stands, and as it stood when the step began.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    is_active: bool,
    is_deleted: bool,
    is_paced: bool,
    version: i64,
}

impl Standing {
    /// Whether its deliveries may be taken, by its owner or by somebody else.
    fn may_be_taken(self, is_owner: bool) -> bool {
        self.is_deleted || (self.is_active && (!self.is_paced || is_owner))
    }
}

/// What the model knows.
struct Model {
    deliveries: BTreeMap<DeliveryKey, State>,
    subscriptions: BTreeMap<SubscriptionId, Standing>,
    history: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_two_connections_do_at_once_every_delivery_is_where_the_model_says() {
    let mut random = Random::new(seed());
    let rig = Rig::new().await;
    // The look at all tables is dear to the planner and cheap to run.
    rig.client.batch_execute("set jit = off").await.unwrap();
    rig.client.execute(NINE_DAYS, &[]).await.unwrap();
    let mut model = Model { deliveries: BTreeMap::new(), subscriptions: BTreeMap::new(), history: Vec::new() };
    for _ in 0..SUBSCRIPTIONS {
        let subscription = rig.subscription().await;
        model
            .subscriptions
            .insert(subscription.id, Standing { is_active: true, is_deleted: false, is_paced: false, version: 1 });
    }
    let first = model.subscriptions.keys().next().unwrap();
    rig.sql(&format!("update subscriptions set is_ordered = true where id = '{first}'")).await;
    let mut actors = [Actor::new(&rig), Actor::new(&rig)];
    for step in 0..STEPS {
        if random.one_in(5) {
            model.pass_time(&rig, &mut random).await;
            rig.client.execute(NINE_DAYS, &[]).await.unwrap();
        }
        let [first, second] = &mut actors;
        let (one, two) = (first.choose(&model, &mut random), second.choose(&model, &mut random));
        let before = model.subscriptions.clone();
        let (one, two) = tokio::join!(first.perform(one), second.perform(two));
        model.history.push(format!("{step}: {one:?} | {two:?}"));
        model.learn_standings(&rig).await;
        model.check(&rig, &before, &[one, two]).await;
    }
    model.drain(&rig, &mut actors[0]).await;
}

impl Model {
    /// Time passes: retries fall due, or leases lapse. Nothing runs beside it.
    async fn pass_time(&mut self, rig: &Rig, random: &mut Random) {
        // What recovers has recovered, and its owner is gone.
        if random.one_in(3) {
            rig.client.batch_execute("delete from subscription_health; delete from owners").await.unwrap();
            self.learn_standings(rig).await;
        }
        if random.one_in(2) {
            rig.sql(
                "update deliveries set next_attempt_at = now() where next_attempt_at < 'infinity' and lease is null",
            )
            .await;
            self.each(|state| state.fall_due());
        } else {
            rig.sql("update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null")
                .await;
            self.each(|state| state.lapse());
        }
    }

    fn each(&mut self, change: impl Fn(&mut State)) {
        self.deliveries.values_mut().for_each(change);
    }

    async fn learn_standings(&mut self, rig: &Rig) {
        let rows = rig
            .client
            .query("select id, is_active, deleted_at is not null, is_paced, version from subscriptions", &[])
            .await
            .unwrap();
        for row in rows {
            let standing =
                Standing { is_active: row.get(1), is_deleted: row.get(2), is_paced: row.get(3), version: row.get(4) };
            self.subscriptions.insert(row.get::<_, uuid::Uuid>(0).into(), standing);
        }
    }

    /// Every delivery must be where one of the two orders of what was done brings it.
    async fn check(&mut self, rig: &Rig, before: &BTreeMap<SubscriptionId, Standing>, done: &[Done; 2]) {
        for key in done.iter().flat_map(Done::accepted) {
            self.deliveries.insert(*key, State::unborn());
        }
        let observed = observe(rig).await;
        let retained = done.iter().any(|done| matches!(done, Done::Retained));
        let mut settled = BTreeMap::new();
        for (key, state) in &self.deliveries {
            let standings = [before[&key.subscription], self.subscriptions[&key.subscription]];
            let possible = [[&done[0], &done[1]], [&done[1], &done[0]]].map(|order| {
                let begin = vec![state.clone()];
                order.into_iter().fold(begin, |states, done| {
                    states.iter().flat_map(|state| done.outcomes(key, state, standings)).collect()
                })
            });
            let seen = observed.get(key);
            let found = possible.iter().flatten().find(|possible| possible.looks_like(seen, retained));
            match found {
                Some(found) => settled.insert(*key, found.seen_as(seen)),
                None => self.fail(key, state, seen, &possible.concat()),
            };
        }
        assert_eq!(
            rig.client.query_one(OVERTAKING, &[]).await.unwrap().get::<_, i64>(0),
            0,
            "{}",
            self.history.join("\n")
        );
        let strange = observed.keys().find(|key| !self.deliveries.contains_key(key));
        assert!(strange.is_none(), "nobody accepted {strange:?}: {}", self.history.join("\n"));
        self.deliveries = settled;
    }

    fn fail(&self, key: &DeliveryKey, state: &State, seen: Option<&Observed>, possible: &[State]) -> ! {
        let last = self.history.len().saturating_sub(6);
        panic!(
            "{key:?}\nwas {state:?}\nis {seen:?}\ncould be {possible:?}\nafter\n{}",
            self.history[last..].join("\n")
        );
    }

    /// When everybody is enabled and everything is sent, each delivery has ended once.
    async fn drain(mut self, rig: &Rig, actor: &mut Actor) {
        rig.sql("update subscriptions set is_active = true, disabled_reason = null, disabled_by = null").await;
        rig.client.batch_execute("delete from subscription_health; delete from owners").await.unwrap();
        self.learn_standings(rig).await;
        actor.forget();
        let mut rounds = 0;
        while rig.count("deliveries").await > 0 {
            rounds += 1;
            assert!(rounds < 500, "the queue does not drain");
            rig.sql("update deliveries set next_attempt_at = now() - interval '6 seconds' where next_attempt_at < 'infinity'").await;
            self.each(|state| {
                state.fall_due();
                state.lapse();
            });
            self.check_alone(rig, actor.advance_groups().await).await;
            self.check_alone(rig, actor.take_all(&self).await).await;
            self.check_alone(rig, actor.succeed().await).await;
        }
        assert!(self.deliveries.values().all(State::is_ended));
    }

    async fn check_alone(&mut self, rig: &Rig, done: Done) {
        let standings = self.subscriptions.clone();
        self.history.push(format!("drain: {done:?}"));
        self.check(rig, &standings, &[done, Done::Nothing]).await;
    }
}

/// The seed that is asked for, or a new one; in any case it is said.
#[expect(clippy::disallowed_methods, reason = "a run is repeated from outside the program")]
fn seed() -> u64 {
    let given = std::env::var("POSTRIDER_MODEL_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("POSTRIDER_MODEL_SEED={seed}");
    seed
}

/// Longer than a run.
const LEASE: Duration = Duration::from_secs(600);

//! The deliveries that wait for a dead receiver, as rows: written as if they had fallen due
//! while no worker ran, and looked at until nothing of them is left.

use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::failure::Failure;
use crate::sink::Sink;

/// The type of their events, which nothing else has.
pub(crate) const OWED: &str = "bench.owed";
/// Events of one statement.
const BATCH: usize = 5_000;
const POLL: Duration = Duration::from_millis(100);
/// Writes events, numbered by age, a millisecond apart.
const WRITE: &str = "
    insert into events (tenant_id, id, event_type, payload)
    select
        s.tenant_id,
        uuid_v7($2::timestamptz + n * interval '1 millisecond'),
        $6,
        overlay($5::bytea placing convert_to(lpad(n::text, 10, '0'), 'UTF8') from 7 for 10)
    from subscriptions as s
    cross join generate_series($3::bigint, $4::bigint) as n
    where s.id = $1";
/// Writes a due delivery for each of them.
const FALL_DUE: &str = "
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at)
    select e.tenant_id, e.id, $1, now()
    from events as e
    where e.event_type = $2
    order by e.id";
/// The time of the first of so many events.
const BEGINNING: &str = "select now() - ($1::bigint + 1000) * interval '1 millisecond'";
/// Whether none is due or waits for a slot: they are held, or wait for a retry.
const IS_HELD: &str = "
    select not exists (
        select 1
        from deliveries as d
        where d.next_attempt_at <= now()
            and d.next_attempt_at < 'infinity'
            and d.lease is null
            and d.subscription_id = $1
    )
        and not exists (
            select 1
            from deliveries as d
            where d.subscription_id = $1
                and d.held_for = 'in_flight'
                and d.next_attempt_at = 'infinity'
        )";
/// Whether all are held.
const IS_SETTLED: &str = "
    select not exists (
        select 1
        from deliveries as d
        where d.next_attempt_at < 'infinity'
            and d.subscription_id = $1
    )";
/// Whether nothing is left of anything, and nothing ended otherwise than by a success.
const IS_OVER: &str = "
    select not exists (select 1 from deliveries) and not exists (select 1 from undelivered)";
/// What is left: all deliveries, those held, those that ended without a success.
const LEFT: &str = "
    select
        (select count(*) from deliveries),
        (select count(*) from deliveries as d where d.held_for is not null),
        (select count(*) from undelivered)";

/// The deliveries of one subscription.
pub(crate) struct Backlog<'a> {
    pub(crate) database: &'a Client,
    pub(crate) subscription: Uuid,
}

impl Backlog<'_> {
    /// Writes so many events that it owes.
    pub(crate) async fn write(&self, events: usize, payload_bytes: usize) -> Result<(), Failure> {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let beginning: time::OffsetDateTime = self.database.query_one(BEGINNING, &[&number(events)]).await?.get(0);
        let payload: Bytes = Sink::payload(0, payload_bytes);
        for first in (0..events).step_by(BATCH) {
            let (first, last) = (number(first), number(events.min(first + BATCH) - 1));
            let parameters: [&(dyn ToSql + Sync); 6] =
                [&self.subscription, &beginning, &first, &last, &&payload[..], &OWED];
            self.database.execute(WRITE, &parameters).await?;
        }
        Ok(())
    }

    /// All of them fall due at once.
    pub(crate) async fn fall_due(&self) -> Result<(), Failure> {
        self.database.execute(FALL_DUE, &[&self.subscription, &OWED]).await?;
        Ok(())
    }

    /// Waits until postrider has put all of them on hold but those that wait for a retry.
    pub(crate) async fn held(&self) -> Result<(), Failure> {
        self.until(IS_HELD).await
    }

    /// Waits until all of them are held.
    pub(crate) async fn settled(&self) -> Result<(), Failure> {
        self.until(IS_SETTLED).await
    }

    async fn until(&self, condition: &str) -> Result<(), Failure> {
        while !self.database.query_one(condition, &[&self.subscription]).await?.get::<_, bool>(0) {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until no delivery is left, of any subscription, so long at most. Returns how many
    /// are left, how many of them are held, and how many ended without a success.
    pub(crate) async fn over(&self, patience: Duration) -> Result<(i64, i64, i64), Failure> {
        let waiting = async {
            while !self.database.query_one(IS_OVER, &[]).await?.get::<_, bool>(0) {
                tokio::time::sleep(POLL).await;
            }
            Ok::<_, Failure>(())
        };
        if let Ok(over) = tokio::time::timeout(patience, waiting).await {
            over?;
        }
        let left = self.database.query_one(LEFT, &[]).await?;
        Ok((left.get(0), left.get(1), left.get(2)))
    }
}

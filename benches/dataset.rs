//! A large, consistent history, written by set-based SQL: tenants, subscriptions, events of the
//! last two days, their attempts, and deliveries that wait for their next attempt tomorrow.
//! `stored` loads beside it; lists and screens can be tried on it.
//!
//! Every fourth event belongs to the first tenant, each other one to tenant `n mod tenants`. It went to each of the
//! tenant's subscriptions but the last at the first attempt. The last one answered 503: that delivery is scheduled, or,
//! of one event in fifty, has failed. One event in a hundred matched no subscription, and each in ten has an idempotency
//! key. The third subscription of a tenant is disabled now.

use std::time::Instant;

use tokio_postgres::Client;

use crate::failure::Failure;
use crate::payload::Template;
use crate::producer::PAYLOAD_BYTES;

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) tenants: usize,
    pub(crate) events: usize,
    /// Attempts; each tenant has as many subscriptions as an event has attempts.
    pub(crate) attempts: usize,
    /// Deliveries that wait; at most as many as events.
    pub(crate) scheduled: usize,
}

/// External ids of the tenant with the most events and of one with few.
pub(crate) const LARGE: &str = "history-0";
pub(crate) const SMALL: &str = "history-1";
/// Events of one statement.
const BATCH: usize = 20_000;

/// A commit of a batch need not wait for the disk: a crash ends the scenario anyway.
const PREPARE: &str = "
    set synchronous_commit = off;
    select ensure_partitions(current_date - 3, current_date + 2);
    create temporary table history (
        tenant_number integer not null,
        place integer not null,
        tenant_id uuid not null,
        subscription_id uuid not null,
        primary key (tenant_number, place)
    )";
const ADD_TENANTS: &str = "
    insert into tenants (id, external_id, name)
    select uuid_v7(), 'history-' || n, 'history-' || n
    from generate_series(0, $1::integer - 1) as n";
/// Nothing is ever sent to them, so their secrets need not open.
const ADD_SUBSCRIPTIONS: &str = "
    with made as (
        insert into subscriptions (tenant_id, id, target_url, secret, event_types, verify_ingest, description)
        select t.id, uuid_v7(), 'https://history.example/' || place, '\\x00', '{}', false, 'history'
        from tenants as t
        cross join generate_series(1, $1::integer) as place
        where t.name like 'history-%'
        returning tenant_id, id, target_url
    )
    insert into history (tenant_number, place, tenant_id, subscription_id)
    select substring(t.name from 9)::integer, substring(m.target_url from 25)::integer, m.tenant_id, m.id
    from made as m
    inner join tenants as t
        on t.id = m.tenant_id";
/// $1 first event, $2 last, $3 tenants, $4 subscriptions of each, $5 events in all, $6 payload,
/// $7 how many of the events have a delivery that waits. The attempts begin a second later.
const ADD_EVENTS: &str = "
    with numbered as materialized (
        select
            n,
            case when n % 4 = 0 then 0 else n % $3::integer end as tenant_number,
            n % 100 = 7 as is_unmatched,
            now() - interval '2 days' + (n::double precision / $5::integer) * interval '47 hours' as accepted_at
        from generate_series($1::integer, $2::integer) as n
    ),
    event as materialized (
        select
            e.n,
            e.tenant_number,
            e.is_unmatched,
            e.accepted_at,
            uuid_v7(e.accepted_at) as id,
            (array['order.created', 'order.paid', 'invoice.due', 'user.created'])[1 + e.n % 4] as event_type
        from numbered as e
    ),
    written as (
        insert into events (tenant_id, id, event_type, payload, accepted_at, fan_out, is_unmatched)
        select
            h.tenant_id, e.id, e.event_type,
            overlay($6::bytea placing convert_to(lpad(e.n::text, 10, '0'), 'UTF8') from 7 for 10), e.accepted_at, true,
            nullif(e.is_unmatched, false)
        from event as e
        inner join history as h
            on h.tenant_number = e.tenant_number
            and h.place = 1
    ),
    keyed as (
        insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
        select h.tenant_id, 'order-' || e.n, e.id, decode(repeat('00', 32), 'hex')
        from event as e
        inner join history as h
            on h.tenant_number = e.tenant_number
            and h.place = 1
        where e.n % 10 in (0, 1)
    ),
    failed as (
        insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts, ended_at)
        select h.tenant_id, e.id, h.subscription_id, 'failed', 'exhausted', 1, e.accepted_at + interval '1.1 seconds'
        from event as e
        inner join history as h
            on h.tenant_number = e.tenant_number
            and h.place = $4::integer
        where (e.n % 50 in (1, 8) or e.n >= $7::integer)
            and not e.is_unmatched
    ),
    attempted as (
        insert into attempts (
            tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, status_code, error_message,
            response_body, remote_address, duration_ms, created_at, written_at
        )
        select
            h.tenant_id,
            h.subscription_id,
            uuid_v7(e.accepted_at + interval '1 second'),
            e.id,
            e.event_type,
            1,
            case when h.place < $4::integer then 'delivered' else 'http_5xx' end,
            case when h.place < $4::integer then 200 else 503 end,
            case when h.place = $4::integer then 'the receiver answered 503' end,
            'ok',
            '127.0.0.1',
            20 + e.n % 80,
            e.accepted_at + interval '1 second',
            e.accepted_at + interval '1.1 seconds'
        from event as e
        inner join history as h
            on h.tenant_number = e.tenant_number
        where not e.is_unmatched
    )
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, attempts, payload_bytes)
    select
        h.tenant_id, e.id, h.subscription_id, now() + interval '1 day' + e.n * interval '10 milliseconds', 1,
        octet_length($6::bytea)
    from event as e
    inner join history as h
        on h.tenant_number = e.tenant_number
        and h.place = $4::integer
    where e.n < $7::integer
        and e.n % 50 not in (1, 8)
        and not e.is_unmatched";
const FINISH: &str = "
    update subscriptions
    set is_active = false
    where target_url = 'https://history.example/3';
    update rollup_progress
    set folded_until = now() - interval '3 days';
    drop table history;
    vacuum (analyze);
    checkpoint";

/// Writes it all into a database whose schema is up, while no service runs.
pub(crate) async fn write(client: &Client, sizes: Sizes) -> Result<(), Failure> {
    let began = Instant::now();
    let number = |count: usize| i32::try_from(count);
    let of_each = number((sizes.attempts / sizes.events.max(1)).max(1))?;
    let (tenants, events, scheduled) = (number(sizes.tenants)?, number(sizes.events)?, number(sizes.scheduled)?);
    client.batch_execute(PREPARE).await?;
    client.execute(ADD_TENANTS, &[&tenants]).await?;
    client.execute(ADD_SUBSCRIPTIONS, &[&of_each]).await?;
    let payload = Template::new(PAYLOAD_BYTES).numbered(0);
    let statement = client.prepare(ADD_EVENTS).await?;
    for first in (0..sizes.events).step_by(BATCH) {
        let (first, last) = (number(first)?, number(sizes.events.min(first + BATCH) - 1)?);
        client.execute(&statement, &[&first, &last, &tenants, &of_each, &events, &&payload[..], &scheduled]).await?;
    }
    for statement in FINISH.split(';') {
        client.batch_execute(statement).await?;
    }
    eprintln!("a history of {} attempts was written in {:.0} s", sizes.attempts, began.elapsed().as_secs_f64());
    Ok(())
}

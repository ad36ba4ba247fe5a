//! What the benchmark reads from and writes to the tables of postrider, past its API: the
//! statements that follow the schema. The rows of [`crate::dataset`] are the other place.

use postrider::domain::keyring::{Keyring, SealContext};
use postrider::domain::secret::Secret;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::failure::Failure;
use crate::service::master_key;

const FIRST_TENANT: &str = "
    select t.id
    from tenants as t
    order by t.created_at
    limit 1";
const TENANT_NAMED: &str = "
    select t.id
    from tenants as t
    where t.name = $1";
const BREAKER: &str = "
    select coalesce(s.breaker, 'closed')
    from subscriptions as s
    where s.id = $1";
/// Deliveries of the subscription that wait for their next attempt, as those that failed do.
const BACKING_OFF: &str = "
    select count(*)
    from deliveries as d
    where d.next_attempt_at > now()
        and d.next_attempt_at < 'infinity'
        and d.lease is null
        and d.subscription_id = $1";
/// Deliveries of a subscription that have not ended, and those that ended without a success.
const OUTSTANDING: &str = "
    select
        (select count(*) from deliveries as d where d.subscription_id = $1),
        (select count(*) from undelivered as u where u.subscription_id = $1)";
/// The same of all subscriptions.
const ALL_OUTSTANDING: &str = "
    select
        (select count(*) from deliveries as d),
        (select count(*) from undelivered as u)";
const ADD_TENANTS: &str = "
    insert into tenants (id, external_id, name)
    select t.id, t.external_id, t.external_id
    from unnest($1::uuid[], $2::text[]) as t (id, external_id)";
const ADD_SUBSCRIPTIONS: &str = "
    insert into subscriptions (tenant_id, id, target_url, secret, event_types, verify_ingest)
    select $1, s.id, s.target_url, s.secret, array[$2::text], false
    from unnest($3::uuid[], $4::text[], $5::bytea[]) as s (id, target_url, secret)";

/// Subscriptions of one statement.
const BATCH: usize = 1_000;
/// The secret of subscriptions that are written here.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The tenant that the migrations make.
pub(crate) async fn first_tenant(client: &Client) -> Result<Uuid, Failure> {
    Ok(client.query_one(FIRST_TENANT, &[]).await?.get(0))
}

/// State of a subscription's breaker.
pub(crate) async fn breaker(client: &Client, subscription: Uuid) -> Result<String, Failure> {
    Ok(client.query_one(BREAKER, &[&subscription]).await?.get(0))
}

/// Deliveries of this subscription that wait for their next attempt.
pub(crate) async fn backing_off(client: &Client, subscription: Uuid) -> Result<usize, Failure> {
    Ok(count(client.query_one(BACKING_OFF, &[&subscription]).await?.get(0)))
}

/// Deliveries of a subscription that the database still has: those that have not ended, and
/// those that ended without a success.
pub(crate) async fn outstanding(client: &Client, subscription: Uuid) -> Result<(usize, usize), Failure> {
    let row = client.query_one(OUTSTANDING, &[&subscription]).await?;
    Ok((count(row.get(0)), count(row.get(1))))
}

/// The same of all subscriptions.
pub(crate) async fn all_outstanding(client: &Client) -> Result<(usize, usize), Failure> {
    let row = client.query_one(ALL_OUTSTANDING, &[]).await?;
    Ok((count(row.get(0)), count(row.get(1))))
}

/// Writes tenants with these external ids.
pub(crate) async fn add_tenants(client: &Client, external_ids: &[String]) -> Result<(), Failure> {
    let ids: Vec<Uuid> = external_ids.iter().map(|_| Uuid::now_v7()).collect();
    client.execute(ADD_TENANTS, &[&ids, &external_ids]).await?;
    Ok(())
}

/// Writes so many subscriptions of a tenant past the API, which would take minutes for
/// thousands; the target of each is made of its number. Returns their ids.
pub(crate) async fn add_subscriptions(
    client: &Client,
    tenant: &str,
    event_type: &str,
    count: usize,
    target: impl Fn(usize) -> String,
) -> Result<Vec<Uuid>, Failure> {
    let tenant: Uuid = client.query_one(TENANT_NAMED, &[&tenant]).await?.get(0);
    let keyring = Keyring::parse(&master_key())?;
    let secret = Secret::parse(SECRET)?;
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let seal = |id: &Uuid| {
        let mut salt = [0; 32];
        salt.chunks_exact_mut(16).for_each(|half| half.copy_from_slice(Uuid::new_v4().as_bytes()));
        keyring.seal(&secret, SealContext { tenant: tenant.into(), subscription: (*id).into() }, salt)
    };
    for (number, ids) in ids.chunks(BATCH).enumerate() {
        let targets: Vec<String> = (0..ids.len()).map(|place| target(number * BATCH + place)).collect();
        let secrets: Vec<Vec<u8>> = ids.iter().map(seal).collect();
        client.execute(ADD_SUBSCRIPTIONS, &[&tenant, &event_type, &ids, &targets, &secrets]).await?;
    }
    Ok(ids)
}

fn count(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or(0)
}

//! The calls with which people look at what is stored: lists, searches, analytics. Each is made for a large tenant, for
//! a small one and for all, warm, over HTTP. No table of events, attempts or deliveries may be read in sequence.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::Value;
use tokio::process::Command;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::dataset::{LARGE, SMALL};
use crate::failure::Failure;
use crate::findings::{Table, met};
use crate::http::{self, Connection};
use crate::lab::Database;
use crate::latency::Latencies;
use crate::service::Service;
use crate::tenant::Operator;

/// Calls that are measured, after one that warms.
const CALLS: usize = 10;
/// Goal of a call; a search in payloads may take longer.
const LIMIT_MS: f64 = 200.0;
const ALL: &str = "*";

/// `{…}` stands for an id of the tenant.
const OF_ONE: [&str; 37] = [
    "/deliveries",
    "/deliveries?status=failed",
    "/deliveries?status=held",
    "/deliveries?status=pending",
    "/deliveries?status=succeeded&event_type=invoice.due",
    "/deliveries?subscription_id={subscription}",
    "/deliveries?subscription_id={subscription}&status=failed&status=pending",
    "/deliveries?until={yesterday}",
    "/events",
    "/events?status=failed",
    "/events?status=no_match",
    "/events?status=pending",
    "/events?event_type=invoice.due&until={yesterday}",
    "/events?event_type=never.sent",
    "/events?idempotency_key={key}",
    "/events?subscription_id={subscription}",
    "/events/{event}",
    "/events/{event}/attempts",
    "/events/{event}/deliveries",
    "/status/{event}",
    "/attempts",
    "/attempts?status_code=5xx",
    "/attempts?status_code=404",
    "/attempts?outcome=http_5xx&until={yesterday}",
    "/attempts?subscription_id={subscription}",
    "/attempts?webhook_id={event}",
    "/attempts/{attempt}",
    "/status/logs/{subscription}?status=failed",
    "/search?q={event}",
    "/search?q={attempt}",
    "/subscriptions/",
    "/subscriptions/?q=history",
    "/subscriptions/?q=never.named",
    "/subscriptions/?state=disabled",
    "/analytics/deliveries?bucket=1h&since={yesterday}",
    "/analytics/deliveries?bucket=1h&since={yesterday}&group_by=subscription",
    "/analytics/summary?since={yesterday}",
];
const OF_ALL: [&str; 12] = [
    "/deliveries?status=failed",
    "/deliveries?status=held",
    "/events?status=failed",
    "/events?status=no_match",
    "/attempts",
    "/attempts?status_code=5xx",
    "/attempts?status_code=404",
    "/search?q={event}",
    "/refusals",
    "/analytics/deliveries?bucket=1h&since={yesterday}&group_by=tenant",
    "/analytics/deliveries?bucket=1h&since={yesterday}&group_by=outcome",
    "/analytics/summary?since={yesterday}",
];
/// Reads many payloads, so that the goal is not meant for it.
const SEARCHES: [&str; 3] = ["/events?payload={number}", "/search?q={number}", "/search?q={key}"];

const FACTS: &str = "
    select e.id, e.number, a.id, a.subscription_id, k.key
    from (
        select x.tenant_id, x.id, substring(convert_from(x.payload, 'UTF8') from 7 for 10) as number
        from events as x
        where x.tenant_id = (select t.id from tenants as t where t.external_id = $1)
        order by x.id
        offset 500
        limit 200
    ) as e
    inner join attempts as a
        on a.event_id = e.id
    inner join idempotency_keys as k
        on k.event_id = e.id
    order by e.id
    limit 1";
/// Of tables that are large.
const SEQUENTIAL: &str = "
    select t.relname::text, t.seq_scan
    from pg_stat_user_tables as t
    where pg_relation_size(t.relid) > 8388608
        and t.relname ~ '^(events|attempts|deliveries|undelivered|idempotency_keys)'
    order by t.relname";

/// As upkeep does it, but without pauses.
const FOLD: &str = "
    select f.attempts, f.more
    from rollups_fold_1(20000) as f";

/// Folds all that is stored into the roll-ups. Returns how long an attempt with its share of an event took, in
/// microseconds.
pub(crate) async fn fold(client: &Client) -> Result<f64, Failure> {
    let (began, mut attempts) = (Instant::now(), 0);
    loop {
        let row = client.query_one(FOLD, &[]).await?;
        attempts += row.get::<_, Option<i64>>(0).unwrap_or(0);
        if row.get::<_, Option<bool>>(1) != Some(true) {
            break;
        }
    }
    Ok(began.elapsed().as_micros() as f64 / attempts.max(1) as f64)
}

/// Ids of one tenant, as they stand in a path.
struct Facts(Vec<(&'static str, String)>);

impl Facts {
    async fn read(client: &Client, tenant: &str) -> Result<Self, Failure> {
        let row = client.query_one(FACTS, &[&tenant]).await?;
        let id = |column: usize| row.get::<_, Uuid>(column).to_string();
        let yesterday: String = client
            .query_one(
                "select to_char(now() at time zone 'UTC' - interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
                &[],
            )
            .await?
            .get(0);
        Ok(Self(vec![
            ("{event}", id(0)),
            ("{number}", row.get(1)),
            ("{attempt}", id(2)),
            ("{subscription}", id(3)),
            ("{key}", row.get(4)),
            ("{yesterday}", yesterday),
        ]))
    }

    fn path(&self, template: &str) -> String {
        self.0.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
    }
}

/// What the calls took.
pub(crate) struct Looks {
    pub(crate) table: Table,
    /// Calls that failed, and tables that were read in sequence.
    pub(crate) exceeded: usize,
}

/// Makes every call against this service.
pub(crate) async fn look(database: &Database, service: &Service, operator: &Operator) -> Result<Looks, Failure> {
    let before = sequential(&database.client).await?;
    let mut failed = 0;
    let mut table = Table::new(["call", "tenant", "rows", "median (ms)", "worst (ms)", "goal met"]);
    for tenant in [LARGE, SMALL] {
        let facts = Facts::read(&database.client, tenant).await?;
        for template in OF_ONE.iter().chain(&SEARCHES) {
            failed += usize::from(!call(&mut table, service.api, operator, tenant, template, &facts).await?);
        }
    }
    let facts = Facts::read(&database.client, LARGE).await?;
    for template in OF_ALL {
        failed += usize::from(!call(&mut table, service.api, operator, ALL, template, &facts).await?);
    }
    // The facts themselves read by index; connections report their counts when they have been idle.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let after = sequential(&database.client).await?;
    let read = after.iter().filter(|(name, scans)| before.iter().any(|(known, old)| known == name && scans > old));
    let read: Vec<&str> = read.map(|(name, _)| name.as_str()).collect();
    if !read.is_empty() {
        eprintln!("read in sequence: {}", read.join(", "));
    }
    Ok(Looks { table, exceeded: failed + read.len() })
}

/// Prints how long each screen of the dashboard takes to its first data, for all tenants and the large one.
pub(crate) async fn screens(service: &Service, operator: &Operator) -> Result<(), Failure> {
    let mut measuring = Command::new("node");
    measuring
        .args(["web/screens.mjs", &format!("http://{}", service.api), LARGE])
        .env("POSTRIDER_KEY", operator.key()?);
    let status = measuring.status().await?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("web/screens.mjs ended with {status}"))) }
}

async fn sequential(client: &Client) -> Result<Vec<(String, i64)>, Failure> {
    let rows = client.query(SEQUENTIAL, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get::<_, Option<i64>>(1).unwrap_or(0))).collect())
}

/// False if it failed.
async fn call(
    table: &mut Table,
    api: SocketAddr,
    operator: &Operator,
    tenant: &str,
    template: &str,
    facts: &Facts,
) -> Result<bool, Failure> {
    let path = facts.path(template);
    let access = operator.tenant(tenant)?.access;
    let mut connection: Connection = http::connect(api).await?;
    let mut times = Vec::with_capacity(CALLS);
    let mut rows = String::new();
    for number in 0..=CALLS {
        let began = Instant::now();
        let (status, answer) = http::get_as(&mut connection, &path, &access).await?;
        let took = began.elapsed();
        if status != StatusCode::OK {
            let start: String = answer.chars().take(300).collect();
            eprintln!("{path} of {tenant} was answered with {status}: {start}");
            let status = status.as_str();
            table.row([template, tenant, "", status, status, met(false)]);
            return Ok(false);
        }
        if number == 0 {
            rows = rows_of(&answer);
        } else {
            times.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
    let times: Latencies = times.into_iter().collect();
    let goal = if SEARCHES.contains(&template) { "-" } else { met(times.p50() < LIMIT_MS) };
    table.row([
        template.to_owned(),
        tenant.to_owned(),
        rows,
        format!("{:.1}", times.p50()),
        format!("{:.1}", times.greatest()),
        goal.to_owned(),
    ]);
    Ok(true)
}

/// Rows of a list, with a plus where a page came short of what there is.
fn rows_of(answer: &str) -> String {
    let document: Value = serde_json::from_str(answer).unwrap_or_default();
    let Some(data) = document.get("data").and_then(Value::as_array) else { return "1".to_owned() };
    let goes_on = document.get("next_cursor").is_some_and(|cursor| !cursor.is_null());
    format!("{}{}", data.len(), if goes_on { "+" } else { "" })
}

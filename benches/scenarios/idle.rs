//! `idle`: twenty replicas with nothing to do.
//!
//! One `serve` and then twenty on one database: statements a second, CPU of PostgreSQL, and
//! memory. Each replica then accepts some events, so that they are known to work.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::deployment::{Deployment, Plan};
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::Lab;
use crate::load::Load;
use crate::meter::{Meter, resident_mib};

/// How long the receiver takes over an answer.
const TAKES: Duration = Duration::from_millis(20);
const REPLICAS: usize = 20;
/// Events that each replica accepts in the end, and how many a second.
const EVENTS: usize = 10;
const PER_SECOND: f64 = 20.0;
/// Until the start is over, and PostgreSQL has counted it: a connection that falls idle reports
/// what it did within 10 s.
const SETTLED: Duration = Duration::from_secs(12);
/// Statements that are named.
const NAMED: usize = 8;

const TRANSACTIONS: &str = "
    select d.xact_commit + d.xact_rollback
    from pg_stat_database as d
    where d.datname = current_database()";
const CONNECTIONS: &str = "
    select count(*)
    from pg_stat_activity as a
    where a.application_name = 'postrider'
        and a.datname = current_database()";
const IS_AVAILABLE: &str = "
    select exists (
        select 1
        from pg_available_extensions as e
        where e.name = 'pg_stat_statements'
    )";
/// Calls of each statement, by the name in its first line.
const CALLS: &str = "
    select coalesce(substring(s.query from '^-- ([a-z_/]+)'), left(s.query, 60)), sum(s.calls)::bigint
    from pg_stat_statements as s
    inner join pg_database as d
        on d.oid = s.dbid
    where d.datname = current_database()
        and s.query not like '%pg_stat_%'
    group by 1";

/// Calls of each statement so far.
type Calls = BTreeMap<String, i64>;

/// Measures one replica and twenty.
pub(crate) async fn run(lab: &mut Lab) -> Result<Findings, Failure> {
    let has_statements = prepare(lab).await?;
    let plan = Plan::serve(TAKES, REPLICAS, REPLICAS * EVENTS);
    let mut deployment = Deployment::start(lab, plan, &[]).await?;
    if has_statements {
        deployment.database.client.batch_execute("create extension pg_stat_statements").await?;
    }
    let mut table = Table::new([
        "replicas",
        "statements (1/s)",
        "by each",
        "by pg_stat_statements (1/s)",
        "PostgreSQL (ms CPU/s)",
        "postrider, each (ms CPU/s)",
        "memory, each (MiB)",
        "connections",
        "goal met",
    ]);
    let mut named = Table::new(["statement", "1 replica (1/s)", "20 replicas (1/s)"]);
    let mut rates = Vec::new();
    for replicas in [1, REPLICAS] {
        eprintln!("idle: {replicas} replicas");
        while deployment.services.len() < replicas {
            let replica = deployment.launch.serve().await?;
            deployment.services.push(replica);
        }
        rates.push(measure(lab, &deployment, &mut table, has_statements).await?);
    }
    let events = work(&mut deployment).await?;
    let latencies = deployment.latencies(&events);
    deployment.stop().await?;
    let [one, twenty] = rates.as_slice() else { return Err(Failure::new("two numbers of replicas are measured")) };
    let mut most: Vec<(&String, f64)> = twenty.iter().map(|(name, rate)| (name, *rate)).collect();
    most.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    for (name, rate) in most.into_iter().take(NAMED) {
        named.row([name.clone(), format!("{:.2}", one.get(name).copied().unwrap_or(0.0)), format!("{rate:.2}")]);
    }
    let how = format!(
        "`serve` on one database, nothing published; counted for {} s after {} s of quiet. Then {EVENTS} events through each of \
         {REPLICAS} replicas: request to arrival p50 {:.1} ms, p99 {:.1} ms. Goals: 2 statements a second and 15 MiB each.",
        seconds(lab).as_secs(),
        SETTLED.as_secs(),
        latencies.p50(),
        latencies.p99()
    );
    let ledger = deployment.ledger();
    let findings = Findings::new(table, how, ledger);
    Ok(if has_statements { findings.and(named) } else { findings })
}

/// Room for the connections of all replicas, and pg_stat_statements where it is installed.
async fn prepare(lab: &mut Lab) -> Result<bool, Failure> {
    let is_available = lab.database().await?.client.query_one(IS_AVAILABLE, &[]).await?.get(0);
    lab.configure(&["max_connections = 300"]).await?;
    if is_available {
        lab.configure(&["shared_preload_libraries = 'pg_stat_statements'"]).await?;
    }
    lab.restart().await?;
    Ok(is_available)
}

fn seconds(lab: &Lab) -> Duration {
    Duration::from_secs(lab.pick(40, 15))
}

/// Adds a row; returns how often a second each statement was called.
async fn measure(
    lab: &Lab,
    deployment: &Deployment,
    table: &mut Table,
    has_statements: bool,
) -> Result<BTreeMap<String, f64>, Failure> {
    tokio::time::sleep(SETTLED).await;
    let meter = Meter::new(lab, &deployment.database, &deployment.services)?;
    let client = &deployment.database.client;
    let (before, began) = (meter.read().await?, Instant::now());
    let transactions: i64 = client.query_one(TRANSACTIONS, &[]).await?.get(0);
    let calls = calls(client, has_statements).await?;
    tokio::time::sleep(seconds(lab)).await;
    let after: i64 = client.query_one(TRANSACTIONS, &[]).await?.get(0);
    let calls_after = self::calls(client, has_statements).await?;
    let took = began.elapsed();
    let spent = meter.since(&before, 1, took).await?;
    let rate = |count: i64| count as f64 / took.as_secs_f64();
    let rates: BTreeMap<String, f64> = calls_after
        .into_iter()
        .map(|(name, count)| (rate(count - calls.get(&name).copied().unwrap_or(0)), name))
        .map(|(rate, name)| (name, rate))
        .collect();
    let replicas = deployment.services.len() as f64;
    let statements = rate(after - transactions);
    let memory: Vec<f64> = deployment.services.iter().map(resident_mib).collect();
    let memory = memory.iter().sum::<f64>() / replicas;
    let connections: i64 = client.query_one(CONNECTIONS, &[]).await?.get(0);
    let by_statements = rates.values().sum::<f64>();
    table.row([
        deployment.services.len().to_string(),
        format!("{statements:.1}"),
        format!("{:.2}", statements / replicas),
        if has_statements { format!("{by_statements:.1}") } else { "-".to_owned() },
        format!("{:.1}", spent.postgres_micros / 1e3 / took.as_secs_f64()),
        format!("{:.2}", spent.service_micros / 1e3 / took.as_secs_f64() / replicas),
        format!("{memory:.1}"),
        connections.to_string(),
        met(statements / replicas <= 2.0 && memory <= 15.0).to_owned(),
    ]);
    Ok(rates)
}

async fn calls(client: &Client, has_statements: bool) -> Result<Calls, Failure> {
    if !has_statements {
        return Ok(Calls::new());
    }
    let rows = client.query(CALLS, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Some events through each replica.
async fn work(deployment: &mut Deployment) -> Result<std::ops::Range<usize>, Failure> {
    let apis: Vec<_> = deployment.services.iter().map(|service| service.api).collect();
    let mut events = 0..0;
    for api in apis {
        deployment.producer.turn_to(api);
        events.end = deployment.send(Load { connections: 1, ..Load::paced(EVENTS, PER_SECOND) }).await?.events.end;
    }
    Ok(events)
}

//! `viewers`: two hundred people who watch the live stream.
//!
//! The same paced load to two replicas in turn, each with a database of its own. Beside one of
//! them 200 streams are open: 50 for each of both tenants, 50 for a third without events, and 50
//! for all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::deployment::{Deployment, Plan};
use crate::failure::Failure;
use crate::findings::{Findings, Table, met, spread};
use crate::http::Access;
use crate::lab::Lab;
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::{peak_mib, resident_mib};

use super::steady::SUBSCRIPTIONS;

/// How long the receiver takes over an answer.
const TAKES: Duration = Duration::from_millis(50);
/// Slices of each replica.
const PAIRS: usize = 4;
/// Events a second.
const PER_SECOND: f64 = 100.0;
/// Streams of each tenant, and as many of all tenants: the most that a replica gives.
const OF_EACH: usize = 50;
/// Gets no events.
const QUIET: &str = "quiet";
/// Memory that all streams together may take.
const MOST_MIB: f64 = 64.0;

/// What the streams brought.
#[derive(Debug, Default)]
struct Seen {
    items: AtomicU64,
    /// Reports that something was left out.
    missed: AtomicU64,
    ended: AtomicU64,
}

/// Loads both replicas in turn.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let slice = lab.pick(1_000, 300);
    let plan = Plan::serve(TAKES, SUBSCRIPTIONS, (PAIRS + 1) * slice);
    let mut without = Deployment::start(lab, plan, &[]).await?;
    let mut with = Deployment::start(lab, plan, &[]).await?;
    for deployment in [&without, &with] {
        deployment.send(Load::paced(slice, PER_SECOND)).await?;
    }
    let before = resident_mib(with.first()?);
    let seen = Arc::new(Seen::default());
    let streams = with.watch(&seen).await?;
    let mut latencies = [Latencies::default(), Latencies::default()];
    let mut ratios = Vec::with_capacity(PAIRS);
    for pair in 0..PAIRS {
        let mut rates = [0.0; 2];
        // Each begins as often as the other.
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        for place in order {
            let deployment = if place == 0 { &mut without } else { &mut with };
            let measured = deployment.slice(lab, Load::paced(slice, PER_SECOND)).await?;
            if let (Some(rate), Some(all)) = (rates.get_mut(place), latencies.get_mut(place)) {
                *rate = measured.spent.postgres_cpu();
                all.join(deployment.latencies(&measured.sent.events));
            }
        }
        let [plain, watched] = rates;
        ratios.push(watched / plain);
    }
    let memory = peak_mib(with.first()?) - before;
    let [plain, watched] = latencies;
    let streams = streams.into_iter().filter(|stream| !stream.is_finished()).count();
    let table = table([(&without, &plain), (&with, &watched)], ratios, streams, &seen, memory);
    let how = format!(
        "{PER_SECOND:.0} events a second of two tenants to two replicas in turn, {PAIRS} pairs of slices; receivers take {} ms; beside \
         one replica {OF_EACH} streams of each, of a tenant without events, and of all tenants. Goal: PostgreSQL at most 1.25, nothing missed, \
         at most {MOST_MIB:.0} MiB.",
        TAKES.as_millis()
    );
    let mut ledger = Ledger::default();
    for deployment in [&mut without, &mut with] {
        deployment.stop().await?;
        ledger.join(&deployment.ledger());
    }
    Ok(Findings::new(table, how, ledger))
}

/// The deployment without streams stands first.
fn table(
    [(without, plain), (with, watched)]: [(&Deployment, &Latencies); 2],
    ratios: Vec<f64>,
    streams: usize,
    seen: &Seen,
    memory: f64,
) -> Table {
    let [items, missed, ended] =
        [&seen.items, &seen.missed, &seen.ended].map(|counter| counter.load(Ordering::Relaxed));
    let (postgres, least, most) = spread(ratios);
    let mut table = Table::new([
        "streams",
        "to arrival, p50 / p99 (ms)",
        "PostgreSQL (µs)",
        "ratio, median of pairs",
        "of all pairs",
        "postrider (µs)",
        "sent by streams",
        "missed, ended",
        "memory of streams (MiB)",
        "goal met",
    ]);
    table.row([
        "0".to_owned(),
        format!("{:.1} / {:.1}", plain.p50(), plain.p99()),
        format!("{:.1}", without.spent.postgres_cpu()),
        "1".to_owned(),
        String::new(),
        format!("{:.1}", without.spent.service_cpu()),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    ]);
    table.row([
        streams.to_string(),
        format!("{:.1} / {:.1}", watched.p50(), watched.p99()),
        format!("{:.1}", with.spent.postgres_cpu()),
        format!("{postgres:.2}"),
        format!("{least:.2} to {most:.2}"),
        format!("{:.1}", with.spent.service_cpu()),
        items.to_string(),
        format!("{missed}, {ended}"),
        format!("{memory:.0}"),
        met(postgres <= 1.25 && missed + ended == 0 && memory <= MOST_MIB).to_owned(),
    ]);
    table
}

impl Deployment {
    /// Opens the streams; they end with what is returned.
    async fn watch(&self, seen: &Arc<Seen>) -> Result<Vec<AbortOnDropHandle<()>>, Failure> {
        let quiet = self.launch.tenants([QUIET]).await?;
        let everybody = self.launch.operator().await?.tenant("*")?;
        let mut streams = Vec::new();
        let viewers = self.tenants.iter().chain(&quiet).chain([&everybody]);
        for access in viewers.flat_map(|tenant| std::iter::repeat_n(&tenant.access, OF_EACH)) {
            let body = open(self.first()?.api, access).await?;
            streams.push(AbortOnDropHandle::new(tokio::spawn(count(body, Arc::clone(seen)))));
        }
        Ok(streams)
    }
}

async fn open(api: SocketAddr, access: &Access) -> Result<Incoming, Failure> {
    let stream = TcpStream::connect(api).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = access.add_to(Request::get("/stream").header(HOST, "localhost")).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        return Err(Failure::new(format!("a stream was refused: {}", answer.status())));
    }
    Ok(answer.into_body())
}

/// Counts the lines that name an event of the stream, until it ends.
async fn count(mut body: Incoming, seen: Arc<Seen>) {
    let mut rest = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        rest.extend_from_slice(&frame.into_data().unwrap_or_default());
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
        for line in rest.drain(..=end).as_slice().split(|byte| *byte == b'\n') {
            let counter = match line {
                b"event: missed" => &seen.missed,
                [b'e', b'v', b'e', b'n', b't', b':', ..] => &seen.items,
                _ => continue,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
    seen.ended.fetch_add(1, Ordering::Relaxed);
}

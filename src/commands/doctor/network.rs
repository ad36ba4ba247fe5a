//! Redis and names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::Finding;
use crate::config::Config;
use crate::domain::address::AddressPolicy;
use crate::domain::target::Target;
use crate::sender::{addresses_of, own_addresses};
use crate::store::Store;
use crate::subscriptions;

/// From which on Redis is not worth asking.
const SLOW_REDIS: Duration = Duration::from_millis(20);
/// Newest subscriptions whose targets are looked at.
const SUBSCRIPTIONS: i64 = 500;
/// Most names that are looked up.
const NAMES: usize = 20;

/// Whether Redis answers, where there is one.
pub(super) async fn look_at_redis(config: &Config) -> Finding {
    let Some(url) = &config.redis_url else {
        return Finding::ok("redis", "not used; subscriptions come from memory and PostgreSQL");
    };
    match subscriptions::time_redis(&url.0).await {
        Ok(took) if took < SLOW_REDIS => Finding::ok("redis", format!("answers in {:.1} ms", took.as_secs_f64() * 1e3)),
        Ok(took) => Finding::warning(
            "redis",
            format!("answers in {:.0} ms, which is slower than PostgreSQL should be", took.as_secs_f64() * 1e3),
            "put it nearer, or unset REDIS_URL",
        ),
        Err(error) => Finding::warning("redis", error, "postrider works without it; check REDIS_URL, or unset it"),
    }
}

/// Whether the names of targets can be looked up, and may be dialled.
pub(super) async fn look_up_targets(store: &Store, config: &Config) -> Finding {
    let Ok(targets) = store.newest_targets(SUBSCRIPTIONS).await else {
        return Finding::ok("names", "not looked up: there are no subscriptions to read");
    };
    let mut policy = config.targets.addresses.clone();
    policy.own = own_addresses();
    let policy = Arc::new(policy);
    let hosts: BTreeSet<String> = targets.iter().filter_map(|target| origin(target)).collect();
    let began = Instant::now();
    let looked_up = join_all(hosts.into_iter().take(NAMES).map(|host| look_up(host, &policy))).await;
    let failed: Vec<String> = looked_up.iter().flatten().cloned().collect();
    let says = format!("{} hosts of targets looked up in {:.2} s", looked_up.len(), began.elapsed().as_secs_f64());
    if failed.is_empty() {
        return Finding::ok("names", says);
    }
    Finding::warning(
        "names",
        format!("{says}; {} cannot be dialled: {}", failed.len(), failed.join(", ")),
        "if all of them fail, look at this machine's resolver (/etc/resolv.conf); if some do, at their subscriptions",
    )
}

/// Why this host cannot be dialled; `None` where it can.
async fn look_up(host: String, policy: &Arc<AddressPolicy>) -> Option<String> {
    let looked_up = addresses_of(&Target::stored(host.clone()), Arc::clone(policy)).await;
    looked_up.err().map(|outcome| format!("{host} ({outcome})"))
}

/// Scheme and host of a target, without what may be private.
fn origin(target: &str) -> Option<String> {
    let url = url::Url::parse(target).ok()?;
    Some(format!("{}/", url.origin().ascii_serialization()))
}

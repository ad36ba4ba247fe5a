//! Checks Redis and the host names of targets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{Finding, counted};
use crate::config::Config;
use crate::domain::address::AddressPolicy;
use crate::domain::outcome::Outcome;
use crate::domain::target::Target;
use crate::sender::{addresses_of, own_addresses};
use crate::store::Store;
use crate::subscriptions;

/// Slower than this, Redis is no gain over PostgreSQL.
const SLOW_REDIS: Duration = Duration::from_millis(20);
const SUBSCRIPTIONS: i64 = 500;
const NAMES: usize = 20;

pub(super) async fn look_at_redis(config: &Config) -> Finding {
    let Some(url) = &config.redis_url else {
        return Finding::ok("redis", "not used; subscriptions come from memory and PostgreSQL");
    };
    match subscriptions::time_redis(&url.0, config.redis_ca_file.as_deref()).await {
        Ok(took) if took < SLOW_REDIS => Finding::ok("redis", format!("answers in {:.1} ms", took.as_secs_f64() * 1e3)),
        Ok(took) => Finding::warning(
            "redis",
            format!("answers in {:.0} ms: too slow to help", took.as_secs_f64() * 1e3),
            "move it closer, or unset REDIS_URL",
        ),
        // Unlike a Redis that does not answer, an invalid URL prevents the start.
        Err(error) if error.starts_with("REDIS_URL") => {
            let says = error.replacen("REDIS_URL must", "REDIS_URL: must", 1);
            Finding::problem("redis", says, "correct or unset it; postrider works without Redis")
        }
        Err(error) => Finding::warning(
            "redis",
            in_plain_words(&error),
            "postrider works without it, a little slower; check or unset REDIS_URL",
        ),
    }
}

fn in_plain_words(error: &str) -> String {
    let lower = error.to_lowercase();
    let meanings = [
        ("authenticat", "it rejects the password or requires one: check REDIS_URL"),
        ("wrongpass", "it rejects the password or requires one: check REDIS_URL"),
        ("noauth", "it rejects the password or requires one: check REDIS_URL"),
        ("refused", "connection refused: no Redis listens there"),
        ("no such file", "its socket does not exist"),
        ("lookup", "its host name cannot be resolved"),
        ("timed out", "no answer in time"),
        ("in time", "no answer in time"),
    ];
    let meaning = meanings.iter().find(|(sign, _)| lower.contains(sign));
    meaning.map_or_else(|| error.to_owned(), |(_, meaning)| (*meaning).to_owned())
}

pub(super) async fn look_up_targets(store: &Store, config: &Config) -> Finding {
    let targets = match store.newest_targets(SUBSCRIPTIONS).await {
        Ok(targets) => targets,
        Err(error) if error.is_unavailable() => {
            return Finding::ok("names", "not looked up: the database did not answer");
        }
        Err(_) => return Finding::ok("names", "not looked up: there are no subscriptions to read"),
    };
    let mut policy = config.targets(Vec::new()).addresses;
    policy.own = own_addresses();
    let policy = Arc::new(policy);
    let hosts: BTreeSet<String> = targets.iter().filter_map(|target| origin(target)).collect();
    let began = Instant::now();
    let looked_up = join_all(hosts.into_iter().take(NAMES).map(|host| look_up(host, &policy))).await;
    let failed: Vec<String> = looked_up.iter().flatten().cloned().collect();
    let hosts = counted(looked_up.len(), "host");
    let says = format!("{hosts} of targets resolved in {:.2} s", began.elapsed().as_secs_f64());
    if failed.is_empty() {
        return Finding::ok("names", says);
    }
    let blocked = if failed.iter().any(|failed| failed.contains(Outcome::BlockedAddress.as_str())) {
        "; if a blocked_address is your own receiver, add its network to POSTRIDER_ALLOW_TARGETS of every replica"
    } else {
        ""
    };
    Finding::warning(
        "names",
        format!("{says}; {} cannot be reached: {}", failed.len(), failed.join(", ")),
        format!(
            "if all of them fail, check this machine's resolver (/etc/resolv.conf); if some fail, check their subscriptions{blocked}"
        ),
    )
}

/// `None` if the host can be reached.
async fn look_up(host: String, policy: &Arc<AddressPolicy>) -> Option<String> {
    let looked_up = addresses_of(&Target::stored(host.clone()), Arc::clone(policy)).await;
    looked_up.err().map(|cause| format!("{host} ({cause})"))
}

/// Path and query may be private.
fn origin(target: &str) -> Option<String> {
    let url = url::Url::parse(target).ok()?;
    Some(format!("{}/", url.origin().ascii_serialization()))
}

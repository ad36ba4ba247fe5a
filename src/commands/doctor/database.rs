//! Checks PostgreSQL.

use std::time::Duration;

use super::Finding;
use super::counted;
use crate::commands::master_keys;
use crate::config::Config;
use crate::domain::keyring::Keyring;
use crate::store::{Clock, MAX_SKEW, OldSnapshot, QueueSize, SealedWith, ServerFacts, Store, StoreError};

const OLDEST_VERSION: i32 = 150_000;
const OLD_SECONDS: f64 = 60.0;
const NOTABLE_SKEW_SECONDS: f64 = 1.0;
/// Per pending delivery, dead versions included.
const ROW_BYTES: i64 = 400;
const SMALL_TABLE_BYTES: i64 = 64 << 20;
const NOTABLE_WAIT_SECONDS: f64 = 60.0;

pub(super) async fn look(store: &Store, config: &Config) -> Vec<Finding> {
    let facts = match store.server_facts().await {
        Ok(facts) => facts,
        Err(error) => {
            if error.to_string().contains("only reads") {
                let advice =
                    "point DATABASE_URL at the primary, or name all hosts: postgres://user@first,second/database";
                return vec![Finding::problem("database", error.to_string(), advice)];
            }
            let advice = "check DATABASE_URL, that PostgreSQL runs and accepts this host, and POSTRIDER_DB_PREPARE behind a pooler";
            return vec![Finding::problem("database", error.to_string(), advice)];
        }
    };
    let mut findings = of_server(&facts, config.database.pool_size);
    findings.push(of_session(&facts, &config.database.schema.to_string()));
    findings.push(of_clock(store).await);
    findings.push(or_problem(
        "transactions",
        store.old_snapshots(OLD_SECONDS).await.map(|held| of_snapshots(&held, &facts)),
    ));
    let schema = of_schema(store).await;
    let is_usable = schema.advice.is_none();
    findings.push(schema);
    if is_usable {
        findings.push(or_problem("partitions", store.partitions_ahead().await.map(of_partitions)));
        findings.push(or_problem("queue", store.queue_size().await.map(of_queue)));
        findings.push(or_problem(
            "backlog",
            backlog(store).await.map(|(pending, oldest_due)| of_backlog(pending, oldest_due.as_secs_f64())),
        ));
        match super::outbox::look(store).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(or_problem("outbox", Err(error))),
        }
        let views = store.analytics_views().await;
        findings.push(or_problem("analytics", views.map(|views| super::analytics::of_views(views.as_ref()))));
        findings
            .push(or_problem("master keys", store.sealed_with().await.map(|used| of_seals(&used, &config.keyring))));
    }
    findings
}

/// Estimated pending deliveries, and how long the oldest due one has waited.
async fn backlog(store: &Store) -> Result<(i64, Duration), StoreError> {
    let found = store.find_all().await?;
    let waiting = found.iter().filter(|found| found.is_active && !found.is_paced);
    let oldest = waiting.map(|found| found.overdue).max().unwrap_or_default();
    Ok((store.estimate_pending().await?, oldest))
}

fn or_problem(about: &'static str, looked: Result<Finding, StoreError>) -> Finding {
    looked.unwrap_or_else(|error| {
        Finding::problem(
            about,
            error.to_string(),
            "run postrider doctor again; if it still fails, check the log of PostgreSQL",
        )
    })
}

fn of_server(facts: &ServerFacts, pool_size: usize) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("database", format!("PostgreSQL {}", facts.version))];
    let problems = [
        (facts.version_number < OLDEST_VERSION, format!("PostgreSQL {} is too old", facts.version), "use 15 or newer"),
        (!facts.fsync, "fsync is off: a crash can lose or corrupt accepted events".to_owned(), "set fsync = on"),
        (
            !facts.full_page_writes,
            "full_page_writes is off: a crash can corrupt tables".to_owned(),
            "set full_page_writes = on",
        ),
        (
            !matches!(facts.synchronous_commit.as_str(), "on" | "remote_apply"),
            format!("synchronous_commit is {} on our connections", facts.synchronous_commit),
            "commits must reach the disk: alter role ROLE set synchronous_commit = on",
        ),
        (facts.is_replica, "this server is a read-only standby".to_owned(), "point DATABASE_URL at the primary"),
        (
            facts.encoding != "UTF8",
            format!("the database's encoding is {}", facts.encoding),
            "create the database with encoding UTF8",
        ),
    ];
    let bad = problems.into_iter().filter(|(is_so, ..)| *is_so);
    findings.extend(bad.map(|(_, says, advice)| Finding::problem("database", says, advice)));
    if !facts.autovacuum {
        findings.push(Finding::warning(
            "database",
            "autovacuum is off: the log's tables are never analysed",
            "set autovacuum = on",
        ));
    }
    findings.push(of_connections(facts, pool_size));
    findings
}

/// Whether our values hold where statements run, also behind a pooler.
fn of_session(facts: &ServerFacts, schema: &str) -> Finding {
    let wanted = [
        ("lock_timeout", &facts.lock_timeout, "2s"),
        ("statement_timeout", &facts.statement_timeout, "1300ms"),
        ("search_path", &facts.search_path, schema),
    ];
    let wrong = wanted.iter().filter(|(_, found, wanted)| found.as_str() != *wanted);
    let wrong: Vec<String> = wrong.map(|(name, found, wanted)| format!("{name} is {found}, not {wanted}")).collect();
    if !wrong.is_empty() {
        return Finding::problem(
            "session",
            wrong.join(", "),
            "remove what changes it between postrider and PostgreSQL",
        );
    }
    let how = if facts.has_options {
        "set by connection options"
    } else {
        "set in each transaction, because a pooler passes no connection options on"
    };
    Finding::ok("session", how)
}

fn of_connections(facts: &ServerFacts, pool_size: usize) -> Finding {
    // LISTEN for the worker and for the outbox, and migrations, use one connection each outside the pools.
    let most = i64::try_from(pool_size).unwrap_or(i64::MAX).saturating_add(3);
    let says = format!("{} of {} in use; a replica opens up to {most}", facts.connections, facts.max_connections);
    let free = i64::from(facts.max_connections) - facts.connections;
    if free >= most {
        return Finding::ok("connections", says);
    }
    Finding::warning("connections", says, "raise max_connections, lower POSTRIDER_DB_POOL_SIZE, or use a pooler")
}

async fn of_clock(store: &Store) -> Finding {
    let clock = Clock::default();
    match clock.measure(store).await {
        Err(error) => Finding::problem("clock", error.to_string(), "events are not accepted until this is corrected"),
        Ok(()) => check_skew(clock.skew().as_secs_f64()),
    }
}

fn check_skew(seconds: f64) -> Finding {
    let says = format!("{seconds:.3} s from the database's");
    let advice = "run an NTP client on both machines; signatures contain the time, and receivers reject old ones";
    if seconds > MAX_SKEW.as_secs_f64() {
        return Finding::problem("clock", format!("{says}: events are rejected"), advice);
    }
    if seconds > NOTABLE_SKEW_SECONDS { Finding::warning("clock", says, advice) } else { Finding::ok("clock", says) }
}

async fn of_schema(store: &Store) -> Finding {
    match store.schema_version().await {
        Err(error) => {
            Finding::problem("schema", error.to_string(), "check DATABASE_DIRECT_URL, which migrations and LISTEN use")
        }
        Ok((found, known)) => check_schema(found, known),
    }
}

fn check_schema(found: i32, known: i32) -> Finding {
    let says = format!("version {found}");
    match found {
        _ if found == known => Finding::ok("schema", says),
        0 => Finding::problem("schema", "there is none yet", "run: postrider migrate"),
        _ if found < known => {
            Finding::problem("schema", format!("{says}; this postrider needs {known}"), "run: postrider migrate")
        }
        _ => Finding::warning("schema", format!("{says}; this postrider knows {known}"), "start a newer postrider"),
    }
}

fn of_snapshots(held: &[OldSnapshot], facts: &ServerFacts) -> Finding {
    let Some(oldest) = held.first() else {
        let says = format!("none older than {OLD_SECONDS} s");
        if facts.sees_others {
            return Finding::ok("transactions", says);
        }
        return Finding::warning(
            "transactions",
            format!("{says} among those of {0}; {0} may not see those of other roles", facts.role),
            format!("as a superuser: grant pg_read_all_stats to {}", facts.role),
        );
    };
    let since = oldest.seconds.map_or_else(String::new, |seconds| format!(" for {:.0} min", seconds / 60.0));
    let says = format!(
        "{} {} finished rows from being removed, the oldest{since}: {} {} ({})",
        held.len(),
        if held.len() == 1 { "keeps" } else { "keep" },
        oldest.kind,
        oldest.name,
        oldest.detail
    );
    let advice = match oldest.kind.as_str() {
        "transaction" => format!("end it if it is not needed: select pg_terminate_backend({})", oldest.name),
        "prepared" => format!("end it if it is not needed: rollback prepared '{}'", oldest.name),
        _ => format!("let its reader catch up, or drop it: select pg_drop_replication_slot('{}')", oldest.name),
    };
    Finding::warning("transactions", says, advice)
}

fn of_partitions(days_ahead: i64) -> Finding {
    let says = format!("stand for {} ahead", counted(days_ahead, "day"));
    let advice = "start `postrider serve` or `worker` with a role that owns the tables; it creates them";
    match days_ahead {
        ..1 => Finding::problem("partitions", format!("{says}: events may be rejected tomorrow"), advice),
        1 => Finding::warning("partitions", says, advice),
        _ => Finding::ok("partitions", says),
    }
}

fn of_queue(size: QueueSize) -> Finding {
    const MIB: i64 = 1 << 20;
    let says = format!(
        "{} pending and {} finished rows in {} MiB, indexes {} MiB",
        size.live_rows,
        size.dead_rows,
        size.table_bytes / MIB,
        size.index_bytes / MIB
    );
    let bloated =
        size.table_bytes > SMALL_TABLE_BYTES && size.table_bytes > (size.live_rows + size.dead_rows) * ROW_BYTES;
    let unvacuumed = size.dead_rows > 100_000 && size.dead_rows > size.live_rows;
    if unvacuumed {
        let advice = "check for old transactions above; then run: vacuum (verbose, truncate off) deliveries";
        return Finding::warning("queue", format!("{says}: vacuum does not keep up"), advice);
    }
    if bloated {
        let advice = "the space is reused; to return it to the system, in a quiet moment: vacuum full deliveries (locks the queue for seconds)";
        return Finding::warning("queue", format!("{says}: most of it is empty"), advice);
    }
    Finding::ok("queue", says)
}

fn of_backlog(pending: i64, oldest_due_seconds: f64) -> Finding {
    let says = format!("{pending} pending; the oldest has been due for {oldest_due_seconds:.0} s");
    if oldest_due_seconds <= NOTABLE_WAIT_SECONDS {
        return Finding::ok("backlog", says);
    }
    Finding::warning(
        "backlog",
        says,
        "check that a `serve` or `worker` runs (postrider_in_flight in /metrics), or start more",
    )
}

fn of_seals(used: &[SealedWith], keyring: &Keyring) -> Finding {
    match master_keys::compare(used, keyring) {
        Ok(says) => Finding::ok("master keys", says),
        Err(unopened) => Finding::problem("master keys", unopened.to_string(), master_keys::ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::Level;
    use super::*;
    use crate::domain::keyring::SealContext;
    use crate::domain::secret::Secret;

    fn facts() -> ServerFacts {
        ServerFacts {
            version_number: 150_018,
            version: "15.18".to_owned(),
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            has_options: true,
            lock_timeout: "2s".to_owned(),
            statement_timeout: "1300ms".to_owned(),
            search_path: "public".to_owned(),
            autovacuum: true,
            max_connections: 100,
            connections: 10,
            role: "postrider".to_owned(),
            sees_others: true,
            is_replica: false,
            encoding: "UTF8".to_owned(),
        }
    }

    fn worst(facts: &ServerFacts) -> Level {
        of_server(facts, 10).iter().map(|finding| finding.level).max().unwrap()
    }

    #[test]
    fn a_server_as_it_should_be_has_no_findings_and_each_fault_has_one() {
        assert_eq!(worst(&facts()), Level::Ok);
        let faults: [fn(&mut ServerFacts); 6] = [
            |facts| facts.version_number = 140_000,
            |facts| facts.fsync = false,
            |facts| facts.full_page_writes = false,
            |facts| facts.synchronous_commit = "off".to_owned(),
            |facts| facts.is_replica = true,
            |facts| facts.encoding = "LATIN1".to_owned(),
        ];
        for (number, fault) in faults.iter().enumerate() {
            let mut facts = facts();
            fault(&mut facts);
            assert_eq!(worst(&facts), Level::Problem, "fault {number}");
        }
        assert_eq!(worst(&ServerFacts { connections: 95, ..facts() }), Level::Warning);
    }

    #[test]
    fn values_that_hold_are_ok_however_they_came_and_others_are_named() {
        assert_eq!(of_session(&facts(), "public").level, Level::Ok);
        let pooled = of_session(&ServerFacts { has_options: false, ..facts() }, "public");
        assert!(pooled.level == Level::Ok && pooled.says.contains("in each transaction"), "{pooled}");
        let lost = of_session(&ServerFacts { statement_timeout: "0".to_owned(), ..facts() }, "hooks");
        assert_eq!(lost.level, Level::Problem);
        assert_eq!(lost.says, "statement_timeout is 0, not 1300ms, search_path is public, not hooks");
    }

    fn sealed(key_id: &str, key: [u8; 32], subscriptions: i64) -> SealedWith {
        let context = SealContext { tenant: Uuid::from_u128(1).into(), subscription: Uuid::from_u128(2).into() };
        let keyring = Keyring::parse(&Keyring::entry(key_id, key)).unwrap();
        let secret = keyring.seal(&Secret::from_random([9; 32]), context, [3; 32]);
        SealedWith { key_id: key_id.to_owned(), subscriptions, context, content: secret, kind: "secret".to_owned() }
    }

    #[test]
    fn a_master_key_that_is_missing_or_has_other_bytes_is_named_with_what_it_closes() {
        let used = [sealed("main", [1; 32], 3), sealed("old", [2; 32], 2)];
        let check = |keys: &[(&str, [u8; 32])]| {
            let entries: Vec<String> = keys.iter().map(|(id, key)| Keyring::entry(id, *key)).collect();
            of_seals(&used, &Keyring::parse(&entries.join(",")).unwrap())
        };
        assert_eq!(check(&[("main", [1; 32]), ("old", [2; 32])]).level, Level::Ok);
        let missing = check(&[("main", [1; 32])]);
        assert_eq!(missing.level, Level::Problem);
        assert!(missing.says.contains("missing from POSTRIDER_MASTER_KEYS: 2 with 'old'"), "{missing}");
        let other = check(&[("main", [7; 32]), ("old", [2; 32])]);
        assert_eq!(other.level, Level::Problem);
        assert!(other.says.contains("bytes have changed: 3 with 'main'"), "{other}");
    }

    #[test]
    fn transactions_that_the_role_may_not_see_are_not_called_absent() {
        assert_eq!(of_snapshots(&[], &facts()).level, Level::Ok);
        let blind = of_snapshots(&[], &ServerFacts { sees_others: false, ..facts() });
        assert_eq!(blind.level, Level::Warning);
        assert!(blind.to_string().contains("grant pg_read_all_stats to postrider"), "{blind}");
    }

    #[test]
    fn clocks_schemas_and_backlogs_have_levels() {
        let levels = |seconds| check_skew(seconds).level;
        assert_eq!([levels(0.01), levels(3.0), levels(130.0)], [Level::Ok, Level::Warning, Level::Problem]);
        let levels = |found| check_schema(found, 7).level;
        assert_eq!(
            [levels(7), levels(8), levels(6), levels(0)],
            [Level::Ok, Level::Warning, Level::Problem, Level::Problem]
        );
        let levels = |days| of_partitions(days).level;
        assert_eq!([levels(7), levels(1), levels(0)], [Level::Ok, Level::Warning, Level::Problem]);
        assert_eq!([of_backlog(9, 2.0).level, of_backlog(9, 600.0).level], [Level::Ok, Level::Warning]);
    }

    #[test]
    fn a_queue_that_vacuum_cannot_clean_or_that_is_mostly_empty_is_a_warning() {
        let size = |live_rows, dead_rows, table_bytes| QueueSize { live_rows, dead_rows, table_bytes, index_bytes: 0 };
        assert_eq!(of_queue(size(1_000, 10, 1 << 20)).level, Level::Ok);
        assert!(of_queue(size(1_000, 900_000, 400 << 20)).says.contains("does not keep up"));
        assert!(of_queue(size(1_000, 10, 400 << 20)).says.contains("most of it is empty"));
    }
}

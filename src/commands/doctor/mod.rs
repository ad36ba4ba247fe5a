//! `postrider doctor` checks settings, database, Redis and host names, and says what to do. It changes nothing.

mod analytics;
mod database;
mod network;
mod outbox;
mod settings;

use std::fmt;

use super::output::print;
use super::{Failure, checks, starting};
use crate::config::{Profile, Settings};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warning,
    Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    level: Level,
    about: &'static str,
    says: String,
    advice: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, says: impl Into<String>) -> Self {
        Self { level: Level::Ok, about, says: says.into(), advice: None }
    }

    fn warning(about: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warning, about, says: says.into(), advice: Some(advice.into()) }
    }

    fn problem(about: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Problem, about, says: says.into(), advice: Some(advice.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        };
        write!(f, "{level:8} {:13} {}", self.about, self.says)?;
        match &self.advice {
            Some(advice) => write!(f, "\n{:22} -> {advice}", ""),
            None => Ok(()),
        }
    }
}

pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let unknown = settings::look_at_unknown(settings.unknown(), settings.is_strict().unwrap_or_default());
    let config = match settings.resolve(Profile::Production) {
        Ok(config) => config,
        Err(invalid) => {
            // The URLs are looked at too.
            let invalid = checks::resolve(settings, Profile::Production).err().unwrap_or(invalid);
            let advice = "`postrider settings` explains every setting, with its value and where that comes from";
            let invalid = invalid.0.iter().map(|invalid| Finding::problem("settings", invalid.to_string(), advice));
            return conclude(&invalid.chain(unknown).collect::<Vec<_>>());
        }
    };
    let mut findings = settings::look(&config);
    findings.extend(unknown);
    if let Err(failure) = starting::target_roots(config.ca_file.as_deref()) {
        let advice = "name a file with certificates in PEM format, or unset it";
        findings.push(Finding::problem("targets", failure.to_string(), advice));
    }
    let redis = network::look_at_redis(&config);
    match starting::store(&config.database) {
        Ok(store) => {
            let store = store.patient();
            let (database, redis) = tokio::join!(database::look(&store, &config), redis);
            findings.extend(database);
            findings.push(redis);
            findings.push(network::look_up_targets(&store, &config).await);
            store.close();
        }
        Err(failure) => {
            let advice = "write it as postgres://user:password@host:5432/database, with % codes for special characters; deploy/README.md has more";
            findings.push(Finding::problem("database", failure.to_string(), advice));
            findings.push(redis.await);
        }
    }
    conclude(&findings)
}

fn conclude(findings: &[Finding]) -> Result<(), Failure> {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    let sum = format!("\n{}, {}", counted(problems, "problem"), counted(warnings, "warning"));
    match findings.iter().try_for_each(print).and_then(|()| print(sum)) {
        // The status says what was found, also to a reader of the first lines.
        Ok(()) | Err(Failure::ReaderGone) if problems > 0 => Err(Failure::AlreadySaid),
        printed => printed,
    }
}

fn counted(count: impl fmt::Display, noun: &str) -> String {
    let count = count.to_string();
    if count == "1" { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

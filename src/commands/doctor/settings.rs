//! Finds settings that are valid but probably a mistake.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Finding, counted};
use crate::commands::sockets::descriptor_limit;
use crate::config::{AuthMode, Config, UnknownSetting};

/// Listeners, logs, timers, lookups.
const OTHER_DESCRIPTORS: usize = 320;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let keys: Vec<&str> = config.keyring.ids().collect();
    let sealing = keys.first().copied().unwrap_or_default();
    let says = format!("valid; new secrets are sealed with master key '{sealing}', of {}", counted(keys.len(), "key"));
    let mut findings = vec![Finding::ok("settings", says)];
    findings.extend(open_api(config.auth, config.listen));
    findings.extend(open_targets(config));
    findings.extend(schedule_beyond_lifetime(config));
    findings.push(descriptors(config, descriptor_limit()));
    findings
}

pub(super) fn look_at_unknown(unknown: &[UnknownSetting], is_strict: bool) -> Option<Finding> {
    let named = |setting: &UnknownSetting| match &setting.nearest {
        Some(nearest) => format!("{} ({nearest}?)", setting.name),
        None => setting.name.clone(),
    };
    let names: Vec<String> = unknown.iter().map(named).collect();
    let says = format!("unknown settings: {}", names.join(", "));
    let advice = "correct or remove the name; `postrider settings` explains every setting";
    let finding = if is_strict {
        Finding::problem("settings", format!("{says}; POSTRIDER_STRICT lets no command start"), advice)
    } else {
        Finding::warning("settings", says, advice)
    };
    (!names.is_empty()).then_some(finding)
}

fn open_api(auth: AuthMode, listen: SocketAddr) -> Option<Finding> {
    let says = if listen.ip().is_loopback() {
        format!("POSTRIDER_AUTH is off and the API listens on {listen}: every program on this machine has full access")
    } else {
        format!("POSTRIDER_AUTH is off and the API listens on {listen}: anyone who can reach it has full access")
    };
    let advice = "set POSTRIDER_AUTH=keys and make one with: postrider keys create --tenant NAME";
    (auth == AuthMode::Off).then(|| Finding::warning("keys", says, advice))
}

fn open_targets(config: &Config) -> Option<Finding> {
    let open = [
        (config.allow_http, "POSTRIDER_ALLOW_HTTP allows unencrypted deliveries"),
        (
            config.targets(Vec::new()).addresses.allows_private(),
            "POSTRIDER_ALLOW_TARGETS allows deliveries to private networks",
        ),
    ];
    let open: Vec<&str> = open.iter().filter(|(is_open, _)| *is_open).map(|(_, says)| *says).collect();
    (!open.is_empty()).then(|| {
        Finding::warning(
            "targets",
            open.join("; "),
            "fine for tests and for your own receivers; unsafe if customers choose targets",
        )
    })
}

fn schedule_beyond_lifetime(config: &Config) -> Option<Finding> {
    let schedule = &config.retry_schedule;
    let total: Duration = (1..schedule.max_attempts()).filter_map(|made| schedule.delay_after(made)).sum();
    (total > config.delivery_lifetime).then(|| {
        Finding::warning(
            "retries",
            format!(
                "the retry schedule takes {} h, but deliveries expire after {} h: the last retries never happen",
                hours(total),
                hours(config.delivery_lifetime)
            ),
            "raise POSTRIDER_DELIVERY_LIFETIME or shorten POSTRIDER_RETRY_SCHEDULE",
        )
    })
}

/// One for each delivery in flight, an idle connection beside it, and one for each connection of producers.
fn descriptors(config: &Config, limit: Option<u64>) -> Finding {
    let needed = 2 * config.slots().total + config.max_connections + config.database.pool_size + OTHER_DESCRIPTORS;
    match limit {
        None => Finding::ok("machine", format!("no limit of open files; about {needed} are needed at most")),
        Some(limit) if limit >= needed as u64 => {
            Finding::ok("machine", format!("{limit} files may be open; about {needed} are needed at most"))
        }
        Some(limit) => Finding::warning(
            "machine",
            format!("{limit} files may be open, and about {needed} are needed at most"),
            "raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower POSTRIDER_MAX_IN_FLIGHT and \
             POSTRIDER_MAX_CONNECTIONS; without a free one deliveries are handed back unsent",
        ),
    }
}

fn hours(duration: Duration) -> u64 {
    duration.as_secs() / 3_600
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Level;

    #[test]
    fn an_open_api_is_a_warning_and_a_milder_one_where_only_this_machine_reaches_it() {
        let everywhere: SocketAddr = "0.0.0.0:8000".parse().unwrap();
        let loopback: SocketAddr = "127.0.0.1:8000".parse().unwrap();
        assert!(open_api(AuthMode::Off, everywhere).unwrap().says.contains("anyone who can reach it"));
        assert!(open_api(AuthMode::Off, loopback).unwrap().says.contains("every program on this machine"));
        assert!(open_api(AuthMode::Keys, everywhere).is_none());
    }

    #[test]
    fn a_misspelt_setting_is_shown_with_its_likely_name() {
        let misspelt =
            UnknownSetting { name: "POSTRIDER_LISTN".to_owned(), nearest: Some("POSTRIDER_LISTEN".to_owned()) };
        assert!(look_at_unknown(&[], true).is_none());
        let finding = look_at_unknown(std::slice::from_ref(&misspelt), false).unwrap();
        assert!(finding.says.contains("POSTRIDER_LISTN (POSTRIDER_LISTEN?)"), "{finding}");
        assert_eq!(look_at_unknown(&[misspelt], true).unwrap().level, Level::Problem);
    }
}

//! Settings of commands that talk to a server. A service reads none of them.

use super::declare::{Rule, settings};
use super::rules::{optional, plain, secret, text};
use super::{InvalidSettings, Private, Profile, Settings};
use url::Url;

settings! {
    RemoteConfig {}

    /// Server that commands talk to, an http or https URL; of no use to a service
    server: Url = "POSTRIDER_SERVER", server(), Default::Value("http://127.0.0.1:8000");

    /// API key with which commands talk to it
    key: Option<Private> = "POSTRIDER_KEY", optional(key()), Default::Unset("none");

    /// Tenant for which commands act with an operator key: its id or external id, or * for all where that is allowed
    tenant: Option<String> = "POSTRIDER_TENANT", optional(text()), Default::Unset("none");
}

impl Settings {
    /// For commands that talk to a server.
    pub fn remote(&self) -> Result<RemoteConfig, InvalidSettings> {
        RemoteConfig::read(self, Profile::Production)
    }

    /// Whether a server is named at least as near as a database is: flags come before the environment, and that before
    /// `.env`.
    pub fn names_server(&self) -> bool {
        let Some((_, server)) = self.given("POSTRIDER_SERVER") else { return false };
        let databases = ["DATABASE_URL", "DATABASE_URL_FILE"];
        databases.into_iter().filter_map(|name| self.given(name)).all(|(_, database)| server <= database)
    }
}

fn server() -> Rule<Url> {
    plain(String::new(), "must be an http or https URL, as in https://hooks.example.com".to_owned(), |text| {
        Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
    })
}

/// What a header may hold.
fn key() -> Rule<Private> {
    secret(|text| {
        let key = text.trim();
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        is_visible.then(|| Private(key.to_owned())).ok_or_else(|| "must be a key as `keys create` prints it".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    #[test]
    fn a_server_is_an_http_url() {
        let with = |server: &str| {
            let mut settings = Settings::default();
            settings.set("POSTRIDER_SERVER", server);
            settings.remote().map(|remote| remote.server.to_string()).map_err(|invalid| invalid.to_string())
        };
        assert_eq!(with("https://hooks.example.com/postrider").unwrap(), "https://hooks.example.com/postrider");
        assert_eq!(with("").unwrap(), "http://127.0.0.1:8000/");
        for refused in ["localhost:8000", "ftp://a.example", "hooks.example.com", "x"] {
            assert!(with(refused).unwrap_err().contains("POSTRIDER_SERVER: must be an http or https URL"), "{refused}");
        }
    }

    #[test]
    fn a_key_that_no_header_can_hold_is_refused_without_showing_it() {
        let mut settings = Settings::default();
        settings.set("POSTRIDER_KEY", "CANARY\u{7f}");
        let refused = settings.remote().unwrap_err().to_string();
        assert!(refused.starts_with("POSTRIDER_KEY: must be a key") && !refused.contains("CANARY"), "{refused}");
    }

    #[test]
    fn the_nearer_of_server_and_database_counts() {
        let named = |server: Option<Source>, database: Option<Source>| {
            let mut settings = Settings::default();
            server.into_iter().for_each(|source| settings.set_from(source, "POSTRIDER_SERVER", "http://a"));
            database.into_iter().for_each(|source| settings.set_from(source, "DATABASE_URL", "postgres://a"));
            settings.names_server()
        };
        assert!(named(Some(Source::Environment), Some(Source::Environment)));
        assert!(named(Some(Source::Flag), Some(Source::Environment)));
        assert!(named(Some(Source::Environment), Some(Source::Dotenv("/x".into()))));
        assert!(!named(Some(Source::Environment), Some(Source::Flag)));
        assert!(!named(None, None));
    }
}

//! Settings of the portal: links for customers.

use std::time::Duration;

use url::Url;

use super::declare::{Rule, settings};
use super::rules::{duration, number, optional, plain, text};
use crate::domain::origin::Origins;

settings! {
    PortalConfig {}

    /// URL under which browsers reach the API, as in `https://hooks.example.com`; links to the portal begin with it
    public_url: Option<String> = "POSTRIDER_PUBLIC_URL", optional(public_url()),
        Default::Unset("the host that a request names");

    /// Origins whose pages may embed the dashboard, as in `https://app.example.com,https://*.example.org`, or none
    origins: Origins = "POSTRIDER_PORTAL_ORIGINS", text(), Default::Value("");

    /// Longest time for which a portal session is valid
    max_age: Duration = "POSTRIDER_PORTAL_MAX_AGE", duration("60s", "30d"), Default::Value("24h");

    /// Most portal sessions of a tenant that are valid at a time
    max_sessions: u32 = "POSTRIDER_PORTAL_MAX_SESSIONS", number(1..=100_000), Default::Value("1000");
}

/// Without a slash at the end.
fn public_url() -> Rule<String> {
    plain(
        String::new(),
        "must be an http or https URL without query, as in https://hooks.example.com".to_owned(),
        |text| {
            let url = Url::parse(text.trim()).ok()?;
            let is_plain = url.query().is_none() && url.fragment().is_none() && !text.contains('@');
            let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
            (is_plain && is_web).then(|| url.as_str().trim_end_matches('/').to_owned())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_has_no_slash_at_its_end_and_nothing_after_its_path() {
        let read = public_url().read;
        for (given, taken) in [
            ("https://hooks.example.com", "https://hooks.example.com"),
            ("https://Hooks.Example.com/", "https://hooks.example.com"),
            ("http://localhost:8000/postrider/", "http://localhost:8000/postrider"),
        ] {
            assert_eq!(read(given), Ok(taken.to_owned()));
        }
        for wrong in [
            "hooks.example.com",
            "ftp://a.example",
            "https://a.example?x=1",
            "https://a.example#x",
            "https://u:p@a.example",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}

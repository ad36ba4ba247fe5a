//! Web origins, as browsers write them: scheme, host and port of a page.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Keeps the header that names them short.
const MAX_ORIGINS: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    #[error(
        "must be none, or origins separated by commas, as in https://app.example.com or https://*.example.com ({0:?} is none)"
    )]
    NotAnOrigin(String),
    #[error("must be at most {MAX_ORIGINS} origins")]
    TooMany,
}

/// `https://app.example.com`, or `https://*.example.com` for all below a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        Self::read(text).ok_or_else(|| InvalidOrigin::NotAnOrigin(text.to_owned()))
    }
}

impl Origin {
    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (wildcard, host) = match rest.strip_prefix("*.") {
            Some(domain) => ("*.", domain),
            None => ("", rest),
        };
        let url = Url::parse(&format!("{scheme}://{host}")).ok()?;
        let is_domain = match url.host()? {
            // An asterisk further down means nothing to a browser.
            Host::Domain(name) => !name.contains('*'),
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        };
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !host.ends_with('/');
        let is_anonymous = !host.contains('@') && url.username().is_empty();
        let is_web = matches!(url.scheme(), "http" | "https");
        if !(is_web && is_bare && is_anonymous && (is_domain || wildcard.is_empty())) || host.contains('*') {
            return None;
        }
        let origin = url.origin().ascii_serialization();
        let (scheme, host) = origin.split_once("://")?;
        Some(Self(format!("{scheme}://{wildcard}{host}")))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Origins whose pages may embed a page of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Vec<Origin>);

impl FromStr for Origins {
    type Err = InvalidOrigin;

    fn from_str(list: &str) -> Result<Self, InvalidOrigin> {
        if list.trim() == "none" {
            return Ok(Self::default());
        }
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let origins: Vec<Origin> = entries.map(str::parse).collect::<Result<_, _>>()?;
        if origins.len() > MAX_ORIGINS {
            return Err(InvalidOrigin::TooMany);
        }
        Ok(Self(origins))
    }
}

impl Origins {
    /// The directive `frame-ancestors` of a Content-Security-Policy, without a semicolon.
    pub fn frame_ancestors(&self) -> String {
        if self.0.is_empty() {
            return "frame-ancestors 'none'".to_owned();
        }
        let origins: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        format!("frame-ancestors {}", origins.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_a_browser_writes_it() {
        for (given, written) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.com:443", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(given.parse::<Origin>().map(|origin| origin.to_string()), Ok(written.to_owned()));
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for text in [
            "*",
            "app.example.com",
            "https://",
            "https://*",
            "https://*.",
            "https://*.127.0.0.1",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://app.example.com/",
            "https://app.example.com/portal",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://user@app.example.com",
            "https://@app.example.com",
            "https://app.example.com; script-src *",
            "https://app.example.com 'self'",
            "data:text/html",
            "ftp://app.example.com",
            "null",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_becomes_one_directive() {
        let directive = |list: &str| list.parse::<Origins>().map(|origins| origins.frame_ancestors());
        for none in ["", " ", "none", ","] {
            assert_eq!(directive(none), Ok("frame-ancestors 'none'".to_owned()));
        }
        let two = directive("https://a.example.com, https://*.example.org,");
        assert_eq!(two, Ok("frame-ancestors https://a.example.com https://*.example.org".to_owned()));
        let many: Vec<String> = (0..=MAX_ORIGINS).map(|at| format!("https://a{at}.example.com")).collect();
        assert_eq!(directive(&many.join(",")), Err(InvalidOrigin::TooMany));
    }
}

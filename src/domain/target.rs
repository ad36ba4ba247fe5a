//! The URL to which a subscription's deliveries go.
//!
//! Only the canonical form is kept and sent, so no second parser can read another host. The gate checks resolved
//! addresses when it connects.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::address::{AddressClass, AddressPolicy};

pub(crate) const MAX_TARGET_LENGTH: usize = 2_048;

const MAX_HOST_LENGTH: usize = 253;
const RESERVED_SUFFIXES: [&str; 8] =
    ["localhost", "local", "internal", "intranet", "lan", "home.arpa", "onion", "svc.cluster.local"];

/// Ports that speak other protocols: WHATWG bad ports and common data stores, from 1024 up.
const REFUSED_PORTS: [u16; 26] = [
    1719, 1720, 1723, 2049, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669,
    6679, 6697, 9200, 10080, 11211, 27017, 1433,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTarget {
    #[error("must be at most {MAX_TARGET_LENGTH} bytes")]
    TooLong,
    #[error("must not contain white space, control characters or backslashes")]
    Characters,
    #[error("must be an absolute URL, as in https://example.com/hook")]
    NotAUrl,
    #[error("must begin with https://")]
    Scheme,
    #[error("must not contain a user name or password")]
    UserInfo,
    #[error("must not contain a fragment")]
    Fragment,
    /// Ambiguous or invalid host.
    #[error("the host must be written in its plain form: a domain name of at least two labels, or an address")]
    Host,
    #[error("the host is reserved for private use")]
    ReservedName,
    #[error("the port must be 80, 443 or one from 1024 that belongs to no other protocol")]
    Port,
    #[error("the address is private, reserved or otherwise not to be dialled")]
    BlockedAddress,
}

#[derive(Debug, Clone, Default)]
pub struct TargetPolicy {
    pub(crate) allow_http: bool,
    pub(crate) addresses: AddressPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    pub(crate) fn parse(raw: &str, policy: &TargetPolicy) -> Result<Self, InvalidTarget> {
        if raw.len() > MAX_TARGET_LENGTH {
            return Err(InvalidTarget::TooLong);
        }
        if raw.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(InvalidTarget::Characters);
        }
        let url = Url::parse(raw).map_err(|_| InvalidTarget::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if policy.allow_http => {}
            _ => return Err(InvalidTarget::Scheme),
        }
        let authority = raw_authority(raw).ok_or(InvalidTarget::NotAUrl)?;
        if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(InvalidTarget::Fragment);
        }
        check_port(&url)?;
        check_host(&url, authority, policy)?;
        Ok(Self(url.into()))
    }

    /// Skips the check: only parsed URLs are stored, and the gate checks the address at every attempt.
    pub fn stored(canonical: String) -> Self {
        Self(canonical)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the host is an address, so that no lookup decides where it leads. Also if it is no URL: only parsed
    /// ones are stored, and no retry would mend it.
    pub(crate) fn names_an_address(&self) -> bool {
        Url::parse(&self.0).ok().is_none_or(|url| !matches!(url.host(), Some(Host::Domain(_))))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Single labels and private suffixes may lead only to addresses that the operator allowed.
pub(crate) fn needs_allowed_address(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let under = |suffix: &&str| host == **suffix || host.strip_suffix(*suffix).is_some_and(|rest| rest.ends_with('.'));
    !host.contains('.') || RESERVED_SUFFIXES.iter().any(under)
}

fn raw_authority(raw: &str) -> Option<&str> {
    let (_, rest) = raw.split_once("://")?;
    rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())
}

fn check_port(url: &Url) -> Result<(), InvalidTarget> {
    match url.port_or_known_default() {
        Some(80 | 443) => Ok(()),
        Some(port) if port >= 1_024 && !REFUSED_PORTS.contains(&port) => Ok(()),
        _ => Err(InvalidTarget::Port),
    }
}

fn check_host(url: &Url, authority: &str, policy: &TargetPolicy) -> Result<(), InvalidTarget> {
    let written = written_host(authority);
    match url.host().ok_or(InvalidTarget::Host)? {
        Host::Ipv4(ip) => {
            require(written == ip.to_string())?;
            check_address(ip.into(), policy)
        }
        Host::Ipv6(ip) => {
            require(written.starts_with('['))?;
            check_address(ip.into(), policy)
        }
        Host::Domain(name) => {
            let same_name = !written.is_ascii() || written.eq_ignore_ascii_case(name);
            let labels_filled = name.split('.').all(|label| !label.is_empty());
            require(same_name && !written.contains('%') && labels_filled && name.len() <= MAX_HOST_LENGTH)?;
            match needs_allowed_address(name) && !policy.addresses.allows_private() {
                true if name.contains('.') || name == "localhost" => Err(InvalidTarget::ReservedName),
                true => Err(InvalidTarget::Host),
                false => Ok(()),
            }
        }
    }
}

fn written_host(authority: &str) -> &str {
    match authority.rfind(']') {
        Some(end) => authority.get(..=end).unwrap_or(authority),
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    }
}

fn require(holds: bool) -> Result<(), InvalidTarget> {
    if holds { Ok(()) } else { Err(InvalidTarget::Host) }
}

fn check_address(address: IpAddr, policy: &TargetPolicy) -> Result<(), InvalidTarget> {
    match policy.addresses.classify(address) {
        AddressClass::Blocked => Err(InvalidTarget::BlockedAddress),
        AddressClass::Public | AddressClass::Allowed => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn production() -> TargetPolicy {
        TargetPolicy::default()
    }

    fn development() -> TargetPolicy {
        let addresses = AddressPolicy {
            allow: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            ..AddressPolicy::default()
        };
        TargetPolicy { allow_http: true, addresses }
    }

    fn canonical(raw: &str) -> String {
        Target::parse(raw, &production()).unwrap().as_str().to_owned()
    }

    #[test]
    fn the_canonical_form_is_kept() {
        assert_eq!(canonical("https://Hooks.Example.com/in?a=1"), "https://hooks.example.com/in?a=1");
        assert_eq!(canonical("https://bücher.example/in"), "https://xn--bcher-kva.example/in");
        assert_eq!(canonical("https://a_b.example.com/"), "https://a_b.example.com/");
        assert_eq!(canonical("https://example.com:8443"), "https://example.com:8443/");
        assert_eq!(canonical("https://[2606:4700::1111]/"), "https://[2606:4700::1111]/");
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        let http = TargetPolicy { allow_http: true, ..TargetPolicy::default() };
        let refused = [
            "",
            "nope",
            "//hooks.example.com/in",
            "https:///in",
            "javascript:alert(1)",
            "http+unix://%2Fvar%2Frun/info",
            "ftp://example.com/",
            "http://hooks.example.com\\@169.254.169.254/",
            "http://hooks.example.com@127.0.0.1/",
            "http://hooks.exa\tmple.com/",
            "https://example.com/#x",
            "http://xn--a.com/",
            "http://hooks.example.com:\u{668}\u{660}/",
            "http://example.com./",
            "http://ex%61mple.com/",
            "http://1.2.3.4.5/",
            "https://example.com/ in",
            "https:example.com/",
        ];
        for raw in refused {
            assert!(Target::parse(raw, &http).is_err(), "{raw:?}");
        }
        assert_eq!(Target::parse("http://example.com/", &production()), Err(InvalidTarget::Scheme));
    }

    #[test]
    fn odd_spellings_of_an_address_are_refused_even_where_the_address_is_open() {
        for raw in [
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://%31%32%37.0.0.1/",
        ] {
            assert!(Target::parse(raw, &development()).is_err(), "{raw}");
        }
        for raw in ["http://127.0.0.1:9000/", "http://[::1]:9000/", "http://localhost:9000/in"] {
            assert!(Target::parse(raw, &development()).is_ok(), "{raw}");
            assert!(Target::parse(raw, &production()).is_err(), "{raw}");
        }
    }

    #[test]
    fn an_address_is_told_from_a_name() {
        for (target, is_address) in [
            ("https://example.com/", false),
            ("http://localhost:1/", false),
            ("http://10.0.0.1/", true),
            ("http://[::1]:9/", true),
            ("nonsense", true),
        ] {
            assert_eq!(Target::stored(target.to_owned()).names_an_address(), is_address, "{target}");
        }
    }

    #[test]
    fn ports_of_other_protocols_are_refused() {
        for port in [0, 22, 25, 1023, 5432, 6379, 11211] {
            let raw = format!("https://example.com:{port}/");
            assert_eq!(Target::parse(&raw, &production()), Err(InvalidTarget::Port), "{port}");
        }
        assert_eq!(Target::parse("https://example.com:65536/", &production()), Err(InvalidTarget::NotAUrl));
    }

    #[test]
    fn inside_names_need_an_opened_address() {
        for raw in [
            "https://service.internal/",
            "https://a.svc.cluster.local/",
            "https://printer.local/",
            "https://localhost/",
            "https://backend/",
        ] {
            assert!(Target::parse(raw, &production()).is_err(), "{raw}");
            assert!(Target::parse(raw, &development()).is_ok(), "{raw}");
        }
        assert!(!needs_allowed_address("notlocal.example"));
        assert!(!needs_allowed_address("mylan.com"));
    }

    proptest! {
        #[test]
        fn a_canonical_target_reads_back_as_itself(host in "[a-z]{1,8}\\.[a-z]{2,5}", path in "[a-z/?=&%20]{0,20}") {
            if let Ok(target) = Target::parse(&format!("https://{host}/{path}"), &production()) {
                prop_assert_eq!(Target::parse(target.as_str(), &production()), Ok(target));
            }
        }

        #[test]
        fn any_text_is_answered_without_a_panic(raw in "\\PC{0,60}") {
            let _ = Target::parse(&raw, &development());
        }
    }
}

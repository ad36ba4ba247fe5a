//! Resolves names within limits. The gate decides which addresses are allowed.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::lookup_permits::LookupPermits;
use crate::domain::id::TenantId;
use crate::domain::outcome::Outcome;

/// Includes the wait for a permit.
const LOOKUP_BUDGET: Duration = Duration::from_secs(5);
/// A dead DNS server blocks one thread per lookup; the blocking pool has 512 and others need it too.
const MAX_LOOKUPS: usize = 64;
const MAX_ADDRESSES: usize = 4;
/// The C libraries' messages for a name without addresses: the standard library passes on only the text.
const NO_ADDRESS: [&str; 2] = ["No address associated with hostname", "Name has no usable address"];

#[derive(Debug, Clone)]
pub(super) struct Resolver {
    permits: Arc<LookupPermits>,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self { permits: LookupPermits::new(MAX_LOOKUPS) }
    }

    pub(super) async fn lookup(&self, host: &str, tenant: TenantId) -> Result<Vec<IpAddr>, Outcome> {
        let name = absolute(host);
        let permits = Arc::clone(&self.permits);
        let lookup = async {
            let permit = permits.take(tenant).await;
            // getaddrinfo cannot be cancelled: the permit stays taken until it returns.
            let answer = spawn_blocking(move || {
                let _place = permit;
                addresses(&name)
            });
            answer.await.map_err(|_| Outcome::DnsFailed)?
        };
        timeout(LOOKUP_BUDGET, lookup).await.unwrap_or(Err(Outcome::DnsTimeout))
    }
}

/// A final dot disables the search list. Single labels (`localhost`, container names) need that list or the hosts
/// file.
fn absolute(host: &str) -> String {
    let dot = if host.contains('.') && !host.ends_with('.') { "." } else { "" };
    format!("{host}{dot}")
}

fn addresses(name: &str) -> Result<Vec<IpAddr>, Outcome> {
    let answer = (name, 0).to_socket_addrs().map_err(|error| of_lookup(&error))?;
    let addresses: Vec<IpAddr> = answer.map(|address| address.ip()).collect();
    if addresses.is_empty() { Err(Outcome::DnsNoAddress) } else { Ok(addresses) }
}

fn of_lookup(error: &io::Error) -> Outcome {
    let text = error.to_string();
    if NO_ADDRESS.iter().any(|words| text.contains(words)) { Outcome::DnsNoAddress } else { Outcome::DnsFailed }
}

/// Alternates IPv4 and IPv6, so that a broken family costs one address, not all.
pub(super) fn interleaved(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (preferred, other): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    let rounds = preferred.len().max(other.len());
    let round = |index: usize| [preferred.get(index), other.get(index)];
    (0..rounds).flat_map(round).flatten().copied().take(MAX_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn names_with_a_dot_are_made_absolute_and_single_labels_are_not() {
        assert_eq!(absolute("hooks.example.com"), "hooks.example.com.");
        assert_eq!(absolute("hooks.example.com."), "hooks.example.com.");
        assert_eq!(absolute("localhost"), "localhost");
    }

    #[test]
    fn the_families_alternate_and_at_most_four_addresses_are_dialled() {
        let answer = ips(&["2606::1", "2606::2", "2606::3", "2606::4", "1.0.0.1", "1.0.0.2"]);
        assert_eq!(interleaved(&answer), ips(&["2606::1", "1.0.0.1", "2606::2", "1.0.0.2"]));
        let thousand: Vec<IpAddr> = (0..1_000_u32).map(|n| IpAddr::V4((0x0100_0000 + n).into())).collect();
        assert_eq!(interleaved(&thousand), thousand[..4]);
        assert!(interleaved(&[]).is_empty());
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_a_failed_lookup() {
        let met = Resolver::new().lookup("no-such-name.invalid", uuid::Uuid::nil().into()).await.unwrap_err();
        assert!(matches!(met, Outcome::DnsFailed | Outcome::DnsTimeout), "{met}");
    }

    #[test]
    fn a_name_without_an_address_has_its_own_word() {
        let error = io::Error::other("failed to lookup address information: No address associated with hostname");
        assert_eq!(of_lookup(&error), Outcome::DnsNoAddress);
    }
}

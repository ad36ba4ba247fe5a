//! Resolves names within limits, once for all who ask at the same time. The gate decides which addresses are allowed.
//!
//! The system's own resolver answers (getaddrinfo), so the hosts file, search lists and nsswitch count as they do for
//! curl, and a changed /etc/resolv.conf counts at once. It tells no TTL, so answers are kept for a few seconds only.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::local_fault::{Cause, LocalFault};
use super::lookup_permits::{LookupPermit, LookupPermits};
use crate::domain::id::TenantId;
use crate::domain::outcome::Outcome;

/// From the moment a delivery joins a lookup.
const LOOKUP_BUDGET: Duration = Duration::from_secs(5);
/// For a permit. A lookup that does not begin in this time is no failure of the receiver.
const PERMIT_BUDGET: Duration = Duration::from_secs(5);
/// A dead DNS server blocks one thread per lookup; the blocking pool has 512 and others need it too.
const MAX_LOOKUPS: usize = 128;
/// Shorter than the TTLs that owners of names use to move a service, 30 s and more.
const FOUND_FOR: Duration = Duration::from_secs(10);
/// Spares the name server the attempts of one moment, but not the next retry: the shortest delay is 1 s.
const NOT_FOUND_FOR: Duration = Duration::from_millis(500);
/// 1,500 bytes each at most.
const MAX_NAMES: usize = 4_096;
/// More than any real answer; at most 4 of them are dialled.
const MAX_KEPT_ADDRESSES: usize = 64;
const MAX_ADDRESSES: usize = 4;
/// The C libraries' messages for a name without addresses: the standard library passes on only the text.
const NO_ADDRESS: [&str; 2] = ["No address associated with hostname", "Name has no usable address"];

pub(super) type Found = Result<Vec<IpAddr>, Cause>;
type Lookup = Arc<dyn Fn(&str) -> Found + Send + Sync>;

#[derive(Clone)]
pub(super) struct Resolver(Arc<Lookups>);

struct Lookups {
    permits: Arc<LookupPermits>,
    names: Mutex<HashMap<String, Name>>,
    uses_search_list: bool,
    permit_budget: Duration,
    lookup_budget: Duration,
    lookup: Lookup,
}

enum Name {
    Known {
        found: Found,
        until: Instant,
    },
    /// `None` until it is answered.
    Running(watch::Receiver<Option<Found>>),
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// `uses_search_list`: whether the hosts file and the search list may complete names with a dot. They lead inside,
    /// so this is for operators that opened networks.
    pub(super) fn new(uses_search_list: bool) -> Self {
        Self(Arc::new(Lookups::new(uses_search_list, Arc::new(addresses))))
    }

    /// `begun` is called when the lookup has begun; before that a timeout is not the receiver's.
    pub(super) async fn lookup(&self, host: &str, tenant: TenantId, begun: impl FnOnce()) -> Found {
        let name = if self.0.uses_search_list { host.to_owned() } else { absolute(host) };
        let running = match self.0.look(&name) {
            Some(Name::Known { found, .. }) => return found,
            Some(Name::Running(running)) => Some(running),
            None => None,
        };
        let mut running = match running {
            Some(running) => running,
            None => {
                let permit = timeout(self.0.permit_budget, self.0.permits.take(tenant)).await;
                let permit = permit.map_err(|_| Cause::Local(LocalFault::Lookups))?;
                self.0.begin(name, permit)
            }
        };
        begun();
        match timeout(self.0.lookup_budget, running.wait_for(Option::is_some)).await {
            Ok(Ok(found)) => found.clone().unwrap_or(Err(Outcome::DnsFailed.into())),
            // The lookup panicked.
            Ok(Err(_)) => Err(Outcome::DnsFailed.into()),
            Err(_) => Err(Outcome::DnsTimeout.into()),
        }
    }
}

impl Lookups {
    fn new(uses_search_list: bool, lookup: Lookup) -> Self {
        Self {
            permits: LookupPermits::new(MAX_LOOKUPS),
            names: Mutex::default(),
            uses_search_list,
            permit_budget: PERMIT_BUDGET,
            lookup_budget: LOOKUP_BUDGET,
            lookup,
        }
    }

    fn look(&self, name: &str) -> Option<Name> {
        match self.names().get(name)? {
            Name::Known { found, until } if *until > Instant::now() => {
                Some(Name::Known { found: found.clone(), until: *until })
            }
            Name::Running(running) if running.has_changed().is_ok() => Some(Name::Running(running.clone())),
            _ => None,
        }
    }

    /// Another task may have begun the same lookup while this one waited for its permit.
    fn begin(self: &Arc<Self>, name: String, permit: LookupPermit) -> watch::Receiver<Option<Found>> {
        match self.look(&name) {
            Some(Name::Running(running)) => return running,
            Some(Name::Known { found, .. }) => return watch::channel(Some(found)).1,
            None => {}
        }
        let (answer, running) = watch::channel(None);
        self.insert(name.clone(), Name::Running(running.clone()));
        let lookups = Arc::clone(self);
        // getaddrinfo cannot be cancelled: the permit stays taken until it returns.
        spawn_blocking(move || {
            let found = (lookups.lookup)(&name);
            match found {
                Err(Cause::Local(_)) => drop(lookups.names().remove(&name)),
                _ => {
                    let kept_for = if found.is_ok() { FOUND_FOR } else { NOT_FOUND_FOR };
                    lookups.insert(name, Name::Known { found: found.clone(), until: Instant::now() + kept_for });
                }
            }
            drop(permit);
            answer.send_replace(Some(found));
        });
        running
    }

    fn insert(&self, name: String, state: Name) {
        let mut names = self.names();
        if names.len() >= MAX_NAMES {
            let now = Instant::now();
            names.retain(|_, name| !matches!(name, Name::Known { until, .. } if *until <= now));
        }
        if names.len() >= MAX_NAMES {
            names.retain(|_, name| matches!(name, Name::Running(_)));
        }
        names.insert(name, state);
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A final dot disables the search list. Single labels (`localhost`, container names) need that list or the hosts
/// file.
fn absolute(host: &str) -> String {
    let dot = if host.contains('.') && !host.ends_with('.') { "." } else { "" };
    format!("{host}{dot}")
}

fn addresses(name: &str) -> Found {
    let answer = (name, 0).to_socket_addrs().map_err(|error| of_lookup(&error))?;
    let addresses: Vec<IpAddr> = answer.map(|address| address.ip()).take(MAX_KEPT_ADDRESSES).collect();
    if addresses.is_empty() { Err(Outcome::DnsNoAddress.into()) } else { Ok(addresses) }
}

fn of_lookup(error: &io::Error) -> Cause {
    if let Some(fault) = LocalFault::of_lookup(error) {
        return Cause::Local(fault);
    }
    let text = error.to_string();
    let no_address = NO_ADDRESS.iter().any(|words| text.contains(words));
    Cause::Receiver(if no_address { Outcome::DnsNoAddress } else { Outcome::DnsFailed })
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
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn tenant(number: u128) -> TenantId {
        uuid::Uuid::from_u128(number).into()
    }

    /// Much longer than a thread needs to start.
    const SHORT: Duration = Duration::from_secs(1);

    /// Name servers that keep silent about names under `silent` until they are let go.
    #[derive(Default)]
    struct Servers {
        asked: AtomicUsize,
        is_let_go: Mutex<bool>,
        changed: Condvar,
    }

    impl Servers {
        fn answer(&self, name: &str) -> Found {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if name.ends_with("silent.") {
                let guard = self.is_let_go.lock().unwrap();
                drop(self.changed.wait_while(guard, |is_let_go| !*is_let_go).unwrap());
            }
            match name {
                "missing." => Err(Outcome::DnsFailed.into()),
                "faulty." => Err(Cause::Local(LocalFault::Descriptors)),
                _ => Ok(ips(&["192.0.2.1"])),
            }
        }

        fn let_go(&self) {
            *self.is_let_go.lock().unwrap() = true;
            self.changed.notify_all();
        }

        fn resolver(self: &Arc<Self>) -> Resolver {
            let servers = Arc::clone(self);
            let lookups = Lookups::new(false, Arc::new(move |name| servers.answer(name)));
            Resolver(Arc::new(Lookups { permit_budget: SHORT, lookup_budget: SHORT, ..lookups }))
        }
    }

    #[test]
    fn names_with_a_dot_are_made_absolute_and_single_labels_are_not() {
        assert_eq!(absolute("hooks.example.com"), "hooks.example.com.");
        assert_eq!(absolute("hooks.example.com."), "hooks.example.com.");
        assert_eq!(absolute("localhost"), "localhost");
    }

    #[tokio::test]
    async fn only_where_networks_are_opened_a_name_is_looked_up_as_it_is_written() {
        let echo: Lookup = Arc::new(|name| if name == "a.b" { Ok(ips(&["10.0.0.1"])) } else { Ok(ips(&["1.1.1.1"])) });
        for (uses_search_list, address) in [(true, "10.0.0.1"), (false, "1.1.1.1")] {
            let resolver = Resolver(Arc::new(Lookups::new(uses_search_list, Arc::clone(&echo))));
            assert_eq!(resolver.lookup("a.b", tenant(1), || {}).await, Ok(ips(&[address])));
        }
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
        let met = Resolver::new(false).lookup("no-such-name.invalid", tenant(0), || {}).await.unwrap_err();
        assert!(matches!(met, Cause::Receiver(Outcome::DnsFailed | Outcome::DnsTimeout)), "{met}");
    }

    #[test]
    fn a_name_without_an_address_has_its_own_word() {
        let error = io::Error::other("failed to lookup address information: No address associated with hostname");
        assert_eq!(of_lookup(&error), Cause::Receiver(Outcome::DnsNoAddress));
        assert_eq!(of_lookup(&io::Error::from_raw_os_error(24)), Cause::Local(LocalFault::Descriptors));
    }

    #[tokio::test]
    async fn many_who_ask_for_one_name_share_a_lookup_and_then_its_answer() {
        let servers = Arc::new(Servers::default());
        let resolver = servers.resolver();
        let asking = join_all((0..500).map(|_| resolver.lookup("a.silent", tenant(1), || {})));
        let ((), found) = tokio::join!(async { servers.let_go() }, asking);
        assert!(found.iter().all(|found| *found == Ok(ips(&["192.0.2.1"]))));
        assert!(resolver.lookup("a.silent", tenant(2), || {}).await.is_ok());
        assert_eq!(servers.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_missing_name_is_remembered_too_but_no_fault_of_this_machine() {
        let servers = Arc::new(Servers::default());
        let resolver = servers.resolver();
        for (name, times) in [("missing", 1), ("faulty", 2)] {
            servers.asked.store(0, Ordering::SeqCst);
            for _ in 0..2 {
                assert!(resolver.lookup(&format!("{name}."), tenant(1), || {}).await.is_err());
            }
            assert_eq!(servers.asked.load(Ordering::SeqCst), times, "{name}");
        }
    }

    #[tokio::test]
    async fn slow_lookups_of_one_tenant_delay_no_other_and_what_never_began_is_a_local_fault() {
        let servers = Arc::new(Servers::default());
        let resolver = servers.resolver();
        let names: Vec<String> = (0..70).map(|number| format!("{number}.silent")).collect();
        let slow = join_all(names.iter().map(|name| {
            let mut has_begun = false;
            let resolver = &resolver;
            async move {
                let found = resolver.lookup(name, tenant(1), || has_begun = true).await;
                (found, has_begun)
            }
        }));
        let other = async { resolver.lookup("fast.example", tenant(2), || {}).await };
        let (slow, other) = tokio::join!(slow, other);
        servers.let_go();
        assert_eq!(other, Ok(ips(&["192.0.2.1"])));
        let met = |cause: Cause, begun: bool| slow.iter().filter(|met| **met == (Err(cause), begun)).count();
        assert_eq!(met(Outcome::DnsTimeout.into(), true), 64);
        assert_eq!(met(Cause::Local(LocalFault::Lookups), false), 6);
    }

    #[tokio::test]
    async fn the_memory_for_names_is_bounded() {
        let servers = Arc::new(Servers::default());
        let resolver = servers.resolver();
        for number in 0..MAX_NAMES + 10 {
            resolver
                .0
                .insert(number.to_string(), Name::Known { found: Ok(ips(&[])), until: Instant::now() + FOUND_FOR });
        }
        assert!(resolver.0.names().len() <= MAX_NAMES);
    }
}

//! Decides which addresses are allowed.
//!
//! IPv4 is a deny list. IPv6 is an allow list: 2000::/3 without reserved blocks. Sources: IANA Special-Purpose
//! Address Registries (2025-10-09), and cloud providers' documented platform addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Networks that the operator allows; never link-local or metadata addresses.
    pub allow: Vec<IpNet>,
    pub deny: Vec<IpNet>,
    pub own: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressClass {
    Public,
    /// Private, but allowed by the operator.
    Allowed,
    Blocked,
}

impl AddressPolicy {
    /// An IPv4-mapped address counts as the IPv4 address in it.
    pub(crate) fn classify(&self, address: IpAddr) -> AddressClass {
        let address = address.to_canonical();
        let listed = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        if listed(&self.deny) || is_never_allowed(address) {
            return AddressClass::Blocked;
        }
        if listed(&self.allow) {
            return AddressClass::Allowed;
        }
        if self.own.contains(&address) || is_special(address) { AddressClass::Blocked } else { AddressClass::Public }
    }

    pub(crate) fn allows_private(&self) -> bool {
        !self.allow.is_empty()
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// Link-local and metadata: no allow list opens these.
const NEVER_V4: [Ipv4Net; 4] = [
    v4(169, 254, 0, 0, 16),     // link-local, metadata of most clouds (RFC 3927)
    v4(100, 100, 100, 200, 32), // metadata of Alibaba Cloud
    v4(168, 63, 129, 16, 32),   // platform address of Azure, in no registry
    v4(192, 0, 0, 192, 32),     // metadata of Oracle Cloud
];

const NEVER_V6: [Ipv6Net; 3] = [
    v6(0xfe80, 0, 0, 10),                                                           // link-local
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), 128), // metadata of AWS
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), 128), // metadata of Google Cloud
];

const SPECIAL_V4: [Ipv4Net; 18] = [
    v4(0, 0, 0, 0, 8),       // this network (RFC 1122)
    v4(10, 0, 0, 0, 8),      // private (RFC 1918)
    v4(100, 64, 0, 0, 10),   // shared, carrier-grade NAT (RFC 6598)
    v4(127, 0, 0, 0, 8),     // loopback (RFC 1122)
    v4(172, 16, 0, 0, 12),   // private (RFC 1918)
    v4(192, 0, 0, 0, 24),    // protocol assignments (RFC 6890)
    v4(192, 0, 2, 0, 24),    // documentation (RFC 5737)
    v4(192, 31, 196, 0, 24), // AS112 (RFC 7535)
    v4(192, 52, 193, 0, 24), // AMT (RFC 7450)
    v4(192, 88, 99, 0, 24),  // 6to4 relay (RFC 7526)
    v4(192, 168, 0, 0, 16),  // private (RFC 1918)
    v4(192, 175, 48, 0, 24), // AS112 (RFC 7534)
    v4(198, 18, 0, 0, 15),   // benchmarking (RFC 2544)
    v4(198, 51, 100, 0, 24), // documentation (RFC 5737)
    v4(203, 0, 113, 0, 24),  // documentation (RFC 5737)
    v4(224, 0, 0, 0, 4),     // multicast (RFC 5771)
    v4(240, 0, 0, 0, 4),     // reserved (RFC 1112), limited broadcast (RFC 919)
    v4(169, 254, 0, 0, 16),  // link-local, kept here so that this list is whole
];

const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

const SPECIAL_V6: [Ipv6Net; 6] = [
    v6(0x2001, 0, 0, 23),           // IETF assignments: Teredo, ORCHID, benchmarking, … (RFC 2928)
    v6(0x2001, 0x0db8, 0, 32),      // documentation (RFC 3849)
    v6(0x2002, 0, 0, 16),           // 6to4 carries any IPv4 (RFC 3056)
    v6(0x2620, 0x004f, 0x8000, 48), // AS112 (RFC 7534)
    v6(0x3fff, 0, 0, 20),           // documentation (RFC 9637)
    v6(0x3ffe, 0, 0, 16),           // returned 6bone space (RFC 3701)
];

fn is_never_allowed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => NEVER_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => NEVER_V6.iter().any(|net| net.contains(&ip)),
    }
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => SPECIAL_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => !GLOBAL_V6.contains(&ip) || SPECIAL_V6.iter().any(|net| net.contains(&ip)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class(address: &str) -> AddressClass {
        AddressPolicy::default().classify(address.parse().unwrap())
    }

    #[test]
    fn every_special_range_is_blocked_and_its_neighbour_is_not() {
        let pairs = [
            ("0.1.2.3", "1.0.0.1"),
            ("10.0.0.1", "11.0.0.1"),
            ("172.31.255.255", "172.32.0.1"),
            ("192.168.255.255", "192.169.0.1"),
            ("100.127.255.255", "100.128.0.1"),
            ("127.255.255.254", "128.0.0.1"),
            ("169.254.169.254", "169.253.255.255"),
            ("192.0.0.170", "192.0.1.1"),
            ("192.0.2.1", "192.0.3.1"),
            ("192.31.196.1", "192.31.197.1"),
            ("192.52.193.1", "192.52.194.1"),
            ("192.88.99.1", "192.88.100.1"),
            ("192.175.48.1", "192.175.49.1"),
            ("198.19.255.255", "198.20.0.1"),
            ("198.51.100.1", "198.51.101.1"),
            ("203.0.113.1", "203.0.114.1"),
            ("239.255.255.255", "223.255.255.255"),
            ("255.255.255.255", "8.8.8.8"),
            ("168.63.129.16", "168.63.129.15"),
            ("2001:1ff::1", "2001:200::1"),
            ("2001:db8::1", "2001:db9::1"),
            ("2002:7f00:1::1", "2003::1"),
            ("2620:4f:8000::1", "2620:4f:8001::1"),
            ("3fff:fff::1", "2606:4700::1111"),
            ("3ffe::1", "3ffd::1"),
        ];
        for (blocked, public) in pairs {
            assert_eq!(class(blocked), AddressClass::Blocked, "{blocked}");
            assert_eq!(class(public), AddressClass::Public, "{public}");
        }
    }

    #[test]
    fn ipv6_outside_the_global_range_is_blocked() {
        let probes = [
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:0:7f00:1",
            "::5efe:7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "5f00::1",
            "fd00:ec2::254",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:0:7f00:1::1",
        ];
        for probe in probes {
            assert_eq!(class(probe), AddressClass::Blocked, "{probe}");
        }
    }

    #[test]
    fn the_operator_opens_networks_but_never_link_local_or_metadata() {
        let policy = AddressPolicy {
            allow: ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()].into(),
            deny: ["10.1.0.0/16".parse().unwrap()].into(),
            own: vec![],
        };
        let check = |address: &str| policy.classify(address.parse().unwrap());
        assert_eq!(check("127.0.0.1"), AddressClass::Allowed);
        assert_eq!(check("::1"), AddressClass::Allowed);
        assert_eq!(check("10.1.2.3"), AddressClass::Blocked);
        for never in [
            "169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
        ] {
            assert_eq!(check(never), AddressClass::Blocked, "{never}");
        }
    }

    #[test]
    fn the_machine_does_not_dial_itself() {
        let policy = AddressPolicy { own: vec!["8.8.8.8".parse().unwrap()], ..AddressPolicy::default() };
        assert_eq!(policy.classify("8.8.8.8".parse().unwrap()), AddressClass::Blocked);
        assert_eq!(policy.classify("8.8.4.4".parse().unwrap()), AddressClass::Public);
    }

    proptest! {
        #[test]
        fn a_mapped_address_counts_as_its_ipv4_address(bits: u32) {
            let ip = Ipv4Addr::from(bits);
            let policy = AddressPolicy::default();
            prop_assert_eq!(policy.classify(ip.into()), policy.classify(ip.to_ipv6_mapped().into()));
        }

        #[test]
        fn no_tunnel_form_of_any_ipv4_passes(bits: u32) {
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            let forms = [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, a, b),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, a, b, 0, 0, 0, 1),
            ];
            for form in forms {
                prop_assert_eq!(AddressPolicy::default().classify(form.into()), AddressClass::Blocked);
            }
        }
    }
}

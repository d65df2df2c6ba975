use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tunnel_core::admit::IpPrefix;

/// How much of an IPv6 address counts: whoever has one has a /64.
const IPV6_NETWORK: u128 = u128::MAX << 64;

/// How many connections an address may have.
#[derive(Clone, Debug)]
pub(super) struct PerAddress {
    pub(super) limit: usize,
    pub(super) exempt: Vec<IpPrefix>,
}

/// The connections of each address. It holds no more entries than there are connections.
#[derive(Clone)]
pub(super) struct Addresses(Arc<Shared>);

struct Shared {
    rule: PerAddress,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of one connection, until it is dropped.
pub(super) struct Place(Option<(Arc<Shared>, IpAddr)>);

impl Addresses {
    pub(super) fn new(rule: PerAddress) -> Self {
        let open = Mutex::new(HashMap::new());
        Self(Arc::new(Shared { rule, open }))
    }

    /// A place; none if the address has all of its. Connections without an address are not counted.
    pub(super) fn take(&self, address: Option<IpAddr>) -> Option<Place> {
        let rule = &self.0.rule;
        let Some(address) = address.filter(|address| !rule.is_exempt(*address)) else {
            return Some(Place(None));
        };
        let key = network(address);
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key).or_insert(0);
        if *count >= rule.limit {
            return None;
        }
        *count += 1;
        Some(Place(Some((Arc::clone(&self.0), key))))
    }
}

impl PerAddress {
    fn is_exempt(&self, address: IpAddr) -> bool {
        self.limit == usize::MAX || self.exempt.iter().any(|prefix| prefix.contains(address))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK)),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((shared, key)) = &self.0 else { return };
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                open.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(limit: usize, exempt: &[&str]) -> Addresses {
        let exempt = exempt.iter().map(|prefix| prefix.parse().unwrap()).collect();
        Addresses::new(PerAddress { limit, exempt })
    }

    fn take(addresses: &Addresses, address: &str) -> Option<Place> {
        addresses.take(Some(address.parse().unwrap()))
    }

    #[test]
    fn an_address_has_its_places_and_gets_them_back() {
        let addresses = addresses(2, &[]);
        let first = take(&addresses, "127.0.0.1").unwrap();
        let _second = take(&addresses, "::ffff:127.0.0.1").unwrap();
        assert!(take(&addresses, "127.0.0.1").is_none());
        let other = take(&addresses, "127.0.0.2");
        assert!(other.is_some());
        drop((first, other));
        assert!(take(&addresses, "127.0.0.1").is_some());
        assert_eq!(
            addresses.0.open.lock().unwrap().len(),
            1,
            "who is gone is forgotten"
        );
    }

    #[test]
    fn ipv6_counts_by_its_network() {
        let addresses = addresses(1, &[]);
        let _one = take(&addresses, "2001:db8::1").unwrap();
        assert!(take(&addresses, "2001:db8::ffff:1").is_none());
        assert!(take(&addresses, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn who_is_exempt_or_unknown_is_not_counted() {
        let addresses = addresses(1, &["10.0.0.0/8"]);
        let places: Vec<_> = (0..5).map(|_| take(&addresses, "10.1.2.3").unwrap()).collect();
        assert!(addresses.take(None).is_some());
        assert!(addresses.0.open.lock().unwrap().is_empty());
        drop(places);
    }
}

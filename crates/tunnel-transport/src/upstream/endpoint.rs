/// One server of an upstream: where it is, and its share beside the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamEndpoint {
    pub(super) uri: String,
    pub(super) weight: u32,
    pub(super) zone: Option<Box<str>>,
}

impl UpstreamEndpoint {
    /// The server at this address: `http://HOST`, `http://HOST:PORT`, the same with `https`, or `unix:PATH` for a socket in the
    /// file system. `srv+http://NAME` and `srv+https://NAME` stand for the servers that the SRV records of the name say, with their
    /// ports, priorities and weights (cargo feature `srv`); with TLS their certificates are for the name without
    /// `_service._proto.` before it.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            weight: 1,
            zone: None,
        }
    }

    /// Its share beside the others: 1, which it is by default, to 1,000. Other values are brought into these bounds. SRV records say
    /// their own.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight.clamp(1, 1_000);
        self
    }

    /// Where it is, for [`UpstreamBuilder::zone`](crate::upstream::UpstreamBuilder::zone).
    #[must_use]
    pub fn zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.into());
        self
    }
}

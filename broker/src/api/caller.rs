//! Who asks, as groups keep it of their members.

use std::net::{IpAddr, Ipv6Addr};

use ottla_protocol::frame::RequestHeader;
use ottla_protocol::wire::Str;

use super::{ConnectionContext, Handlers};
use crate::coordinator::group::Caller;

impl ConnectionContext {
    pub(super) fn caller(&self, header: &RequestHeader) -> Caller {
        Caller {
            version: header.api_version,
            client_id: header.client_id.clone().unwrap_or_default(),
            client_host: self.client_host.clone(),
        }
    }
}

impl Handlers {
    /// What a new member's id is made of.
    pub(super) fn random_id_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.rng.lock().fill(&mut bytes);
        bytes
    }
}

/// An address as Java shows one without a name: a slash before it, and no zeros of IPv6 left out.
pub(super) fn client_host(address: IpAddr) -> Str {
    let text = match address.to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => format!("/{}", all_groups(address)),
    };
    Str::from(text)
}

fn all_groups(address: Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_look_as_in_java() {
        for (address, expected) in [
            ("127.0.0.1", "/127.0.0.1"),
            ("::ffff:10.0.0.9", "/10.0.0.9"),
            ("::1", "/0:0:0:0:0:0:0:1"),
            ("fe80::12:0:a", "/fe80:0:0:0:0:12:0:a"),
        ] {
            assert_eq!(client_host(address.parse().expect("an address")), expected);
        }
    }
}

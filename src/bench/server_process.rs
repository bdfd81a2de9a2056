//! Which process on this machine listens on an address: the socket's inode from `/proc/net`, then who has it open.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// The broker's process, or why it isn't known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerProcess {
    Known(u32),
    Unknown(&'static str),
}

impl ServerProcess {
    /// `asked` if the command line said so, else whoever listens on `address`, if that is on this machine.
    pub(crate) fn find(asked: Option<u32>, address: SocketAddr) -> ServerProcess {
        if let Some(process) = asked {
            return ServerProcess::Known(process);
        }
        if !is_of_this_machine(address.ip()) {
            return ServerProcess::Unknown("the broker is on another machine");
        }
        match listener_inode(address.port()).map(process_with_socket) {
            Some(Some(process)) => ServerProcess::Known(process),
            Some(None) => ServerProcess::Unknown("its process belongs to another user; run this as root"),
            None => {
                ServerProcess::Unknown("nothing on this machine listens on its port; is it in a container?")
            }
        }
    }

    pub(crate) fn id(self) -> Option<u32> {
        match self {
            ServerProcess::Known(process) => Some(process),
            ServerProcess::Unknown(_) => None,
        }
    }
}

/// An address that a socket can be bound to is one of ours.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || TcpListener::bind((ip, 0)).is_ok()
}

fn listener_inode(port: u16) -> Option<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().find_map(|table| listener_in(table, port))
}

/// The inode of the socket that listens on `port`, in a table as `/proc/net/tcp` has it.
fn listener_in(table: &str, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local_port, 16) == Ok(port) && *fields.get(3)? == LISTENING;
        is_it.then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

fn process_with_socket(inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|process: &u32| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
        let mut targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| target.to_str() == Some(&wanted))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_listens_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = ServerProcess::find(None, listener.local_addr().unwrap());
        assert_eq!(found, ServerProcess::Known(std::process::id()));
    }

    #[test]
    fn a_connection_from_that_port_is_no_listener() {
        let table = "sl local_address rem_address st tx rx tr tm retrnsmt uid timeout inode\n\
            0: 0100007F:2384 0100007F:0050 01 0:0 0:0 0 0 0 11\n\
            1: 0100007F:2384 00000000:0000 0A 0:0 0:0 0 0 0 12\n";
        assert_eq!(listener_in(table, 0x2384), Some(12));
        assert_eq!(listener_in(table, 0x2385), None);
    }

    #[test]
    fn what_the_command_line_says_wins() {
        let anywhere = "192.0.2.1:9092".parse().unwrap();
        assert_eq!(ServerProcess::find(Some(7), anywhere), ServerProcess::Known(7));
        assert!(matches!(ServerProcess::find(None, anywhere), ServerProcess::Unknown(_)));
    }
}

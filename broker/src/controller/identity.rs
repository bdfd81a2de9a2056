//! The file `identity`: which cluster, node and directory this is. Plain text, so that an operator can read it.

use std::fmt;

use ottla_protocol::types::BrokerId;

use super::ids::{ClusterId, DirectoryId};

/// Which cluster, node and directory a data directory belongs to. Written once, at the first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) cluster_id: ClusterId,
    pub(super) node_id: BrokerId,
    pub(super) directory_id: DirectoryId,
}

/// Why a text is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are not UTF-8.
    #[error("it is not text")]
    NotText,
    /// A line is no `key=value`.
    #[error("line {0} is no 'key=value'")]
    Line(usize),
    /// A key is absent or stands twice.
    #[error("it has no line '{0}=...', or more than one")]
    Key(&'static str),
    /// A value can't be read.
    #[error("the value of '{0}' can't be read")]
    Value(&'static str),
    /// A version that this program does not know.
    #[error("its version is {0}, which this version of ottla does not know: it was written by a newer one")]
    Version(u32),
}

const VERSION: u32 = 1;

impl Identity {
    pub(super) fn parse(bytes: &[u8]) -> Result<Identity, IdentityError> {
        let text = std::str::from_utf8(bytes).map_err(|_| IdentityError::NotText)?;
        let mut pairs = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(IdentityError::Line(number))?;
            pairs.push((key.trim(), value.trim()));
        }
        let version = value_of(&pairs, "version")?;
        if version != VERSION {
            return Err(IdentityError::Version(version));
        }
        Ok(Identity {
            cluster_id: value_of(&pairs, "cluster.id")?,
            node_id: BrokerId(value_of(&pairs, "node.id")?),
            directory_id: value_of(&pairs, "directory.id")?,
        })
    }
}

fn value_of<T: std::str::FromStr>(pairs: &[(&str, &str)], key: &'static str) -> Result<T, IdentityError> {
    let mut values = pairs.iter().filter(|(known, _)| *known == key).map(|(_, value)| *value);
    match (values.next(), values.next()) {
        (Some(value), None) => value.parse().map_err(|_| IdentityError::Value(key)),
        _ => Err(IdentityError::Key(key)),
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Which cluster, node and directory this data belongs to. Not to be edited.")?;
        writeln!(f, "version={VERSION}")?;
        writeln!(f, "cluster.id={}", self.cluster_id)?;
        writeln!(f, "node.id={}", self.node_id)?;
        writeln!(f, "directory.id={}", self.directory_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<i32, IdentityError>) {
        assert_eq!(Identity::parse(text.as_bytes()).map(|identity| identity.node_id.0), expected, "{text:?}");
    }

    #[test]
    fn identity_reads_back_what_it_shows() {
        let identity = Identity {
            cluster_id: ClusterId([1; 16]),
            node_id: BrokerId(7),
            directory_id: DirectoryId([2; 16]),
        };
        assert_eq!(Identity::parse(identity.to_string().as_bytes()), Ok(identity));
    }

    #[test]
    fn a_bad_identity_is_refused_with_its_place() {
        let id = "A".repeat(22);
        let good = format!("version=1\ncluster.id={id}\nnode.id=3\ndirectory.id={id}\n");
        check(&good, Ok(3));
        check(&format!("{good}extra=1\n"), Ok(3));
        check("", Err(IdentityError::Key("version")));
        check(&good.replace("version=1", "version=2"), Err(IdentityError::Version(2)));
        check(&good.replace("node.id=3", "node.id=three"), Err(IdentityError::Value("node.id")));
        check(&good.replace("node.id=3", "node"), Err(IdentityError::Line(3)));
        check(&format!("{good}node.id=4\n"), Err(IdentityError::Key("node.id")));
        check(&good.replace(&id, "short"), Err(IdentityError::Value("cluster.id")));
        assert_eq!(Identity::parse(&[0xff, 0xfe]), Err(IdentityError::NotText));
    }
}

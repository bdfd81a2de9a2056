//! A message as a tree of named values, for those who show messages or compare them.
//!
//! [`crate::api::Message::tree`] grows it. Only fields that the version has are in it, in wire order and under Kafka's
//! names.

use bytes::Bytes;

use super::{Records, Str, Version};
use crate::types::TopicId;

/// A value with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// The wire's null.
    Null,
    /// A tagged field that has its default: on the wire it may stand or be left out.
    Default,
    /// A flag.
    Bool(bool),
    /// An integer of any size.
    Number(i64),
    /// A string.
    Text(Str),
    /// Bytes, such as a record set.
    Bytes(Bytes),
    /// A UUID.
    Id(TopicId),
    /// An array.
    List(Vec<Tree>),
    /// A structure's fields by name.
    Fields(Vec<(&'static str, Tree)>),
}

/// A type whose values can stand in a tree.
pub trait ToTree {
    /// The value with all that is in it at this version, under its fields' names.
    fn to_tree(&self, version: Version) -> Tree;
}

macro_rules! leaf {
    ($($type:ty: |$value:ident| $tree:expr;)*) => { $(
        impl ToTree for $type {
            fn to_tree(&self, _: Version) -> Tree {
                let $value = self.clone();
                $tree
            }
        }
    )* };
}

leaf! {
    bool: |flag| Tree::Bool(flag);
    i8: |number| Tree::Number(number.into());
    i16: |number| Tree::Number(number.into());
    i32: |number| Tree::Number(number.into());
    i64: |number| Tree::Number(number);
    TopicId: |id| Tree::Id(id);
    Str: |text| Tree::Text(text);
    Bytes: |bytes| Tree::Bytes(bytes);
    Records: |records| match records {
        Records::Bytes(bytes) => Tree::Bytes(bytes),
        Records::Null | Records::External { .. } => Tree::Null,
    };
}

impl<T: ToTree> ToTree for Vec<T> {
    fn to_tree(&self, version: Version) -> Tree {
        Tree::List(self.iter().map(|element| element.to_tree(version)).collect())
    }
}

impl<T: ToTree> ToTree for Option<T> {
    fn to_tree(&self, version: Version) -> Tree {
        self.as_ref().map_or(Tree::Null, |value| value.to_tree(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Message as _;
    use crate::api::fetch::{FetchRequest, FetchRequestReplicaState};

    #[track_caller]
    fn field(tree: &Tree, name: &str) -> Option<Tree> {
        let Tree::Fields(fields) = tree else { panic!("a message is a structure: {tree:?}") };
        fields.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_tree_has_the_fields_of_its_version() {
        let request = FetchRequest { max_wait_ms: 7, ..FetchRequest::default() };
        assert_eq!(field(&request.tree(4), "max_wait_ms"), Some(Tree::Number(7)));
        assert_eq!(field(&request.tree(4), "rack_id"), None);
        assert_eq!(field(&request.tree(11), "rack_id"), Some(Tree::Text(Str::EMPTY)));
        assert_eq!(field(&request.tree(14), "replica_id"), Some(Tree::Number(-1)));
        assert_eq!(field(&request.tree(15), "replica_id"), None);
        assert_eq!(field(&request.tree(4), "topics"), Some(Tree::List(vec![])));
    }

    #[test]
    fn a_tagged_field_is_told_from_its_default() {
        let mut request = FetchRequest::default();
        assert_eq!(field(&request.tree(15), "replica_state"), Some(Tree::Default));
        request.replica_state = FetchRequestReplicaState { replica_id: 3, replica_epoch: -1 };
        let fields = vec![("replica_id", Tree::Number(3)), ("replica_epoch", Tree::Number(-1))];
        assert_eq!(field(&request.tree(15), "replica_state"), Some(Tree::Fields(fields)));
    }
}

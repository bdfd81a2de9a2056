//! The macro that turns an API file's declaration into types with decode and encode.
//!
//! A declaration names the API, then each structure field by field in wire order:
//!
//! ```text
//! api! {
//!     Example { key: 99, versions: 1..=5, advertised: 1..=5, flexible: 3 }
//!
//!     request ExampleRequest {
//!         [1..] topics: Option<Vec<ExampleRequestTopic>>,        // an `Option` may be null,
//!         [1.., null 4..] name: Option<Str>,                     // here only from version 4
//!         [2..=3] timeout_ms: i32 = 60_000,                      // gone in 4; absent it is 60,000
//!         [3.., tag 0] cluster_id: Option<Str>,                  // a tagged field
//!     }
//!     part ExampleRequestTopic { ... }                           // a structure inside the request or response
//!     response ExampleResponse { ... }
//! }
//! ```
//!
//! `versions` is what is served and decoded, `advertised` what ApiVersions says, `flexible` the first flexible
//! version. Field names are Kafka's own, so that the protocol guide can be searched for them. A field that a version
//! doesn't have decodes as its default and is left out on encoding; so is a tagged field that has its default.
//! Tagged fields stand in ascending order of their tags.

/// The value of a field that is not there.
macro_rules! default_of {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

/// Reads one field: a tagged one gets its default here and its value after the others.
macro_rules! read_field {
    ($reader:ident, $version:ident, $versions:pat, null(), tag(), $($default:expr)?) => {
        if matches!($version.number, $versions) {
            Field::read($reader, $version)?
        } else {
            default_of!($($default)?)
        }
    };
    ($reader:ident, $version:ident, $versions:pat, null($null:pat), tag(), $($default:expr)?) => {
        if matches!($version.number, $null) {
            Field::read($reader, $version)?
        } else if matches!($version.number, $versions) {
            Field::read_required($reader, $version)?
        } else {
            default_of!($($default)?)
        }
    };
    ($reader:ident, $version:ident, $versions:pat, null(), tag($tag:literal), $($default:expr)?) => {
        default_of!($($default)?)
    };
}

/// Writes one field, if it is not a tagged one.
macro_rules! write_field {
    ($writer:ident, $version:ident, $versions:pat, null(), tag(), $value:expr) => {
        if matches!($version.number, $versions) {
            Field::write(&$value, $writer, $version);
        }
    };
    ($writer:ident, $version:ident, $versions:pat, null($null:pat), tag(), $value:expr) => {
        if matches!($version.number, $null) {
            Field::write(&$value, $writer, $version);
        } else if matches!($version.number, $versions) {
            Field::write_required(&$value, $writer, $version);
        }
    };
    ($writer:ident, $version:ident, $versions:pat, null(), tag($tag:literal), $value:expr) => {};
}

/// Whether a field is a tagged one that has to be written.
macro_rules! tagged_field_is_there {
    ($version:ident, $versions:pat, tag(), $value:expr, $type:ty, $($default:expr)?) => {
        false
    };
    ($version:ident, $versions:pat, tag($tag:literal), $value:expr, $type:ty, $($default:expr)?) => {
        matches!($version.number, $versions) && {
            let default: $type = default_of!($($default)?);
            $value != default
        }
    };
}

/// Writes one field, if it is a tagged one and not its default.
macro_rules! write_tagged_field {
    ($writer:ident, $version:ident, $versions:pat, tag(), $value:expr, $type:ty, $($default:expr)?) => {};
    ($writer:ident, $version:ident, $versions:pat, tag($tag:literal), $value:expr, $type:ty, $($default:expr)?) => {
        if tagged_field_is_there!($version, $versions, tag($tag), $value, $type, $($default)?) {
            $writer.put_tagged_field($tag, |writer| Field::write(&$value, writer, $version));
        }
    };
}

/// Adds one field to a tree, if the version has it.
macro_rules! field_to_tree {
    ($fields:ident, $version:ident, $versions:pat, tag(), $field:ident, $value:expr, $type:ty, $($default:expr)?) => {
        if matches!($version.number, $versions) {
            $fields.push((stringify!($field), ToTree::to_tree(&$value, $version)));
        }
    };
    ($fields:ident, $version:ident, $versions:pat, tag($tag:literal), $field:ident, $value:expr, $type:ty, $($default:expr)?) => {
        if matches!($version.number, $versions) {
            let is_there =
                tagged_field_is_there!($version, $versions, tag($tag), $value, $type, $($default)?);
            let tree = if is_there { ToTree::to_tree(&$value, $version) } else { Tree::Default };
            $fields.push((stringify!($field), tree));
        }
    };
}

/// The fewest bytes that one field takes; a tagged one takes none.
macro_rules! field_bytes_min {
    ($version:ident, $versions:pat, tag(), $type:ty) => {
        if matches!($version.number, $versions) { <$type as Field>::bytes_min($version) } else { 0 }
    };
    ($version:ident, $versions:pat, tag($tag:literal), $type:ty) => {
        0
    };
}

/// A value for one field that survives encoding and decoding at the version.
#[cfg(test)]
macro_rules! generate_field {
    ($choices:ident, $version:ident, $versions:pat, null(), $($default:expr)?) => {
        if matches!($version.number, $versions) {
            super::tests::generate::Generate::generate($choices, $version)
        } else {
            default_of!($($default)?)
        }
    };
    ($choices:ident, $version:ident, $versions:pat, null($null:pat), $($default:expr)?) => {
        if matches!($version.number, $null) {
            super::tests::generate::Generate::generate($choices, $version)
        } else if matches!($version.number, $versions) {
            super::tests::generate::Generate::generate_required($choices, $version)
        } else {
            default_of!($($default)?)
        }
    };
}

/// What only whole messages have, decode and encode for callers; and what only their parts have, a null.
macro_rules! whole_message {
    (part $name:ident) => {
        impl Field for Option<$name> {
            fn bytes_min(_: Version) -> usize {
                1
            }

            fn read(reader: &mut Reader, version: Version) -> Result<Option<$name>, DecodeError> {
                // Kafka takes any negative number for null.
                if reader.i8()? < 0 { Ok(None) } else { Field::read(reader, version).map(Some) }
            }

            fn write(&self, writer: &mut FrameWriter, version: Version) {
                match self {
                    None => writer.put_i8(-1),
                    Some(part) => {
                        writer.put_i8(1);
                        part.write(writer, version);
                    }
                }
            }
        }

        #[cfg(test)]
        impl super::tests::generate::Generate for Option<$name> {
            fn generate(
                choices: &mut super::tests::generate::Choices,
                version: Version,
            ) -> Option<$name> {
                use super::tests::generate::Generate as Value;

                <bool as Value>::generate(choices, version).then(|| <$name as Value>::generate(choices, version))
            }
        }
    };
    (request $name:ident) => {
        whole_message!(@impl $name "request");

        impl super::Request for $name {
            type Response = Response;
        }
    };
    (response $name:ident) => {
        whole_message!(@impl $name "response");

        /// The answer to this API's request.
        type Response = $name;
    };
    (@impl $name:ident $what:literal) => {
        impl $name {
            #[doc = concat!("Decodes a ", $what, "'s body; bytes left after it are ignored, as Kafka ignores them.")]
            pub fn decode(reader: &mut Reader, version: i16) -> Result<$name, DecodeError> {
                if !API.served.contains(version) {
                    return Err(DecodeError::UnsupportedVersion { version });
                }
                Field::read(reader, API.version(version))
            }

            #[doc = concat!("Encodes a ", $what, "'s body.")]
            ///
            /// # Panics
            /// At a version that this API doesn't have.
            pub fn encode(&self, writer: &mut FrameWriter, version: i16) {
                assert!(API.served.contains(version), "{} has no version {version}", API.name);
                Field::write(self, writer, API.version(version));
            }
        }

        impl super::Message for $name {
            const API: &'static super::Api = &API;

            fn decode(reader: &mut Reader, version: i16) -> Result<$name, DecodeError> {
                $name::decode(reader, version)
            }

            fn encode(&self, writer: &mut FrameWriter, version: i16) {
                $name::encode(self, writer, version);
            }

            fn tree(&self, version: i16) -> Tree {
                ToTree::to_tree(self, API.version(version))
            }
        }
    };
}

/// Declares an API's messages; the module's documentation shows how.
macro_rules! api {
    (
        $api:ident {
            key: $key:literal,
            versions: $first:literal..=$last:literal,
            advertised: $advertised_first:literal..=$advertised_last:literal,
            flexible: $flexible:literal
        }
        $(
            $(#[$attribute:meta])*
            $kind:ident $name:ident {
                $(
                    $(#[$field_attribute:meta])*
                    [$versions:pat $(, null $null:pat)? $(, tag $tag:literal)?]
                    $field:ident: $type:ty $(= $default:expr)?,
                )*
            }
        )*
    ) => {
        #[allow(unused_imports)]
        use bytes::Bytes;
        #[allow(unused_imports)]
        use $crate::types::TopicId;
        #[allow(unused_imports)]
        use $crate::wire::{DecodeError, Field, FrameWriter, Reader, Records, Str, ToTree, Tree, Version};

        /// This API's name, number and versions.
        pub const API: super::Api = super::Api {
            name: stringify!($api),
            key: $key,
            served: super::VersionRange { first: $first, last: $last },
            advertised: super::VersionRange { first: $advertised_first, last: $advertised_last },
            flexible_from: $flexible,
        };

        $(
            $(#[$attribute])*
            #[allow(missing_docs, reason = "fields are Kafka's own; those whose name isn't enough are documented")]
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $name {
                $( $(#[$field_attribute])* pub $field: $type, )*
            }

            impl Default for $name {
                fn default() -> $name {
                    $name { $( $field: default_of!($($default)?), )* }
                }
            }

            impl Field for $name {
                fn bytes_min(version: Version) -> usize {
                    usize::from(version.flexible)
                        $( + field_bytes_min!(version, $versions, tag($($tag)?), $type) )*
                }

                #[allow(unused_mut, reason = "only tagged fields are assigned again")]
                fn read(reader: &mut Reader, version: Version) -> Result<$name, DecodeError> {
                    $(
                        let mut $field: $type = read_field!(
                            reader, version, $versions, null($($null)?), tag($($tag)?), $($default)?
                        );
                    )*
                    if version.flexible {
                        reader.tagged_fields(|tag, _reader| {
                            match tag {
                                $( $(
                                    $tag if matches!(version.number, $versions) => {
                                        $field = Field::read(_reader, version)?;
                                    }
                                )? )*
                                _ => {}
                            }
                            Ok(())
                        })?;
                    }
                    Ok($name { $( $field, )* })
                }

                fn write(&self, writer: &mut FrameWriter, version: Version) {
                    $(
                        write_field!(writer, version, $versions, null($($null)?), tag($($tag)?), self.$field);
                    )*
                    if version.flexible {
                        let count = 0 $( + u32::from(tagged_field_is_there!(
                            version, $versions, tag($($tag)?), self.$field, $type, $($default)?
                        )) )*;
                        writer.put_unsigned_varint(count);
                        $(
                            write_tagged_field!(
                                writer, version, $versions, tag($($tag)?), self.$field, $type, $($default)?
                            );
                        )*
                    }
                }
            }

            impl ToTree for $name {
                fn to_tree(&self, version: Version) -> Tree {
                    let mut fields = Vec::new();
                    $(
                        field_to_tree!(
                            fields, version, $versions, tag($($tag)?), $field, self.$field, $type, $($default)?
                        );
                    )*
                    Tree::Fields(fields)
                }
            }

            #[cfg(test)]
            impl super::tests::generate::Generate for $name {
                fn generate(choices: &mut super::tests::generate::Choices, version: Version) -> $name {
                    $( let $field: $type = generate_field!(
                        choices, version, $versions, null($($null)?), $($default)?
                    ); )*
                    $name { $( $field, )* }
                }
            }

            whole_message!($kind $name);
        )*
    };
}

//! Values: text to a typed value, checked against a key's row, and back to the text that Kafka shows.

use std::fmt;

use super::{ConfigType, Key, Valid};

/// A value that passed its key's checks.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a boolean key.
    Boolean(bool),
    /// Of a short, int or long key.
    Number(i64),
    /// Of a double key.
    Fraction(f64),
    /// Of a string, class or password key.
    Text(String),
    /// Of a list key: items trimmed, in the order given.
    List(Vec<String>),
}

/// Why a text is not a value of its key. Reads on from "`key`: ".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValueProblem {
    /// Not the type that the key has.
    #[error("expected {expected}")]
    WrongType {
        /// What the key takes, in words.
        expected: &'static str,
    },
    /// A number of the right type, outside what the key takes.
    #[error("expected {expected}")]
    OutOfRange {
        /// The range, in words.
        expected: String,
    },
    /// A text that is not among those that the key takes.
    #[error("expected one of {}", .valid.join(", "))]
    NotOneOf {
        /// Those that it takes.
        valid: &'static [&'static str],
    },
    /// An item between commas is empty.
    #[error("the list has an empty item")]
    EmptyItem,
    /// Not a list of throttled replicas.
    #[error("expected * or a list of partition:broker")]
    ThrottledReplicas,
}

impl Key {
    /// Reads `text` as Kafka does: white space around it is dropped, `true` and `false` may be in capitals, lists are
    /// split at commas and their items trimmed, an item may stand twice, and an empty list is legal.
    pub fn parse(&self, text: &str) -> Result<Value, ValueProblem> {
        let text = text.trim();
        match self.config_type {
            ConfigType::Boolean => parse_boolean(text),
            ConfigType::Short => {
                self.parse_number(text, i16::MIN.into(), i16::MAX.into(), "a whole number (16 bits)")
            }
            ConfigType::Int => {
                self.parse_number(text, i32::MIN.into(), i32::MAX.into(), "a whole number (32 bits)")
            }
            ConfigType::Long => self.parse_number(text, i64::MIN, i64::MAX, "a whole number (64 bits)"),
            ConfigType::Double => self.parse_fraction(text),
            ConfigType::String | ConfigType::Class | ConfigType::Password => self.parse_text(text),
            ConfigType::List => self.parse_list(text),
        }
    }

    /// The typed default; none where the default is null.
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| self.parse(text).expect("a test parses the default of every row"))
    }

    fn parse_number(
        &self,
        text: &str,
        type_min: i64,
        type_max: i64,
        expected: &'static str,
    ) -> Result<Value, ValueProblem> {
        let number: i64 = text.parse().map_err(|_| ValueProblem::WrongType { expected })?;
        if number < type_min || number > type_max {
            return Err(ValueProblem::WrongType { expected });
        }
        let (fits, min, max, or) = match self.valid {
            Valid::Range(min, max) => (min <= number && number <= max, min, max, ""),
            Valid::MinusOneOr(min, max) => {
                (number == -1 || (min <= number && number <= max), min, max, "-1 or ")
            }
            _ => return Ok(Value::Number(number)),
        };
        if fits {
            return Ok(Value::Number(number));
        }
        let expected = if max >= type_max {
            format!("{or}a number of at least {min}")
        } else {
            format!("{or}a number from {min} to {max}")
        };
        Err(ValueProblem::OutOfRange { expected })
    }

    fn parse_fraction(&self, text: &str) -> Result<Value, ValueProblem> {
        let number: f64 = text.parse().map_err(|_| ValueProblem::WrongType { expected: "a number" })?;
        match self.valid {
            Valid::Fraction(min, max) if !(min <= number && number <= max) => {
                Err(ValueProblem::OutOfRange { expected: format!("a number from {min} to {max}") })
            }
            _ => Ok(Value::Fraction(number)),
        }
    }

    fn parse_text(&self, text: &str) -> Result<Value, ValueProblem> {
        let fits = match self.valid {
            Valid::OneOf(valid) if !valid.contains(&text) => Err(valid),
            Valid::OneOfAnyCase(valid) if !valid.iter().any(|one| one.eq_ignore_ascii_case(text)) => {
                Err(valid)
            }
            _ => Ok(()),
        };
        fits.map_err(|valid| ValueProblem::NotOneOf { valid })?;
        Ok(Value::Text(text.to_owned()))
    }

    fn parse_list(&self, text: &str) -> Result<Value, ValueProblem> {
        let items: Vec<String> = if text.is_empty() {
            Vec::new()
        } else {
            text.split(',').map(|item| item.trim().to_owned()).collect()
        };
        if items.iter().any(String::is_empty) {
            return Err(ValueProblem::EmptyItem);
        }
        match self.valid {
            Valid::OneOf(valid) if items.iter().any(|item| !valid.contains(&item.as_str())) => {
                return Err(ValueProblem::NotOneOf { valid });
            }
            Valid::ThrottledReplicas if !are_throttled_replicas(&items) => {
                return Err(ValueProblem::ThrottledReplicas);
            }
            _ => {}
        }
        Ok(Value::List(items))
    }
}

fn parse_boolean(text: &str) -> Result<Value, ValueProblem> {
    if text.eq_ignore_ascii_case("true") {
        Ok(Value::Boolean(true))
    } else if text.eq_ignore_ascii_case("false") {
        Ok(Value::Boolean(false))
    } else {
        Err(ValueProblem::WrongType { expected: "true or false" })
    }
}

fn are_throttled_replicas(items: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_pair =
        |item: &String| item.split_once(':').is_some_and(|(left, right)| is_number(left) && is_number(right));
    matches!(items, [all] if all == "*") || items.iter().all(is_pair)
}

/// The text that DescribeConfigs shows: numbers without leading zeros, a list joined by commas without spaces.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Fraction(value) => f.write_str(&format!("{value:?}").replace('e', "E")),
            Value::Text(value) => f.write_str(value),
            Value::List(items) => f.write_str(&items.join(",")),
        }
    }
}

impl Value {
    /// The number of a number key.
    pub(in crate::config) fn number(&self) -> i64 {
        match self {
            Value::Number(number) => *number,
            other => panic!("{other:?} is asked for as a number: its row in the key table says otherwise"),
        }
    }

    /// The number of a key whose row admits no negative one.
    pub(in crate::config) fn unsigned(&self) -> u64 {
        u64::try_from(self.number()).expect("the key's row admits no negative number")
    }

    /// The number of an int key whose row admits no negative one.
    pub(in crate::config) fn unsigned_int(&self) -> u32 {
        u32::try_from(self.number()).expect("the key's row admits 0 to 2147483647")
    }

    /// The number of a double key.
    pub(in crate::config) fn fraction(&self) -> f64 {
        match self {
            Value::Fraction(fraction) => *fraction,
            other => panic!("{other:?} is asked for as a fraction: its row in the key table says otherwise"),
        }
    }

    /// The same, in millionths.
    pub(in crate::config) fn millionths(&self) -> u32 {
        crate::config::compaction::millionths(self.fraction())
    }

    /// The number, or none where it is negative.
    pub(in crate::config) fn unless_negative(&self) -> Option<u64> {
        u64::try_from(self.number()).ok()
    }

    /// The truth of a boolean key.
    pub(in crate::config) fn truth(&self) -> bool {
        matches!(self, Value::Boolean(true))
    }

    /// The text of a string key.
    pub(in crate::config) fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            other => panic!("{other:?} is asked for as a text: its row in the key table says otherwise"),
        }
    }

    /// The items of a list key.
    pub(in crate::config) fn items(&self) -> &[String] {
        match self {
            Value::List(items) => items,
            other => panic!("{other:?} is asked for as a list: its row in the key table says otherwise"),
        }
    }
}

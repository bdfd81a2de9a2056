//! An answer with all that is volatile masked, and its text in a recording: JSON that breaks lines only where they get long.

use std::fmt::Write as _;

use serde_json::Value;

/// How wide a line may get before what is on it gets lines of its own.
const WIDTH: usize = 116;

/// A value, masked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Neither list nor structure.
    Leaf(Value),
    /// An array; what has no order of its own is sorted.
    List(Vec<Node>),
    /// A structure's fields.
    Fields(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn text(text: impl Into<String>) -> Node {
        Node::Leaf(Value::String(text.into()))
    }

    pub(crate) fn number(number: i64) -> Node {
        Node::Leaf(Value::from(number))
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Node::Leaf(Value::String(_)))
    }

    /// The field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        let Node::Fields(fields) = self else { return None };
        fields.iter().find(|(found, _)| found == name).map(|(_, node)| node)
    }

    /// How many leaves there are, empty lists included.
    pub(crate) fn leaf_count(&self) -> usize {
        match self {
            Node::Leaf(_) => 1,
            Node::List(rows) if rows.is_empty() => 1,
            Node::List(rows) => rows.iter().map(Node::leaf_count).sum(),
            Node::Fields(fields) => fields.iter().map(|(_, node)| node.leaf_count()).sum(),
        }
    }

    /// From a recording.
    pub(crate) fn from_json(value: Value) -> Node {
        match value {
            Value::Array(rows) => Node::List(rows.into_iter().map(Node::from_json).collect()),
            Value::Object(fields) => {
                Node::Fields(fields.into_iter().map(|(name, value)| (name, Node::from_json(value))).collect())
            }
            leaf => Node::Leaf(leaf),
        }
    }

    /// Appends it to a recording in which it begins at `column` and its lines at `indent`.
    pub(crate) fn write(&self, out: &mut String, indent: usize, column: usize) {
        let line = self.to_line();
        if column + line.len() <= WIDTH {
            return out.push_str(&line);
        }
        match self {
            Node::Leaf(_) => out.push_str(&line),
            Node::List(rows) => {
                let rows = rows.iter().map(|row| (String::new(), row));
                write_rows(out, indent, ('[', ']'), rows);
            }
            Node::Fields(fields) => {
                let fields = fields.iter().map(|(name, node)| (format!("{}: ", quoted(name)), node));
                write_rows(out, indent, ('{', '}'), fields);
            }
        }
    }

    /// Whether it may share a line with others.
    fn is_small(&self) -> bool {
        match self {
            Node::Leaf(_) => true,
            Node::List(rows) => rows.iter().all(|row| matches!(row, Node::Leaf(_))),
            Node::Fields(_) => false,
        }
    }

    /// All of it on one line.
    pub(crate) fn to_line(&self) -> String {
        match self {
            Node::Leaf(value) => value.to_string(),
            Node::List(rows) => {
                format!("[{}]", rows.iter().map(Node::to_line).collect::<Vec<_>>().join(", "))
            }
            Node::Fields(fields) => {
                let field = |(name, node): &(String, Node)| format!("{}: {}", quoted(name), node.to_line());
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Each structure and list that is too long for a line gets lines of its own; the others share lines.
fn write_rows<'a>(
    out: &mut String,
    indent: usize,
    (open, close): (char, char),
    rows: impl Iterator<Item = (String, &'a Node)>,
) {
    out.push(open);
    let inner = indent + 1;
    let mut column = WIDTH;
    for (number, (label, node)) in rows.enumerate() {
        let line = node.to_line();
        let width = label.len() + line.len() + 2;
        if number > 0 {
            out.push(',');
        }
        if column + width <= WIDTH && node.is_small() {
            out.push(' ');
            column += width;
        } else {
            let _infallible = write!(out, "\n{:inner$}", "");
            column = if node.is_small() { inner + width } else { WIDTH };
        }
        out.push_str(&label);
        node.write(out, inner, inner + label.len());
    }
    let _infallible = write!(out, "\n{:indent$}{close}", "");
}

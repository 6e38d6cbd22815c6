//! Schemas of types, and schemas without a type.

use std::fmt;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The pattern of a line of readable text: none of the [control characters](crate::text::is_control), and something that is
/// [visible](crate::text::is_visible). Invisible characters above U+FFFF are missing here, since not all readers of patterns
/// know such characters.
pub const LINE: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufffe\uffff]*",
    r"[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e",
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\ufffe\uffff]",
    r"[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufffe\uffff]*$"
);

/// A schema, generated with the whole description: types that are used twice become components.
pub struct Schema(Box<dyn FnOnce(&mut SchemaGenerator) -> Value + Send>);

impl Schema {
    /// Returns the schema of a type.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        Self(Box::new(|types| types.subschema_for::<T>().to_value()))
    }

    /// Returns this schema unchanged.
    #[must_use]
    pub fn literal(schema: Value) -> Self {
        Self(Box::new(|_| schema))
    }

    /// Returns the schema of text without further rules, such as a page.
    #[must_use]
    pub fn text() -> Self {
        Self::literal(json!({"type": "string"}))
    }

    /// Returns the schema of an object that is described elsewhere.
    #[must_use]
    pub fn any_object() -> Self {
        Self::literal(json!({"type": "object"}))
    }

    /// Adds a description.
    #[must_use]
    pub fn about(self, text: &'static str) -> Self {
        Self(Box::new(move |types| {
            let mut schema = self.write(types);
            schema["description"] = json!(text);
            schema
        }))
    }

    /// Returns the schema of an array of `T` under a name, as in `{"events": […]}`, beside
    /// `others`.
    #[must_use]
    pub fn named<T: JsonSchema>(name: &'static str, others: Fields) -> Self {
        Self(Box::new(move |types| {
            let item = types.subschema_for::<T>().to_value();
            let list = Self::literal(json!({"type": "array", "items": item}));
            others.required(name, list).write(types)
        }))
    }

    pub(super) fn write(self, types: &mut SchemaGenerator) -> Value {
        (self.0)(types)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

impl From<Fields> for Schema {
    fn from(fields: Fields) -> Self {
        Self(Box::new(|types| fields.write(types)))
    }
}

/// The schema of an object without a type of its own, such as a form.
#[derive(Debug, Default)]
pub struct Fields {
    fields: Vec<(&'static str, Schema, bool)>,
    closed: bool,
    /// What JSON Schema says of fields together.
    together: Map<String, Value>,
}

impl Fields {
    /// Creates an object without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field that is always there.
    #[must_use]
    pub fn required(mut self, name: &'static str, schema: Schema) -> Self {
        self.fields.push((name, schema, true));
        self
    }

    /// Adds a field that may be there.
    #[must_use]
    pub fn optional(mut self, name: &'static str, schema: Schema) -> Self {
        self.fields.push((name, schema, false));
        self
    }

    /// Forbids other fields.
    #[must_use]
    pub fn no_others(mut self) -> Self {
        self.closed = true;
        self
    }

    /// Requires at least one of these optional fields.
    #[must_use]
    pub fn any_of(mut self, names: &[&str]) -> Self {
        self.together.insert("anyOf".to_owned(), each(names));
        self
    }

    /// Forbids an optional field together with any of these.
    #[must_use]
    pub fn not_with(mut self, name: &str, others: &[&str]) -> Self {
        let not = json!({"required": [name], "anyOf": each(others)});
        self.together.insert("not".to_owned(), not);
        self
    }

    fn write(self, types: &mut SchemaGenerator) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, schema, always) in self.fields {
            properties.insert(name.to_owned(), schema.write(types));
            required.extend(always.then_some(name));
        }
        let mut object = json!({"type": "object", "properties": properties, "required": required});
        if self.closed {
            object["additionalProperties"] = json!(false);
        }
        for (keyword, value) in self.together {
            object[keyword] = value;
        }
        object
    }
}

/// One condition for each of the fields: it is there.
fn each(names: &[&str]) -> Value {
    let each = names.iter().map(|name| json!({"required": [name]}));
    each.collect()
}

//! What an expression may look at: the variables, their fields and the types of these.
//!
//! Enters: nothing, these are lists. Leaves: the type of a name, for [`super::typing`], and the rows that
//! `docs/custom-checks.md` repeats (a test compares). Must never: differ from what [`super::sheet`] fills in; a test
//! reads every field of the full sample.

use std::fmt;

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Number,
    Decimal,
    Flag,
    Moment,
    Span,
    Null,
    /// One of the things below.
    Of(Entity),
    List(Box<Type>),
    /// What a mistake was already reported for, or the element of `[]`: fits everything.
    Any,
}

impl Type {
    pub(super) fn list(of: Type) -> Self {
        Self::List(Box::new(of))
    }

    /// Whether a value may be both.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(one), Self::List(other)) => one.fits(other),
            _ => self == other,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Number => f.write_str("a whole number"),
            Self::Decimal => f.write_str("a decimal number"),
            Self::Flag => f.write_str("true or false"),
            Self::Moment => f.write_str("a time"),
            Self::Span => f.write_str("a duration"),
            Self::Null => f.write_str("null"),
            Self::Any => f.write_str("anything"),
            Self::Of(entity) => write!(f, "{}", entity.one()),
            Self::List(of) => match &**of {
                Self::Text => f.write_str("a list of texts"),
                Self::Of(entity) => write!(f, "the list of {}s", entity.name()),
                _ => f.write_str("a list"),
            },
        }
    }
}

/// A thing with fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entity {
    Client,
    Grant,
    Permission,
    Operation,
    Contract,
    Usage,
    Call,
}

impl Entity {
    /// All of them, in the order of the documentation.
    #[cfg(test)]
    pub(super) const ALL: [Self; 7] = [
        Self::Client,
        Self::Grant,
        Self::Permission,
        Self::Operation,
        Self::Contract,
        Self::Usage,
        Self::Call,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Grant => "grant",
            Self::Permission => "permission",
            Self::Operation => "operation",
            Self::Contract => "contract",
            Self::Usage => "usage",
            Self::Call => "call",
        }
    }

    fn one(self) -> &'static str {
        match self {
            Self::Client => "the client",
            Self::Grant => "a grant",
            Self::Permission => "a permission of the list",
            Self::Operation => "an operation of the list",
            Self::Contract => "the contract",
            Self::Usage => "the usage",
            Self::Call => "a call of the list",
        }
    }

    /// Its fields. Their order is that of the values of a [`super::value::Thing`].
    pub(super) fn fields(self) -> &'static [Field] {
        match self {
            Self::Client => CLIENT,
            Self::Grant => GRANT,
            Self::Permission => PERMISSION,
            Self::Operation => OPERATION,
            Self::Contract => CONTRACT,
            Self::Usage => USAGE,
            Self::Call => CALL,
        }
    }
}

/// The simple types that a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    Moment,
    Texts,
    Calls,
}

impl Kind {
    pub(super) fn typed(self) -> Type {
        match self {
            Self::Text => Type::Text,
            Self::Number => Type::Number,
            Self::Flag => Type::Flag,
            Self::Moment => Type::Moment,
            Self::Texts => Type::list(Type::Text),
            Self::Calls => Type::list(Type::Of(Entity::Call)),
        }
    }

    #[cfg(test)]
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "int",
            Self::Flag => "bool",
            Self::Moment => "timestamp",
            Self::Texts => "list of strings",
            Self::Calls => "list of calls",
        }
    }
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is, and what it is unknown for.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation repeats it, and a test compares"))]
    pub(super) what: &'static str,
}

const fn field(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, what }
}

/// The variables.
pub(super) const VARIABLES: [&str; 7] =
    ["client", "grants", "permissions", "operations", "contract", "usage", "now"];

/// The type of a variable.
pub(super) fn variable(name: &str) -> Option<Type> {
    Some(match name {
        "client" => Type::Of(Entity::Client),
        "grants" => Type::list(Type::Of(Entity::Grant)),
        "permissions" => Type::list(Type::Of(Entity::Permission)),
        "operations" => Type::list(Type::Of(Entity::Operation)),
        "contract" => Type::Of(Entity::Contract),
        "usage" => Type::Of(Entity::Usage),
        "now" => Type::Moment,
        _ => return None,
    })
}

const CLIENT: &[Field] = &[
    field("id", Kind::Text, "Its id."),
    field("name", Kind::Text, "Its name."),
    field("description", Kind::Text, "Its description; empty if it has none."),
    field("state", Kind::Text, "`active`, `disabled` or `inactive`."),
    field(
        "grant_type",
        Kind::Text,
        "`CLIENT-CREDENTIALS`, `CODE`, `TOKEN`, `PASSWORD` or `SAML2-BEARER`, as the platform spells it.",
    ),
    field(
        "acts_by_roles",
        Kind::Flag,
        "It acts as itself, by its roles (client credentials). Any other acts as its user and holds nothing itself: \
         `grants`, `permissions` and `operations` are empty, `holds` and `can` are false.",
    ),
    field("scopes", Kind::Texts, "The scopes that it may ask for."),
    field("redirect_uris", Kind::Texts, "Where codes and tokens may be sent."),
    field("token_lifetime_s", Kind::Number, "The lifetime of its tokens in seconds. May be absent."),
    field("created", Kind::Moment, "When it was created. May be absent."),
    field("created_by", Kind::Text, "The id of the user or client that created it. May be absent."),
    field(
        "grants_confirmed",
        Kind::Flag,
        "What it is granted was read from its own side too, within the last three days.",
    ),
];

const GRANT: &[Field] = &[
    field("role", Kind::Text, "The role's id."),
    field("role_name", Kind::Text, "The role's name. Unknown if the role was not read."),
    field(
        "division",
        Kind::Text,
        "The division's id; `*` is all of them, `unknown` where the record names none.",
    ),
    field(
        "division_name",
        Kind::Text,
        "The division's name; `*` for all. Unknown while divisions are a gap.",
    ),
    field(
        "source",
        Kind::Text,
        "`record` (its own record names it) or `subject` (only the client's side shows it).",
    ),
    field("inherited_from", Kind::Text, "The group or other subject that it has it from; empty if none."),
];

const PERMISSION: &[Field] = &[
    field(
        "permission",
        Kind::Text,
        "`domain:entity:action`, or a general permission. Wildcards are expanded.",
    ),
    field("known", Kind::Flag, "The organisation's catalogue lists it."),
    field("divisions", Kind::Texts, "The ids of the divisions where it counts; `*` is everywhere."),
    field("conditional", Kind::Flag, "Every way to it is under a condition."),
    field("in_scope", Kind::Flag, "The client's scopes would let it through if they were enforced."),
    field(
        "tier",
        Kind::Text,
        "How dangerous it is: `critical`, `high` or `medium`; empty for an ordinary one.",
    ),
];

const OPERATION: &[Field] = &[
    field("operation", Kind::Text, "`GET /api/v2/users/{userId}`."),
    field(
        "granted",
        Kind::Text,
        "`yes`, `no`, or `undeclared` where the platform declares no permission for it.",
    ),
    field("in_scope", Kind::Flag, "The client's scopes would let it through if they were enforced."),
    field("reads", Kind::Flag, "It only reads, by the scopes that it accepts."),
];

const CONTRACT: &[Field] = &[
    field("declared", Kind::Flag, "The client has a contract. Without one every other field is empty."),
    field("owner", Kind::Text, "Whom to ask."),
    field("purpose", Kind::Text, "What the client is for."),
    field("divisions", Kind::Texts, "Where it works, as the contract names them."),
    field("token_scopes", Kind::Texts, "What the application asks for at the token endpoint."),
    field("calls", Kind::Texts, "Operations that it calls."),
    field("must_be_denied", Kind::Texts, "Operations that it must not be able to call."),
    field("missing", Kind::Texts, "Declared operations (or permissions) that would be refused."),
    field("excess", Kind::Texts, "Permissions that it holds and the contract does not need, beyond doubt."),
];

const USAGE: &[Field] = &[
    field("counted", Kind::Flag, "Its calls are counted, and lately. If not, every other field is unknown."),
    field("days", Kind::Number, "How many days were counted."),
    field("total", Kind::Number, "How many calls it made in these days."),
    field("last_used", Kind::Moment, "The last day with a call. Absent if it made none."),
    field("calls", Kind::Calls, "The operations that it called."),
];

const CALL: &[Field] = &[
    field("operation", Kind::Text, "The operation."),
    field("ok", Kind::Number, "Calls that were allowed."),
    field("denied", Kind::Number, "Calls that ended with 4xx other than 429: attempted."),
    field("total", Kind::Number, "All calls."),
    field("last", Kind::Moment, "The last day with a call. May be absent."),
];

/// A function and its arguments; the first argument of a method is what it is called on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) takes: &'static [Argument],
    pub(super) gives: Kind,
}

/// What may stand where an argument is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Text,
    Moment,
    Span,
}

impl Argument {
    pub(super) fn typed(self) -> Type {
        match self {
            Self::Text => Type::Text,
            Self::Moment => Type::Moment,
            Self::Span => Type::Span,
        }
    }
}

const fn method(name: &'static str, takes: &'static [Argument], gives: Kind) -> Function {
    Function { name, takes, gives }
}

/// Methods that are the language's own, with those of its string extension that change letters.
pub(super) const METHODS: &[Function] = &[
    method("contains", &[Argument::Text, Argument::Text], Kind::Flag),
    method("startsWith", &[Argument::Text, Argument::Text], Kind::Flag),
    method("endsWith", &[Argument::Text, Argument::Text], Kind::Flag),
    method("lowerAscii", &[Argument::Text], Kind::Text),
    method("upperAscii", &[Argument::Text], Kind::Text),
    method("trim", &[Argument::Text], Kind::Text),
    method("getFullYear", &[Argument::Moment], Kind::Number),
    method("getMonth", &[Argument::Moment], Kind::Number),
    method("getDate", &[Argument::Moment], Kind::Number),
    method("getDayOfMonth", &[Argument::Moment], Kind::Number),
    method("getDayOfWeek", &[Argument::Moment], Kind::Number),
    method("getDayOfYear", &[Argument::Moment], Kind::Number),
    method("getHours", &[Argument::Moment], Kind::Number),
    method("getHours", &[Argument::Span], Kind::Number),
    method("getMinutes", &[Argument::Moment], Kind::Number),
    method("getMinutes", &[Argument::Span], Kind::Number),
    method("getSeconds", &[Argument::Moment], Kind::Number),
    method("getSeconds", &[Argument::Span], Kind::Number),
];

/// Functions that [`super::typing`] understands by themselves, methods and macros included: for "did you mean".
pub(super) const OTHERS: [&str; 14] = [
    "holds",
    "can",
    "matches",
    "size",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "timestamp",
    "duration",
    "string",
    "int",
];

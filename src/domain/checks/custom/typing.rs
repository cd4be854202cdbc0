//! Reads an expression before it is ever evaluated: every name, field, function and type in it, on every branch.
//!
//! Enters: a parsed expression. Leaves: its type, what it looks at, and every mistake with its place; calls of our own
//! functions are replaced by the names under which [`super::program`] answers them. Must never: accept what the language
//! would only refuse when it gets there. Lists of mixed types, maps and joined lists are refused, so that every part has one
//! type and no expression builds something large.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};
use regex::{Regex, RegexBuilder};

use super::model::{Entity, Kind, METHODS, OTHERS, Type, VARIABLES, variable};
use crate::domain::permission::{GENERAL, Pattern, nearest};

/// Loops within loops: with two, what an evaluation costs is at most the square of a list.
const MOST_LOOPS: usize = 2;
/// Expressions within expressions.
const DEEPEST: usize = 48;
/// What a compiled regular expression may take, in bytes.
const LARGEST_REGEX: usize = 256 * 1024;
const METHODS_OF_HTTP: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// What has to be prepared for an expression, of each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Grants,
    Permissions,
    Operations,
    Comparison,
    Usage,
}

/// A mistake and the node that it is in.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) node: u64,
    pub(super) reason: String,
}

/// What was found in an expression.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) mistakes: Vec<Mistake>,
    pub(super) parts: BTreeSet<Part>,
    /// What `client.holds` is asked; the place of each is in its name, `@holds_0`.
    pub(super) patterns: Vec<String>,
    /// What `client.can` is asked, likewise.
    pub(super) operations: Vec<String>,
    /// What `matches` is asked, likewise.
    pub(super) regexes: Vec<Regex>,
    /// Single fields that it looks at, for people.
    pub(super) mentions: Vec<(Entity, &'static str)>,
    /// It looks at anything at all.
    pub(super) looks: bool,
    scope: Vec<(String, Type)>,
    loops: usize,
    depth: usize,
}

impl Reading {
    /// The type of a node; what it is made of is read first, and our own functions are replaced.
    pub(super) fn read(&mut self, node: &mut IdedExpr) -> Type {
        if self.depth == DEEPEST {
            return self.mistake(
                node.id,
                format!("more than {DEEPEST} expressions are nested here; split the check"),
            );
        }
        self.depth += 1;
        let id = node.id;
        let found = match &mut node.expr {
            Expr::Literal(literal) => self.literal(id, literal),
            Expr::Ident(name) => self.name(id, name),
            Expr::Select(select) => self.field(id, select),
            Expr::Call(call) => match self.replaced(id, call) {
                Some((name, found)) => {
                    if let Some(name) = name {
                        node.expr = name;
                    }
                    found
                }
                None => self.call(id, call),
            },
            Expr::List(list) => {
                let mut of = Type::Any;
                for element in &mut list.elements {
                    let found = self.read(element);
                    if !of.fits(&found) {
                        let reason =
                            format!("a list holds values of one type, and here are {of} and {found}");
                        self.mistake(element.id, reason);
                    } else if of == Type::Any {
                        of = found;
                    }
                }
                Type::list(of)
            }
            Expr::Comprehension(comprehension) => self.comprehension(id, comprehension),
            Expr::Map(_) | Expr::Struct(_) => {
                self.mistake(id, "maps ({…}) are not available here".to_owned())
            }
            Expr::Unspecified => self.mistake(id, "nothing stands here".to_owned()),
        };
        self.depth -= 1;
        found
    }

    fn mistake(&mut self, node: u64, reason: String) -> Type {
        self.mistakes.push(Mistake { node, reason });
        Type::Any
    }

    fn literal(&mut self, id: u64, literal: &LiteralValue) -> Type {
        match literal {
            LiteralValue::Boolean(_) => Type::Flag,
            LiteralValue::Int(_) => Type::Number,
            LiteralValue::Double(_) => Type::Decimal,
            LiteralValue::String(_) => Type::Text,
            LiteralValue::Null => Type::Null,
            LiteralValue::UInt(_) => self.mistake(id, "numbers are written without u here".to_owned()),
            LiteralValue::Bytes(_) => self.mistake(id, "bytes (b'…') are not available here".to_owned()),
        }
    }

    fn name(&mut self, id: u64, name: &str) -> Type {
        if let Some((_, found)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return found.clone();
        }
        let Some(found) = variable(name) else {
            let own: Vec<&str> = self.scope.iter().map(|(name, _)| name.as_str()).collect();
            let names = VARIABLES.into_iter().chain(own).filter(|name| !name.starts_with('@'));
            let hint = hint(name, names, || format!("there are {}", VARIABLES.join(", ")));
            return self.mistake(id, format!("there is no {name:?}; {hint}"));
        };
        self.looks = true;
        let part = match name {
            "grants" => Some(Part::Grants),
            "permissions" => Some(Part::Permissions),
            "operations" => Some(Part::Operations),
            "usage" => Some(Part::Usage),
            _ => None,
        };
        self.parts.extend(part);
        found
    }

    fn field(&mut self, id: u64, select: &mut SelectExpr) -> Type {
        let of = self.read(&mut select.operand);
        let entity = match of {
            Type::Of(entity) => entity,
            Type::Any => return Type::Any,
            Type::List(_) => {
                let reason = format!(
                    "{of} has no field {:?}; go through it with exists(), all() or filter(), or take one with [0]",
                    select.field
                );
                return self.mistake(id, reason);
            }
            _ => return self.mistake(id, format!("{of} has no field {:?}", select.field)),
        };
        let fields = entity.fields();
        let Some(field) = fields.iter().find(|field| field.name == select.field) else {
            let names = fields.iter().map(|field| field.name);
            let all: Vec<&str> = names.clone().collect();
            let hint = hint(&select.field, names, || format!("it has {}", all.join(", ")));
            return self.mistake(id, format!("{} has no field {:?}; {hint}", entity.name(), select.field));
        };
        if entity == Entity::Contract && ["missing", "excess"].contains(&field.name) {
            self.parts.insert(Part::Comparison);
        }
        let alone = matches!(entity, Entity::Client | Entity::Contract | Entity::Usage);
        if alone && field.kind != Kind::Calls && !self.mentions.contains(&(entity, field.name)) {
            self.mentions.push((entity, field.name));
        }
        if select.test { Type::Flag } else { field.kind.typed() }
    }

    /// A loop: `all`, `exists`, `exists_one`, `map` or `filter`, as the parser wrote it out.
    fn comprehension(&mut self, id: u64, comprehension: &mut ComprehensionExpr) -> Type {
        let range = self.read(&mut comprehension.iter_range);
        let element = match range {
            Type::List(of) => *of,
            Type::Any => Type::Any,
            other => {
                let reason =
                    format!("all(), exists(), map() and filter() go through a list, and this is {other}");
                self.mistake(comprehension.iter_range.id, reason)
            }
        };
        if self.loops == MOST_LOOPS {
            return self.mistake(id, format!("at most {MOST_LOOPS} loops may be nested"));
        }
        let name = comprehension.iter_var.clone();
        if variable(&name).is_some() {
            return self
                .mistake(id, format!("{name:?} is the name of a variable; choose another one for the loop"));
        }
        let accumulated = self.read(&mut comprehension.accu_init);
        let before = self.scope.len();
        self.scope.push((comprehension.accu_var.clone(), accumulated.clone()));
        self.scope.push((name, element));
        self.loops += 1;
        self.read(&mut comprehension.loop_cond);
        let step = self.read(&mut comprehension.loop_step);
        // `map` and `filter` begin with an empty list; the first step says of what.
        if matches!(accumulated, Type::List(_)) {
            self.scope[before].1 = step;
        }
        let found = self.read(&mut comprehension.result);
        self.loops -= 1;
        self.scope.truncate(before);
        found
    }

    /// Our own functions, and `matches`: what stands in their place.
    fn replaced(&mut self, id: u64, call: &mut CallExpr) -> Option<(Option<Expr>, Type)> {
        let asks = match call.func_name.as_str() {
            name @ ("holds" | "can" | "matches") => name.to_owned(),
            _ => return None,
        };
        let Some(target) = &mut call.target else {
            let on = if asks == "matches" { "a text" } else { "client" };
            return Some((None, self.mistake(id, format!("{asks}() is asked of {on}: {on}.{asks}('…')"))));
        };
        let of = self.read(target);
        let expected = if asks == "matches" { Type::Text } else { Type::Of(Entity::Client) };
        if !of.fits(&expected) {
            return Some((
                None,
                self.mistake(id, format!("{asks}() is asked of {expected}, and this is {of}")),
            ));
        }
        let [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }] = call.args.as_slice() else {
            let reason = format!("{asks}() takes one text that is written out in quotes");
            return Some((None, self.mistake(id, reason)));
        };
        let text = text.inner().to_owned();
        let place = match asks.as_str() {
            "holds" => pattern(&text).map(|()| place(&mut self.patterns, text)),
            "can" => operation(&text).map(|()| place(&mut self.operations, text)),
            _ => RegexBuilder::new(&text)
                .size_limit(LARGEST_REGEX)
                .build()
                .map(|regex| {
                    self.regexes.push(regex);
                    self.regexes.len() - 1
                })
                .map_err(|error| {
                    let said = error.to_string();
                    let last =
                        said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    format!("{text:?} is no regular expression: {last}")
                }),
        };
        let found = match place {
            Err(reason) => (None, self.mistake(id, reason)),
            Ok(at) if asks == "matches" => {
                // `@matches_0[text]`
                let args =
                    vec![IdedExpr { id, expr: Expr::Ident(format!("@matches_{at}")) }, *call.target.take()?];
                let call = CallExpr { func_name: operators::INDEX.to_owned(), target: None, args };
                (Some(Expr::Call(call)), Type::Flag)
            }
            Ok(at) => (Some(Expr::Ident(format!("@{asks}_{at}"))), Type::Flag),
        };
        Some(found)
    }

    fn call(&mut self, id: u64, call: &mut CallExpr) -> Type {
        let on_accumulator = matches!(&call.args.first(), Some(IdedExpr { expr: Expr::Ident(name), .. }) if name.starts_with('@'));
        let mut types: Vec<Type> = Vec::new();
        if let Some(target) = &mut call.target {
            types.push(self.read(target));
        }
        for argument in &mut call.args {
            types.push(self.read(argument));
        }
        if types.contains(&Type::Null) {
            return self.mistake(id, "no field is ever null; ask has(…) whether it is there".to_owned());
        }
        let name = call.func_name.as_str();
        if let Some(reason) = not_a_time(call) {
            return self.mistake(id, reason);
        }
        let told = match (name, types.as_slice()) {
            (operators::NOT_STRICTLY_FALSE, _) | (operators::IN, [_, Type::Any]) => Ok(Type::Flag),
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                let sign = if name == operators::LOGICAL_AND { "&&" } else { "||" };
                match [left, right].into_iter().find(|one| !one.fits(&Type::Flag)) {
                    None => Ok(Type::Flag),
                    Some(other) if on_accumulator => Err(format!(
                        "the condition of all() or exists() is {other}; it must be true or false"
                    )),
                    Some(other) => Err(format!("{sign} stands between conditions, and here is {other}")),
                }
            }
            (operators::LOGICAL_NOT, [one]) if one.fits(&Type::Flag) => Ok(Type::Flag),
            (operators::LOGICAL_NOT, [one]) => Err(format!("! turns a condition round, and this is {one}")),
            (operators::CONDITIONAL, [condition, _, _]) if !condition.fits(&Type::Flag) => {
                Err(format!("what stands before ? is {condition}; it must be true or false"))
            }
            (operators::CONDITIONAL, [_, one, other]) if one.fits(other) => {
                Ok(if vague(one) { other.clone() } else { one.clone() })
            }
            (operators::CONDITIONAL, [_, one, other]) => {
                Err(format!("both sides of : must be of one type, and they are {one} and {other}"))
            }
            (operators::EQUALS | operators::NOT_EQUALS, [one, other]) => compared(one, other, true),
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [one, other],
            ) => compared(one, other, false),
            (operators::IN, [one, Type::List(of)])
                if one.fits(of) && !matches!(**of, Type::Of(_) | Type::List(_)) =>
            {
                Ok(Type::Flag)
            }
            (operators::IN, [one, other]) => Err(format!(
                "in looks for a value in a list of such values, and here it is {one} in {other}{}",
                match other {
                    Type::List(_) => "; ask .exists(…)",
                    _ => "",
                }
            )),
            (operators::INDEX, [Type::List(of), at]) if at.fits(&Type::Number) => Ok((**of).clone()),
            (operators::INDEX, [Type::Any, _]) => Ok(Type::Any),
            (operators::INDEX, [of, at]) => {
                Err(format!("[…] takes one of a list by its number, and here it is {at} of {of}"))
            }
            (operators::ADD, [Type::List(one), Type::List(other)]) if on_accumulator => {
                Ok(Type::list(if vague(one) { (**other).clone() } else { (**one).clone() }))
            }
            (operators::NEGATE, [one @ (Type::Number | Type::Decimal | Type::Any)]) => Ok(one.clone()),
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO,
                [one, other],
            ) => calculated(name, one, other),
            ("size", [Type::Text | Type::List(_) | Type::Any]) => Ok(Type::Number),
            ("timestamp", [Type::Text]) if call.target.is_none() => Ok(Type::Moment),
            ("duration", [Type::Text]) if call.target.is_none() => Ok(Type::Span),
            (
                "string",
                [Type::Text | Type::Number | Type::Decimal | Type::Flag | Type::Moment | Type::Any],
            ) if call.target.is_none() => Ok(Type::Text),
            ("int", [Type::Text | Type::Number | Type::Decimal | Type::Moment | Type::Any])
                if call.target.is_none() =>
            {
                Ok(Type::Number)
            }
            _ => function(call, &types),
        };
        told.unwrap_or_else(|reason| self.mistake(id, reason))
    }
}

/// Why what stands in `timestamp('…')` or `duration('…')` is none. Any branch may hold one, so it is looked at here.
fn not_a_time(call: &CallExpr) -> Option<String> {
    let form = match call.func_name.as_str() {
        "timestamp" => "a time; write it as '2026-01-31T00:00:00Z'",
        "duration" => "a duration; write it as '720h' or '90m'",
        _ => return None,
    };
    let [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }] = call.args.as_slice() else {
        return None;
    };
    let alone = IdedExpr { id: 0, expr: Expr::Call(call.clone()) };
    let fails = cel::Value::resolve(&alone, &cel::Context::default()).is_err();
    fails.then(|| format!("{:?} is not {form}", text.inner()))
}

/// A method of the language's own, or why there is none.
fn function(call: &CallExpr, types: &[Type]) -> Result<Type, String> {
    let name = call.func_name.as_str();
    let named: Vec<_> = METHODS.iter().filter(|known| known.name == name).collect();
    if named.is_empty() && !OTHERS.contains(&name) {
        let known: BTreeSet<&str> = METHODS.iter().map(|known| known.name).chain(OTHERS).collect();
        let all: Vec<&str> = known.iter().copied().collect();
        let hint = hint(name, known.iter().copied(), || format!("there are {}", all.join(", ")));
        let shown = name.trim_matches(['_', '@']);
        return Err(format!("there is no function {shown}(); {hint}"));
    }
    let fits = |takes: &[super::model::Argument]| {
        takes.len() == types.len() && takes.iter().zip(types).all(|(one, other)| other.fits(&one.typed()))
    };
    if call.target.is_some()
        && let Some(known) = named.iter().find(|known| fits(known.takes))
    {
        return Ok(known.gives.typed());
    }
    let given: Vec<String> = types.iter().map(ToString::to_string).collect();
    let given = if given.is_empty() { "nothing".to_owned() } else { given.join(", ") };
    Err(match named.first() {
        Some(known) => {
            let takes: Vec<String> = known.takes.iter().map(|one| one.typed().to_string()).collect();
            let (on, with) =
                takes.split_first().map(|(on, with)| (on.clone(), with.join(", "))).unwrap_or_default();
            let with = if with.is_empty() {
                "nothing in the brackets".to_owned()
            } else {
                format!("{with} in the brackets")
            };
            format!("{name}() is asked of {on}, with {with}; here it has {given}")
        }
        None => format!("{name}() does not take {given}"),
    })
}

fn vague(one: &Type) -> bool {
    match one {
        Type::Any => true,
        Type::List(of) => vague(of),
        _ => false,
    }
}

fn compared(one: &Type, other: &Type, equal: bool) -> Result<Type, String> {
    let number = |one: &Type| matches!(one, Type::Number | Type::Decimal | Type::Any);
    let whole = |one: &Type| matches!(one, Type::Of(_) | Type::List(_));
    if whole(one) || whole(other) {
        return Err(format!("only single values are compared, and here are {one} and {other}"));
    }
    let ordered = equal || !(matches!(one, Type::Flag) || matches!(other, Type::Flag));
    if ordered && (one.fits(other) || (number(one) && number(other))) {
        return Ok(Type::Flag);
    }
    Err(format!("{one} cannot be compared with {other}"))
}

fn calculated(operator: &str, one: &Type, other: &Type) -> Result<Type, String> {
    use Type::{Any, Decimal, Moment, Number, Span, Text};
    let (adds, subtracts) = (operator == operators::ADD, operator == operators::SUBSTRACT);
    Ok(match (one, other) {
        (Any, _) | (_, Any) => Any,
        (Number, Number) => Number,
        (Decimal, Decimal) if operator != operators::MODULO => Decimal,
        (Text, Text) if adds => Text,
        (Moment, Span) if adds || subtracts => Moment,
        (Span, Moment) if adds => Moment,
        (Span, Span) if adds || subtracts => Span,
        (Moment, Moment) if subtracts => Span,
        _ => {
            let sign = operator.trim_matches('_');
            return Err(format!("{sign} does not go between {one} and {other}"));
        }
    })
}

fn place(list: &mut Vec<String>, text: String) -> usize {
    if let Some(at) = list.iter().position(|known| *known == text) {
        return at;
    }
    list.push(text);
    list.len() - 1
}

/// `did you mean "x"?`, or what there is.
fn hint<'a>(
    unknown: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match nearest(unknown, known, 1).first() {
        Some(name) => format!("did you mean {name:?}?"),
        None => otherwise(),
    }
}

/// Whether something is a pattern that permissions can match.
fn pattern(text: &str) -> Result<(), String> {
    const FORM: &str = "write domain:entity:action, where each part is whole or *";
    let fits = match Pattern::parse(text) {
        Pattern::General(name) => GENERAL.contains(&name),
        Pattern::Parts { domain, entity, action } => [domain, entity, action].iter().all(|part| {
            let whole = !part.is_empty() && !part.contains(['*', ' ']);
            whole || *part == "*"
        }),
    };
    if fits { Ok(()) } else { Err(format!("{text:?} is no permission and no pattern of them; {FORM}")) }
}

/// Whether something can be the name of an operation.
fn operation(text: &str) -> Result<(), String> {
    let fits = text.split_once(' ').is_some_and(|(method, path)| {
        METHODS_OF_HTTP.contains(&method) && path.starts_with("/api/v2/") && !path.contains([' ', '?', '#'])
    });
    let reason = || format!("{text:?} is no operation; write it as 'GET /api/v2/users/{{userId}}'");
    if fits { Ok(()) } else { Err(reason()) }
}

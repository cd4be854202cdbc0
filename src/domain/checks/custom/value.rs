//! The values that expressions see: things with fields, and lists of them.
//!
//! Enters: rows that were prepared for one client. Leaves: values of the language, without copying them. Must never: be
//! looked at without being counted (a list charges each element to the [`Meter`]), or answer for a field that is not
//! known: that is an error, which the language's `&&` and `||` treat as three-valued logic asks.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cel::{
    ExecutionError,
    common::{
        traits::{self, Container, Indexer, Iterable, Sizer},
        types::{CelBool, CelInt, CelString, CelTimestamp, LIST_TYPE, Type},
        value::{CowVal, Val},
    },
};
use chrono::{DateTime, Utc};
use regex::Regex;

use super::model::Entity;

/// What the error is called that says that a field is not known.
pub(super) const UNKNOWN: &str = "unknown";

static THING: Type = Type::new_unspecified_type("thing");

/// How many elements of lists one evaluation has looked at.
#[derive(Debug)]
pub(super) struct Meter {
    steps: AtomicU64,
    most: u64,
}

impl Meter {
    pub(super) fn new(most: u64) -> Self {
        Self { steps: AtomicU64::new(0), most }
    }

    /// Counts some steps; false: there were too many, the result is worth nothing.
    fn charge(&self, steps: u64) -> bool {
        self.steps.fetch_add(steps, Ordering::Relaxed) < self.most
    }

    /// Begins anew.
    pub(super) fn reset(&self) {
        self.steps.store(0, Ordering::Relaxed);
    }

    /// Whether more was looked at than is allowed.
    pub(super) fn is_over(&self) -> bool {
        self.steps.load(Ordering::Relaxed) > self.most
    }
}

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Datum<'a> {
    Text(&'a str),
    Number(i64),
    Flag(bool),
    Moment(DateTime<Utc>),
    List(List<'a>),
    /// There is none, and that is seen.
    Absent,
    /// It is not known, and why.
    Unknown(Arc<str>),
}

impl<'a> Datum<'a> {
    pub(super) fn optional<T>(value: Option<T>, datum: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Absent, datum)
    }

    pub(super) fn texts(texts: impl IntoIterator<Item = &'a str>, meter: &Arc<Meter>) -> Self {
        let items = texts.into_iter().map(|text| Item::Text(CelString::from(text))).collect();
        Self::List(List { items, meter: Arc::clone(meter) })
    }

    /// As the language takes it.
    fn value<'b, 'v>(&self, name: &str) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        'a: 'v,
    {
        Ok(match self {
            Self::Text(text) => CowVal::owned(CelString::from(*text)),
            Self::Number(number) => CowVal::owned(CelInt::from(*number)),
            Self::Flag(flag) => CowVal::owned(CelBool::from(*flag)),
            Self::Moment(at) => CowVal::owned(CelTimestamp::from(at.fixed_offset())),
            Self::List(list) => CowVal::owned(list.clone()),
            Self::Absent => return Err(ExecutionError::no_such_key(name)),
            Self::Unknown(why) => return Err(ExecutionError::function_error(UNKNOWN, why)),
        })
    }
}

impl fmt::Display for Datum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Moment(at) => write!(f, "{}", at.format("%Y-%m-%d %H:%M UTC")),
            Self::List(list) => {
                let shown: Vec<String> = list.items.iter().take(3).map(ToString::to_string).collect();
                let more = list.items.len().saturating_sub(shown.len());
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                write!(f, "[{}{rest}]", shown.join(", "))
            }
            Self::Absent => f.write_str("absent"),
            Self::Unknown(_) => f.write_str("not known"),
        }
    }
}

/// One thing with the values of its fields, in the order of [`Entity::fields`].
#[derive(Clone, Debug)]
pub(super) struct Thing<'a> {
    pub(super) entity: Entity,
    fields: Arc<[Datum<'a>]>,
}

impl<'a> Thing<'a> {
    pub(super) fn new(entity: Entity, fields: impl Into<Arc<[Datum<'a>]>>) -> Self {
        let fields = fields.into();
        debug_assert_eq!(fields.len(), entity.fields().len(), "{entity:?}");
        Self { entity, fields }
    }

    /// A thing of which nothing is known but what comes first.
    pub(super) fn unknown(
        entity: Entity,
        first: impl IntoIterator<Item = Datum<'a>>,
        why: &Arc<str>,
    ) -> Self {
        let rest = std::iter::repeat_with(|| Datum::Unknown(Arc::clone(why)));
        let fields: Vec<_> = first.into_iter().chain(rest).take(entity.fields().len()).collect();
        Self::new(entity, fields)
    }

    /// The value of a field; `None`: there is no such field.
    pub(super) fn field(&self, name: &str) -> Option<&Datum<'a>> {
        let at = self.entity.fields().iter().position(|field| field.name == name)?;
        self.fields.get(at)
    }
}

impl Val for Thing<'_> {
    fn get_type(&self) -> &Type {
        &THING
    }

    fn cel_type() -> &'static Type {
        &THING
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for Thing<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = index.downcast_ref::<CelString<'_>>().map(CelString::inner).unwrap_or_default();
        match self.field(name) {
            Some(datum) => datum.value(name),
            None => Err(ExecutionError::no_such_key(name)),
        }
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(&*self, index).map(CowVal::into_owned)
    }
}

/// An element of a list.
#[derive(Clone, Debug)]
enum Item<'a> {
    Text(CelString<'a>),
    Thing(Thing<'a>),
}

impl<'a> Item<'a> {
    fn as_val<'b, 'v>(&'b self) -> &'b (dyn Val + 'v)
    where
        'a: 'v,
    {
        match self {
            Self::Text(text) => text,
            Self::Thing(thing) => thing,
        }
    }
}

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", text.inner()),
            Self::Thing(thing) => f.write_str(thing.entity.name()),
        }
    }
}

/// A list; copies share its elements.
#[derive(Clone, Debug)]
pub(super) struct List<'a> {
    items: Arc<[Item<'a>]>,
    meter: Arc<Meter>,
}

impl<'a> List<'a> {
    pub(super) fn of(things: impl IntoIterator<Item = Thing<'a>>, meter: &Arc<Meter>) -> Self {
        Self { items: things.into_iter().map(Item::Thing).collect(), meter: Arc::clone(meter) }
    }
}

impl Val for List<'_> {
    fn get_type(&self) -> &Type {
        &LIST_TYPE
    }

    fn cel_type() -> &'static Type {
        &LIST_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Container for List<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        self.meter.charge(self.items.len() as u64);
        Ok(self.items.iter().any(|item| item.as_val().equals(value)))
    }
}

impl Indexer for List<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let at = index.downcast_ref::<CelInt>().map_or(-1, |at| *at.inner());
        let item = usize::try_from(at).ok().and_then(|at| self.items.get(at));
        item.map(|item| CowVal::Borrowed(item.as_val())).ok_or(ExecutionError::IndexOutOfBounds(at.into()))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(&*self, index).map(CowVal::into_owned)
    }
}

impl Iterable for List<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn traits::Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Items { items: self.items.iter(), meter: &self.meter })
    }
}

impl Sizer for List<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.items.len()).unwrap_or(i64::MAX))
    }
}

/// A walk through a list. It ends early when too much was looked at; the evaluation's result is then thrown away.
struct Items<'b, 'a> {
    items: std::slice::Iter<'b, Item<'a>>,
    meter: &'b Meter,
}

impl<'b, 'v, 'a: 'v> traits::Iterator<'b, 'v> for Items<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        if !self.meter.charge(1) {
            return None;
        }
        self.items.next().map(Item::as_val)
    }
}

/// A regular expression that was compiled with its check: `@matches_0[text]`.
#[derive(Debug)]
pub(super) struct Matcher<'a>(pub(super) &'a Regex);

impl Val for Matcher<'_> {
    fn get_type(&self) -> &Type {
        &THING
    }

    fn cel_type() -> &'static Type {
        &THING
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Self(self.0))
    }
}

impl Indexer for Matcher<'_> {
    fn get<'b, 'v>(&'b self, text: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let text = text.downcast_ref::<CelString<'_>>().map(CelString::inner).unwrap_or_default();
        Ok(CowVal::owned(CelBool::from(self.0.is_match(text))))
    }

    fn steal<'v>(self: Box<Self>, text: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(&*self, text).map(CowVal::into_owned)
    }
}

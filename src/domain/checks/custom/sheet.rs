//! What an expression sees of one client.
//!
//! Enters: what [`super::seen`] took from an audit, or [`super::sample`] from a test. Leaves: the values of the variables, and
//! the answers of `client.holds` and `client.can`. Must never: hold a value that was not seen; that is an error with the
//! reason instead.

use std::{collections::HashMap, sync::Arc};

use cel::common::{types::CelTimestamp, value::CowVal};
use chrono::{DateTime, Utc};

use super::{
    model::Entity,
    value::{Datum, List, Meter, Thing},
};

/// A value, or why it is not known.
pub(super) type Known<T> = Result<T, Arc<str>>;

/// One client as expressions see it. A list that nobody asks for is not filled in.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    pub(super) client: Thing<'a>,
    pub(super) contract: Thing<'a>,
    pub(super) usage: Thing<'a>,
    pub(super) grants: Known<List<'a>>,
    pub(super) permissions: Known<List<'a>>,
    pub(super) operations: Known<List<'a>>,
    pub(super) now: DateTime<Utc>,
    /// For each pattern that some check asks of: whether the client holds a permission that it matches.
    pub(super) holds: HashMap<&'a str, Known<bool>>,
    /// For each operation that some check asks of: whether the client may call it.
    pub(super) can: HashMap<&'a str, Known<bool>>,
    pub(super) meter: Arc<Meter>,
}

impl Sheet<'_> {
    /// The value of a variable; `None`: there is none of the name, or it is not known ([`Sheet::list`]).
    pub(super) fn variable<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        Some(match name {
            "client" => CowVal::Borrowed(&self.client),
            "contract" => CowVal::Borrowed(&self.contract),
            "usage" => CowVal::Borrowed(&self.usage),
            "now" => CowVal::owned(CelTimestamp::from(self.now.fixed_offset())),
            _ => CowVal::Borrowed(self.list(name).ok()?),
        })
    }

    /// One of the lists, or why it is not known.
    pub(super) fn list(&self, name: &str) -> Known<&List<'_>> {
        let list = match name {
            "grants" => &self.grants,
            "permissions" => &self.permissions,
            "operations" => &self.operations,
            _ => return Err(Arc::from(format!("{name} is not known."))),
        };
        list.as_ref().map_err(Arc::clone)
    }

    pub(super) fn holds(&self, pattern: &str) -> Known<bool> {
        self.holds.get(pattern).cloned().unwrap_or_else(not_prepared)
    }

    pub(super) fn can(&self, operation: &str) -> Known<bool> {
        self.can.get(operation).cloned().unwrap_or_else(not_prepared)
    }

    /// One field, as people read it.
    pub(super) fn shown(&self, entity: Entity, field: &str) -> Option<&Datum<'_>> {
        match entity {
            Entity::Client => self.client.field(field),
            Entity::Contract => self.contract.field(field),
            Entity::Usage => self.usage.field(field),
            _ => None,
        }
    }
}

fn not_prepared() -> Known<bool> {
    Err(Arc::from("It was not looked up."))
}

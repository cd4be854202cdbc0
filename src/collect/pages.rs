//! Following a listing that may change while it is read.
//!
//! Enters: pages as they arrive, and the ids that the previous audit saw. Leaves: what to ask for next, the whole
//! listing, or why it cannot be believed. Must never: do I/O, or give a listing in which an entity that existed all
//! the time may be missing. A page that shifts by one while the next is fetched hides exactly one.
//!
//! A read counts only if its pages agree with each other. If it spans pages and misses something that is known, a
//! second read must show the same ids: to hide the same entity twice, the platform would have to delete, between
//! the reads, an entity that both of them show.

use std::collections::BTreeSet;

use super::wire::Page;

/// Times that a listing is read again before it is given up.
const REREADS: u32 = 3;
/// More pages than any organisation has.
const MOST_PAGES: u32 = 1_000;
/// More entities than any organisation has.
const MOST_ENTITIES: usize = 100_000;

/// One listing on its way.
pub(super) struct Pages<T> {
    id: fn(&T) -> &str,
    known: BTreeSet<String>,
    reads: u32,
    /// The ids of the last read that was consistent in itself but missed something known.
    unconfirmed: Option<BTreeSet<String>>,
    current: Read<T>,
}

struct Read<T> {
    entities: Vec<T>,
    ids: BTreeSet<String>,
    total: Option<u64>,
    pages: u32,
    followed: BTreeSet<String>,
}

/// Where a page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The listing's own address.
    First,
    /// A page by number; `size` where the platform chose it.
    Number { number: u64, size: Option<u64> },
    /// An address that the platform gave: unchecked.
    Uri(String),
}

/// What to do after a page.
pub(super) enum Step<T> {
    /// Ask for another page.
    Get(Target),
    /// The listing is complete.
    Done(Vec<T>),
    /// It kept moving.
    Inconsistent(String),
    /// It is larger than any organisation's.
    TooLarge(String),
}

impl<T> Pages<T> {
    /// Starts a listing. `id` names an entity; `known` are the ids that the previous audit saw.
    pub(super) fn new(id: fn(&T) -> &str, known: BTreeSet<String>) -> Self {
        Self { id, known, reads: 1, unconfirmed: None, current: Read::new() }
    }

    /// Takes the page that was asked for.
    pub(super) fn accept(&mut self, page: Page<T>) -> Step<T> {
        match self.current.add(page, self.id) {
            Progress::More(target) => Step::Get(target),
            Progress::TooLarge(what) => Step::TooLarge(what),
            Progress::Moved(what) => self.again(&what),
            Progress::Complete => {
                let read = std::mem::replace(&mut self.current, Read::new());
                if read.pages == 1
                    || self.known.is_subset(&read.ids)
                    || self.unconfirmed.as_ref() == Some(&read.ids)
                {
                    return Step::Done(read.entities);
                }
                self.unconfirmed = Some(read.ids);
                self.again("two reads do not show the same entities")
            }
        }
    }

    fn again(&mut self, what: &str) -> Step<T> {
        if self.reads > REREADS {
            return Step::Inconsistent(format!("changed while it was read, {} times: {what}", self.reads));
        }
        self.reads += 1;
        self.current = Read::new();
        Step::Get(Target::First)
    }
}

enum Progress {
    More(Target),
    Complete,
    Moved(String),
    TooLarge(String),
}

impl<T> Read<T> {
    fn new() -> Self {
        Self { entities: Vec::new(), ids: BTreeSet::new(), total: None, pages: 0, followed: BTreeSet::new() }
    }

    fn add(&mut self, page: Page<T>, id: fn(&T) -> &str) -> Progress {
        self.pages += 1;
        let number = u64::from(self.pages);
        if self.entities.len() + page.entities.len() > MOST_ENTITIES {
            return Progress::TooLarge(format!("has more than {MOST_ENTITIES} entities"));
        }
        let came = page.entities.len();
        for entity in page.entities {
            if !self.ids.insert(id(&entity).to_owned()) {
                return Progress::Moved(format!("page {number} repeats an entity"));
            }
            self.entities.push(entity);
        }
        match (self.total, page.total) {
            (Some(before), Some(now)) if before != now => {
                return Progress::Moved(format!("the total went from {before} to {now}"));
            }
            (None, total) => self.total = total,
            _ => {}
        }
        let seen = self.ids.len() as u64;
        let target = match (page.next_uri, page.count) {
            (Some(uri), _) => Some(Target::Uri(uri)),
            // Some listings come whole and still announce pages: the total tells.
            (None, Some(count)) if page.number.unwrap_or(number) < count && self.total != Some(seen) => {
                Some(Target::Number { number: page.number.unwrap_or(number) + 1, size: page.size })
            }
            _ => None,
        };
        match (target, self.total) {
            (Some(_), _) if self.pages >= MOST_PAGES => {
                Progress::TooLarge(format!("has more than {MOST_PAGES} pages"))
            }
            (Some(_), _) if came == 0 => {
                Progress::Moved(format!("page {number} is empty and yet not the last"))
            }
            (Some(Target::Uri(uri)), _) if !self.followed.insert(uri.clone()) => {
                Progress::Moved(format!("page {number} leads back to a page already read"))
            }
            (Some(target), _) => Progress::More(target),
            (None, Some(total)) if total != seen => {
                Progress::Moved(format!("{total} entities were announced, {seen} came"))
            }
            (None, _) => Progress::Complete,
        }
    }
}

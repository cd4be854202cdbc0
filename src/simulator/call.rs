//! A request that means an operation, and what handlers need of it: parameters, body, pages.

use axum::http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;

use super::answer::{Answer, Fields, Refusal};
use super::operations::{Operation, Parameters};

/// An HTTP request, read whole.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// As it was sent, percent-encoding included.
    pub(super) path: &'a str,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Request<'_> {
    /// The token of `Authorization: Bearer …`.
    pub(super) fn bearer(&self) -> Option<&str> {
        let header = self.headers.get("authorization")?.to_str().ok()?;
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// The query as it was sent, decoded and encoded again, without these parameters.
    fn query_without(&self, names: &[&str]) -> form_urlencoded::Serializer<'static, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.query.iter().filter(|(name, _)| !names.contains(&name.as_str())));
        query
    }
}

/// What changed between two pages of a listing while it was being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    /// Entries removed before this page; negative for entries inserted.
    pub(super) by: i64,
    /// Whether the total tells.
    pub(super) total_changes: bool,
}

/// A request that may be performed: token, scope and permission are behind it.
pub(super) struct Call<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) operation: &'static Operation,
    pub(super) parameters: Parameters,
    /// The id of the client whose token it is.
    pub(super) caller: String,
    pub(super) token: String,
    pub(super) shift: Option<Shift>,
}

/// Which part of a listing is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) size: usize,
    pub(super) number: usize,
}

const DEFAULT_PAGE_SIZE: usize = 25;

impl Call<'_> {
    /// A path parameter; the template guarantees that it is there.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.request.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may be repeated, or hold several values between commas.
    pub(super) fn queries(&self, name: &str) -> Vec<&str> {
        let given = self.request.query.iter().filter(|(known, _)| known == name);
        given.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.query(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(invalid_parameter(name, other, "true, false")),
        }
    }

    /// The JSON body as `T`. A member that is null counts as absent.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let mut value: Value = serde_json::from_slice(self.request.body)
            .map_err(|error| Refusal::bad_request(format!("The request body is not JSON: {error}")))?;
        drop_nulls(&mut value);
        serde_json::from_value(value)
            .map_err(|error| Refusal::bad_request(format!("The request body is not valid: {error}")))
    }

    /// The page that the query asks for, 25 entries if it does not say.
    pub(super) fn page(&self, most: usize) -> Result<Page, Refusal> {
        let number = |name: &str, default: usize, most: usize| match self.query(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(value) if (1..=most).contains(&value) => Ok(value),
                _ => Err(invalid_parameter(name, text, &format!("1 to {most}"))),
            },
        };
        let size = number("pageSize", DEFAULT_PAGE_SIZE.min(most), most)?;
        Ok(Page { size, number: number("pageNumber", 1, 1_000_000)? })
    }

    /// One page of a listing, with the links to its neighbours.
    pub(super) fn listing<T>(&self, page: Page, all: &[T], render: impl Fn(&T) -> Value) -> Fields {
        let (fields, last) = self.unlinked(page, all, render);
        let link = |number: usize| {
            let mut query = self.request.query_without(&["pageSize", "pageNumber"]);
            query.append_pair("pageSize", &page.size.to_string());
            query.append_pair("pageNumber", &number.to_string());
            format!("{}?{}", self.request.path, query.finish())
        };
        fields
            .put("firstUri", link(1))
            .put("lastUri", link(last.max(1)))
            .put("selfUri", link(page.number))
            .put_some("nextUri", (page.number < last).then(|| link(page.number + 1)))
            .put_some("previousUri", (page.number > 1).then(|| link(page.number - 1)))
    }

    /// One page of a listing whose definition has no links.
    pub(super) fn plain_listing<T>(&self, page: Page, all: &[T], render: impl Fn(&T) -> Value) -> Fields {
        self.unlinked(page, all, render).0
    }

    /// The page and the number of pages.
    fn unlinked<T>(&self, page: Page, all: &[T], render: impl Fn(&T) -> Value) -> (Fields, usize) {
        let first = (page.number - 1).saturating_mul(page.size);
        let (first, total) = self.shift.map_or((first, all.len()), |shift| shift.apply(first, all.len()));
        let entities: Vec<Value> = all.iter().skip(first).take(page.size).map(render).collect();
        let pages = total.div_ceil(page.size);
        let fields = Fields::new()
            .put("entities", entities)
            .put("pageSize", page.size)
            .put("pageNumber", page.number)
            .put("total", total)
            .put("pageCount", pages);
        (fields, pages)
    }
}

impl Shift {
    fn apply(self, first: usize, total: usize) -> (usize, usize) {
        let by = isize::try_from(self.by).unwrap_or(0);
        let moved = |value: usize, by: isize| value.saturating_add_signed(by);
        (moved(first, by), if self.total_changes { moved(total, -by) } else { total })
    }
}

/// An answer of one listing.
impl From<Fields> for Answer {
    fn from(fields: Fields) -> Self {
        Self::ok(fields)
    }
}

/// A query parameter with a value that the operation does not take.
pub(super) fn invalid_parameter(name: &str, value: &str, allowed: &str) -> Refusal {
    let message =
        format!("Value [{value}] is not valid for parameter [{name}]. Allowable values are: {allowed}");
    Refusal::new(400, "invalid.query.param.value", message)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

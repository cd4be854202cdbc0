//! One expression: compiled once, answered for each client.
//!
//! Enters: the text of an expression; later, a [`Sheet`] for each client. Leaves: every mistake with line and column, or a
//! [`Program`]; later an [`Answer`]. Must never: answer *no* where the answer rests on something unknown. The language's
//! `&&`, `||`, `all` and `exists` go on past an error if the other side decides; an unknown field is such an error, so they
//! are three-valued without more.

use std::sync::{Arc, LazyLock};

use cel::{
    Context, Env, ExecutionError, Value,
    common::{ast::SourceInfo, types::CelBool, value::CowVal},
    context::VariableResolver,
    extensions,
};

use super::{
    model::Type,
    sample::Sample,
    sheet::Sheet,
    typing::{Mistake, Reading},
    value::{Matcher, UNKNOWN},
};

/// The longest expression, in letters.
const LONGEST: usize = 2_000;
/// Brackets within brackets, and operators in a row: what a parser recurses on.
const MOST_BRACKETS: usize = 16;
const MOST_SIGNS: usize = 200;
/// Mistakes that are told at once.
const TOLD: usize = 5;
/// Letters of a run-time error that are told.
const LONGEST_ERROR: usize = 200;

/// The language with its functions on letters, without its optional values: `a.?b` would answer for what is not known.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    // It can only fail where a name is taken, and these names are its own.
    let _ = env.add_extension(extensions::strings);
    Arc::new(env)
});

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistaken {
    /// Line and column, from 1, in letters; `None`: it is wrong as a whole.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what to do.
    pub reason: String,
}

impl std::fmt::Display for Mistaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// What an expression says of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It cannot be told, and why, as a sentence.
    Unknown(String),
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Program {
    expression: cel::IdedExpr,
    pub(super) reading: Reading,
}

impl Program {
    /// Compiles an expression and tries it on a client of whom everything is known; or every mistake in it. The parser
    /// recurses: for each bracket within another it takes about 100 KiB of the stack where nothing is optimised.
    pub(super) fn compile(text: &str) -> Result<Self, Vec<Mistaken>> {
        let whole = |reason: String| vec![Mistaken { place: None, reason }];
        bounded(text).map_err(whole)?;
        // The first error is real; those that follow are often its echo.
        let parsed = ENV.compile(text).map_err(|errors| {
            let first = errors.errors.into_iter().next();
            let (at, message) = first.map_or(((1, 1), String::new()), |error| (error.pos, error.msg));
            let from_one = |number: isize| usize::try_from(number).unwrap_or(1).max(1);
            vec![Mistaken { place: Some((from_one(at.0), from_one(at.1))), reason: syntax(&message) }]
        })?;
        let mut expression = parsed.expression().clone();
        let mut reading = Reading::default();
        let found = reading.read(&mut expression);
        if !reading.mistakes.is_empty() {
            let told = reading.mistakes.iter().take(TOLD);
            return Err(told.map(|mistake| placed(mistake, text, parsed.source_info())).collect());
        }
        if !found.fits(&Type::Flag) {
            return Err(whole(format!(
                "it gives {found}; it must be true (the client fails) or false (it passes)"
            )));
        }
        if !reading.looks {
            return Err(whole("it looks at nothing of the client, so it says the same of all".to_owned()));
        }
        let program = Self { expression, reading };
        let sample = Sample::full(&program.reading);
        match program.evaluate(&sample.sheet(&program.reading)) {
            Ok(_) => Ok(program),
            Err(error) => {
                Err(whole(format!("it fails on a client of whom everything is known: {}", said(&error))))
            }
        }
    }

    /// What it says of a client.
    pub(super) fn answer(&self, sheet: &Sheet<'_>) -> Answer {
        sheet.meter.reset();
        let result = self.evaluate(sheet);
        if sheet.meter.is_over() {
            return Answer::Unknown(format!(
                "The expression looked at more than {} elements of lists for this client, and was stopped.",
                super::MOST_STEPS
            ));
        }
        match result {
            Ok(true) => Answer::Yes,
            Ok(false) => Answer::No,
            Err(ExecutionError::FunctionError { function, message }) if function == UNKNOWN => {
                Answer::Unknown(message)
            }
            Err(ExecutionError::UndeclaredReference(name)) => Answer::Unknown(self.why(sheet, &name)),
            Err(ExecutionError::NoSuchKey(field)) => Answer::Unknown(format!(
                "The expression looks at {field}, and this client has none; ask has(…) first."
            )),
            Err(error) => {
                Answer::Unknown(format!("The expression failed for this client: {}.", said(&error)))
            }
        }
    }

    fn evaluate(&self, sheet: &Sheet<'_>) -> Result<bool, ExecutionError> {
        let frame = Frame { program: self, sheet };
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.set_variable_resolver(&frame);
        let value = Value::resolve_val(&self.expression, &context)?;
        value.downcast_ref::<CelBool>().map(|flag| *flag.inner()).ok_or_else(|| {
            ExecutionError::UnexpectedType {
                got: value.get_type().name().to_owned(),
                want: "bool".to_owned(),
            }
        })
    }

    /// Why a name has no value.
    fn why(&self, sheet: &Sheet<'_>, name: &str) -> String {
        let asked = match self.asked(name) {
            Some(Asked::Holds(pattern)) => sheet.holds(pattern).err(),
            Some(Asked::Can(operation)) => sheet.can(operation).err(),
            _ => sheet.list(name).err(),
        };
        asked.map_or_else(|| format!("{name} is not known."), |why| why.to_string())
    }

    /// What stands behind a name that [`super::typing`] gave.
    fn asked(&self, name: &str) -> Option<Asked<'_>> {
        let (what, at) = name.strip_prefix('@')?.split_once('_')?;
        let at: usize = at.parse().ok()?;
        Some(match what {
            "holds" => Asked::Holds(self.reading.patterns.get(at)?),
            "can" => Asked::Can(self.reading.operations.get(at)?),
            "matches" => Asked::Matches(self.reading.regexes.get(at)?),
            _ => return None,
        })
    }
}

enum Asked<'p> {
    Holds(&'p str),
    Can(&'p str),
    Matches(&'p regex::Regex),
}

/// What names mean while one expression is answered for one client.
struct Frame<'x> {
    program: &'x Program,
    sheet: &'x Sheet<'x>,
}

impl VariableResolver for Frame<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let sheet = self.sheet;
        match self.program.asked(name) {
            Some(Asked::Holds(pattern)) => {
                return sheet.holds(pattern).ok().map(|flag| CowVal::owned(CelBool::from(flag)));
            }
            Some(Asked::Can(operation)) => {
                return sheet.can(operation).ok().map(|flag| CowVal::owned(CelBool::from(flag)));
            }
            Some(Asked::Matches(regex)) => return Some(CowVal::owned(Matcher(regex))),
            None => {}
        }
        sheet.variable(name)
    }
}

fn bounded(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty; write what a client that fails has".to_owned());
    }
    let letters = text.chars().count();
    if letters > LONGEST {
        return Err(format!("is {letters} letters long; at most {LONGEST} are allowed"));
    }
    let (mut open, mut deepest, mut signs) = (0_usize, 0, 0);
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '!' | '-' | '+' | '*' | '/' | '%' | '?' | '.' | '<' | '>' | '=' | '&' | '|' => signs += 1,
            _ => {}
        }
        deepest = deepest.max(open);
    }
    if deepest > MOST_BRACKETS {
        return Err(format!("has {deepest} brackets within each other; at most {MOST_BRACKETS} are allowed"));
    }
    if signs > MOST_SIGNS {
        return Err(format!(
            "has {signs} signs between its words; at most {MOST_SIGNS} are allowed: split the check"
        ));
    }
    Ok(())
}

/// The parser's message in our words, without what it would have expected: that is a list of half the language.
fn syntax(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ");
    let short = message.split(" expecting ").next().unwrap_or(message);
    let unquoted = |text: &'_ str| -> String {
        let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
        inner.unwrap_or(text).trim().to_owned()
    };
    let quoted = |prefix: &str| short.strip_prefix(prefix).map(unquoted);
    if let Some(found) = quoted("mismatched input ").or_else(|| quoted("extraneous input ")) {
        return match found.as_str() {
            "<EOF>" => "not CEL: something is missing at the end".to_owned(),
            "and" => "not CEL: and is written &&".to_owned(),
            "or" => "not CEL: or is written ||".to_owned(),
            _ => format!("not CEL: {found} is not expected here"),
        };
    }
    match quoted("token recognition error at: ").as_deref() {
        Some("=") => "not CEL: = compares nothing; write ==".to_owned(),
        Some("&" | "|") => "not CEL: write && or ||".to_owned(),
        Some(found) if found.starts_with(['"', '\'']) => "not CEL: a text is not closed".to_owned(),
        Some(found) => format!("not CEL: {found} means nothing here"),
        None => format!("not CEL: {short}"),
    }
}

/// A mistake with its place.
fn placed(mistake: &Mistake, text: &str, source: &SourceInfo) -> Mistaken {
    let place = source.offset_for(mistake.node).map(|(start, _)| {
        let start = usize::try_from(start).unwrap_or(0);
        let before: Vec<char> = text.chars().take(start).collect();
        let line = before.iter().filter(|letter| **letter == '\n').count() + 1;
        let column = before.iter().rev().take_while(|letter| **letter != '\n').count() + 1;
        (line, column)
    });
    Mistaken { place, reason: mistake.reason.clone() }
}

/// A run-time error, cut when long.
fn said(error: &ExecutionError) -> String {
    error.to_string().chars().take(LONGEST_ERROR).collect()
}

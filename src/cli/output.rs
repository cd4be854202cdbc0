//! The one way to stdout and stderr.
//!
//! Enters: lines, tables, JSON. Leaves: bytes. Must never: panic because the reader went away, put a colour where no
//! terminal is, or pass on a control character of a name that somebody chose on the platform.

pub(super) mod csv;
mod table;

use std::{
    borrow::Cow,
    fmt::Display,
    io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write},
};

use serde::Serialize;

use crate::{config::Problems, domain::Severity};
pub(super) use table::{Cell, Column, Table};

/// Where the text beside a severity begins.
const INDENT: u16 = 10;
/// Where what is said below a name begins.
const NOTE: u16 = 2;

/// Stdout, and what is known of who reads it.
pub(super) struct Output {
    to: BufWriter<Stdout>,
    is_terminal: bool,
    colour: bool,
    closed: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        // https://no-color.org: set and not empty, whatever the value.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = is_terminal && !refused;
        Self { to: BufWriter::new(stdout), is_terminal, colour, closed: false }
    }

    /// A person reads.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Nobody reads any more, so there is no use in working out more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// One line of text.
    pub(super) fn line(&mut self, text: impl Display) -> io::Result<()> {
        let text = text.to_string();
        let text = printable(&text);
        self.write(|to| writeln!(to, "{text}"))
    }

    /// One line that begins with a severity.
    pub(super) fn severe(&mut self, severity: Severity, text: impl Display) -> io::Result<()> {
        let text = table::indented(&text.to_string(), INDENT, self.width());
        let text = text.trim_start();
        let word = severity.as_str();
        let space = usize::from(INDENT).saturating_sub(word.len());
        let colour = if self.colour { table::ansi(severity) } else { None };
        self.write(|to| match colour {
            Some(code) => writeln!(to, "\u{1b}[{code}m{word}\u{1b}[0m{:space$}{text}", ""),
            None => writeln!(to, "{word}{:space$}{text}", ""),
        })
    }

    /// A line that belongs below one with a severity.
    pub(super) fn below(&mut self, text: impl Display) -> io::Result<()> {
        let text = table::indented(&text.to_string(), INDENT, self.width());
        self.write(|to| writeln!(to, "{text}"))
    }

    /// A sentence below a name.
    pub(super) fn note(&mut self, text: impl Display) -> io::Result<()> {
        let text = table::indented(&text.to_string(), NOTE, self.width());
        self.write(|to| writeln!(to, "{text}"))
    }

    /// How wide the terminal is, if it is one.
    fn width(&self) -> Option<u16> {
        if self.is_terminal { table::terminal_width() } else { None }
    }

    /// A table with aligned columns, as wide as the terminal at most.
    pub(super) fn table(&mut self, table: &Table) -> io::Result<()> {
        let text = table.render(self.width(), self.colour);
        self.write(|to| writeln!(to, "{text}"))
    }

    /// One JSON document on one line.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.write(|to| {
            serde_json::to_writer(&mut *to, value)?;
            to.write_all(b"\n")
        })
    }

    /// Bytes that are for a program, as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(|to| to.write_all(bytes))
    }

    /// Hands over what is written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.write(Write::flush)
    }

    fn write(&mut self, act: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        match act(&mut self.to) {
            // `scopewarden … | head`: the reader has what it wanted.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result,
        }
    }
}

/// Tells why a command failed, on stderr.
pub(super) fn complain(error: &anyhow::Error) {
    let mut lines = Vec::new();
    if let Some(problems) = error.downcast_ref::<Problems>() {
        let count = problems.iter().count();
        let noun = if count == 1 { "problem" } else { "problems" };
        lines.push(format!("error: {count} {noun} in the configuration"));
        lines.extend(problems.iter().map(|problem| format!("  {problem}")));
    } else {
        lines.push(format!("error: {error}"));
        lines.extend(error.chain().skip(1).map(|cause| format!("  because: {cause}")));
    }
    for line in &lines {
        remark(line);
    }
}

/// Says on stderr what belongs to an answer and not into it.
pub(super) fn remark(line: &str) {
    // If it cannot be written there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}

/// `text` with every control character spelt out: a client's name may hold an escape code that rewrites the screen,
/// or a mark that turns the reading direction.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            clean.extend(c.escape_unicode());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// A control character, or a mark that turns the reading direction.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(printable("plain ünïcode → ok"), "plain ünïcode → ok");
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!(printable("x\u{202e}y\u{9b}z"), "x\\u{202e}y\\u{9b}z");
    }
}

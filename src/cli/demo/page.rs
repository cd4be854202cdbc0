//! Text on a terminal or in a pipe: headings, wrapped paragraphs, entries with a label.
//!
//! Enters: words. Leaves: lines no longer than the terminal is wide, coloured only where a person looks. Must never:
//! write an escape code into a pipe, or break a word that somebody may want to copy.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use comfy_table::Table;

use crate::domain::Severity;

/// Where nobody says how wide it is.
const USUAL_WIDTH: usize = 80;
/// Longer lines are hard to read, however wide the terminal is.
const WIDEST: usize = 108;
const INDENT: usize = 3;

/// Where the story is written.
pub(super) struct Page {
    out: Box<dyn Write + Send>,
    width: usize,
    coloured: bool,
}

/// How a piece of text looks on a terminal.
#[derive(Clone, Copy)]
pub(super) enum Look {
    Bold,
    Dim,
    Good,
    Bad,
    Severity(Severity),
}

impl Look {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim | Self::Severity(Severity::Info) => "2",
            Self::Good => "32",
            Self::Bad | Self::Severity(Severity::High) => "31",
            Self::Severity(Severity::Critical) => "1;31",
            Self::Severity(Severity::Medium) => "33",
            Self::Severity(Severity::Low) => "36",
        }
    }
}

impl Page {
    /// Standard output, as wide as its terminal.
    pub(super) fn standard_output() -> Self {
        let width = Table::new().width().map_or(USUAL_WIDTH, usize::from);
        Self::new(Box::new(io::stdout()), width, io::stdout().is_terminal() && !refuses_colour())
    }

    /// Standard error, for what went wrong.
    pub(super) fn standard_error() -> Self {
        Self::new(Box::new(io::stderr()), USUAL_WIDTH, io::stderr().is_terminal() && !refuses_colour())
    }

    /// Says nothing.
    pub(super) fn silent() -> Self {
        Self::new(Box::new(io::sink()), USUAL_WIDTH, false)
    }

    fn new(out: Box<dyn Write + Send>, width: usize, coloured: bool) -> Self {
        Self { out, width: width.clamp(40, WIDEST), coloured }
    }

    /// Text in a look; plain where there is no colour.
    pub(super) fn paint(&self, look: Look, text: &str) -> String {
        if self.coloured { format!("\x1b[{}m{text}\x1b[0m", look.code()) } else { text.to_owned() }
    }

    /// A severity in its colour.
    pub(super) fn severity(&self, severity: Severity) -> String {
        self.paint(Look::Severity(severity), severity.as_str())
    }

    /// The head of a chapter, with a rule to the right margin.
    pub(super) fn heading(&mut self, title: &str) -> io::Result<()> {
        let rule = "─".repeat(self.width.saturating_sub(title.chars().count() + 1));
        let (title, rule) = (self.paint(Look::Bold, title), self.paint(Look::Dim, &rule));
        self.line(&format!("\n{title} {rule}\n"))
    }

    /// An empty line.
    pub(super) fn gap(&mut self) -> io::Result<()> {
        self.line("")
    }

    /// Wrapped text.
    pub(super) fn paragraph(&mut self, text: &str) -> io::Result<()> {
        self.wrapped(&" ".repeat(INDENT), INDENT, text)
    }

    /// A label in a column of `column` characters, and wrapped text beside it.
    pub(super) fn entry(&mut self, label: &str, column: usize, text: &str) -> io::Result<()> {
        let hanging = INDENT + column + 2;
        let padding = " ".repeat(column.saturating_sub(visible(label)) + 2);
        self.wrapped(&format!("{}{label}{padding}", " ".repeat(INDENT)), hanging, text)
    }

    /// Text that is meant to be copied: never wrapped.
    pub(super) fn verbatim(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            self.line(&format!("{}{line}", " ".repeat(INDENT + 2)))?;
        }
        Ok(())
    }

    fn wrapped(&mut self, first: &str, hanging: usize, text: &str) -> io::Result<()> {
        let text = without_controls(text, self.coloured);
        let lines = wrap(&text, self.width.saturating_sub(hanging).max(20));
        for (number, line) in lines.iter().enumerate() {
            if number == 0 {
                self.line(&format!("{first}{line}"))?;
            } else {
                self.line(&format!("{}{line}", " ".repeat(hanging)))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        match writeln!(self.out, "{text}") {
            // `scopewarden demo | head`: the reader has what it wanted.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.out = Box::new(io::sink());
                Ok(())
            }
            result => result,
        }
    }
}

/// Text without what steers a terminal (but for colours, where they are wanted): people choose names on the platform.
fn without_controls(text: &str, coloured: bool) -> String {
    let mut pieces = text.split('\x1b');
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.strip_prefix('[').and_then(|piece| piece.split_once('m'));
        let is_colour =
            coloured && code.is_some_and(|(code, _)| code.chars().all(|c| c.is_ascii_digit() || c == ';'));
        clean.push_str(if is_colour { "\x1b" } else { "\\e" });
        clean.push_str(piece);
    }
    clean.retain(|c| c == '\x1b' || c.is_whitespace() || !c.is_control());
    clean
}

/// Whether `NO_COLOR` is set: a convention of terminals (no-color.org), no setting of ours.
fn refuses_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Lines of at most `width` visible characters; a longer word has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = visible(word);
        let line = lines.last_mut().filter(|line| line.is_empty() || used + 1 + length <= width);
        match line {
            Some(line) if line.is_empty() => {
                line.push_str(word);
                used = length;
            }
            Some(line) => {
                line.push(' ');
                line.push_str(word);
                used += 1 + length;
            }
            None => {
                lines.push(word.to_owned());
                used = length;
            }
        }
    }
    lines
}

/// Characters that take room: all but those of colour codes.
fn visible(text: &str) -> usize {
    let mut pieces = text.split('\x1b');
    let plain = pieces.next().map_or(0, |piece| piece.chars().count());
    let after_code = |piece: &str| piece.split_once('m').map_or(0, |(_, rest)| rest.chars().count());
    plain + pieces.map(after_code).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colour_codes_take_no_room() {
        assert_eq!(visible("\x1b[1;31mcritical\x1b[0m"), 8);
        assert_eq!(wrap("\x1b[1mab\x1b[0m cd ef", 5).len(), 2);
    }

    #[test]
    fn no_colour_means_no_escape() {
        let page = Page::new(Box::new(io::sink()), 80, false);
        assert_eq!(page.severity(Severity::Critical), "critical");
        let page = Page::new(Box::new(io::sink()), 80, true);
        assert_eq!(page.severity(Severity::Critical), "\x1b[1;31mcritical\x1b[0m");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(without_controls("a\x1b[2Jb\u{9b}c", true), "a\\e[2Jbc");
        let red = "\x1b[1;31mred\x1b[0m";
        assert_eq!(without_controls(red, true), red);
        assert_eq!(without_controls(red, false), "\\e[1;31mred\\e[0m");
    }

    proptest! {
        #[test]
        fn wrapping_keeps_every_word_and_the_width(text in "[a-z é]{0,200}", width in 20_usize..60) {
            let lines = wrap(&text, width);
            let kept: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            prop_assert_eq!(kept, text.split_whitespace().collect::<Vec<_>>());
            for line in lines {
                prop_assert!(line.chars().count() <= width || !line.contains(' '));
            }
        }
    }
}

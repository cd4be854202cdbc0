//! Aligned columns without lines, so that they can be read and searched alike.
//!
//! Enters: rows. Leaves: text. Must never: be wider than the terminal, or break the words of the columns that matter
//! for the sake of those that do not.

use comfy_table::{CellAlignment, Color, ContentArrangement, presets};

use super::printable;
use crate::domain::Severity;

/// Below this many columns the terminal is narrow.
const NARROW: u16 = 100;

/// Whether a column is there on a narrow terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Need {
    /// Always.
    Always,
    /// Only where there is room; JSON has it anyway.
    Room,
}

/// What stands in one place.
#[derive(Clone, Debug)]
pub(in crate::cli) enum Cell {
    Text(String),
    Number(String),
    Severity(Severity),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<Severity> for Cell {
    fn from(severity: Severity) -> Self {
        Self::Severity(severity)
    }
}

/// Columns with a title each, and rows.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Table {
    columns: &'static [(&'static str, Need)],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(in crate::cli) fn new(columns: &'static [(&'static str, Need)]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(in crate::cli) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell for each column");
        self.rows.push(cells.into());
    }

    /// The text, without a last newline. No `width`: as wide as it gets.
    pub(super) fn render(&self, width: Option<u16>, colour: bool) -> String {
        let narrow = width.is_some_and(|width| width < NARROW);
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|&column| !narrow || self.columns[column].1 == Need::Always)
            .collect();
        let mut table = comfy_table::Table::new();
        // What the terminal can do is decided by the caller.
        table.load_style(presets::NOTHING).force_no_tty();
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        if colour {
            table.enforce_styling();
        }
        table.set_header(shown.iter().map(|&column| self.columns[column].0.to_uppercase()));
        for row in &self.rows {
            table.add_row(shown.iter().filter_map(|&column| row.get(column)).map(|cell| draw(cell, colour)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt()
    }
}

fn draw(cell: &Cell, colour: bool) -> comfy_table::Cell {
    match cell {
        Cell::Text(text) => comfy_table::Cell::new(printable(text)),
        Cell::Number(number) => comfy_table::Cell::new(number).set_alignment(CellAlignment::Right),
        Cell::Severity(severity) => {
            let cell = comfy_table::Cell::new(severity.as_str());
            match hue(*severity).filter(|_| colour) {
                Some((_, hue)) => cell.fg(hue),
                None => cell,
            }
        }
    }
}

/// The colour of a severity: for an escape code, and for the table.
fn hue(severity: Severity) -> Option<(&'static str, Color)> {
    match severity {
        Severity::Critical => Some(("35", Color::DarkMagenta)),
        Severity::High => Some(("31", Color::DarkRed)),
        Severity::Medium => Some(("33", Color::DarkYellow)),
        Severity::Low => Some(("36", Color::DarkCyan)),
        Severity::Info => None,
    }
}

/// The escape code of a severity's colour.
pub(super) fn ansi(severity: Severity) -> Option<&'static str> {
    hue(severity).map(|(code, _)| code)
}

/// How wide the terminal on stdout is. One that says it has no width (as some of CI do) is taken as 80.
pub(super) fn terminal_width() -> Option<u16> {
    comfy_table::Table::new().width().map(|width| if width < 20 { 80 } else { width })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            ("severity", Need::Always),
            ("client", Need::Always),
            ("id", Need::Room),
            ("what", Need::Always),
        ]);
        for severity in [Severity::Critical, Severity::Info] {
            table.row([
                severity.into(),
                "Reporting_Engine_ReadOnly".into(),
                "7b1e6f0c-2a55-4a5e-9d53-3f8f0f9a1c11".into(),
                "holds the general permission admin, which allows everything everywhere, by role Admin"
                    .into(),
            ]);
        }
        table
    }

    #[test]
    fn a_pipe_gets_one_line_a_row_and_no_escape_code() {
        let text = table().render(None, false);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains('\u{1b}'));
        assert!(text.starts_with("SEVERITY  CLIENT                     ID  "), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn a_narrow_terminal_gets_fewer_columns_and_whole_names() {
        let text = table().render(Some(60), false);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("Reporting_Engine_ReadOnly") && !text.contains("7b1e6f0c"), "{text}");
    }

    #[test]
    fn a_wide_terminal_gets_everything() {
        let text = table().render(Some(200), false);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("7b1e6f0c-2a55-4a5e-9d53-3f8f0f9a1c11"), "{text}");
    }

    #[test]
    fn only_severities_are_coloured() {
        let text = table().render(Some(200), true);
        assert!(text.contains('\u{1b}'), "{text}");
        assert!(!text.lines().nth(2).unwrap().contains('\u{1b}'), "info has no colour: {text}");
    }
}

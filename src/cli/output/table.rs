//! Aligned columns without lines, so that they can be read and searched alike.
//!
//! Enters: rows. Leaves: text. Must never: be wider than the terminal as long as its words are not. What does not fit
//! side by side is put below one another.

use comfy_table::{CellAlignment, Color, ColumnConstraint, ContentArrangement, Width, presets};

use super::printable;
use crate::domain::Severity;

/// Below this width a terminal is narrow.
const NARROW: u16 = 100;
/// Prose in a narrower column than this cannot be read.
const PROSE: usize = 20;
/// Between two columns.
const SPACE: u16 = 2;

/// One column.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Column {
    title: &'static str,
    /// Longer than its column most of the time; names are not to be broken.
    is_prose: bool,
    /// Left out on a narrow terminal. JSON has it.
    is_extra: bool,
}

impl Column {
    /// Names and numbers.
    pub(in crate::cli) const fn new(title: &'static str) -> Self {
        Self { title, is_prose: false, is_extra: false }
    }

    /// Sentences and lists, which may be broken anywhere.
    pub(in crate::cli) const fn prose(title: &'static str) -> Self {
        Self { title, is_prose: true, is_extra: false }
    }

    /// Left out on a narrow terminal.
    pub(in crate::cli) const fn extra(self) -> Self {
        Self { is_extra: true, ..self }
    }
}

/// What stands in one place.
#[derive(Clone, Debug)]
pub(in crate::cli) enum Cell {
    Text(String),
    Number(String),
    Severity(Severity),
}

impl Cell {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Severity(severity) => severity.as_str(),
        }
    }

    fn draw(&self, colour: bool) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(printable(self.text()));
        match self {
            Self::Text(_) => cell,
            Self::Number(_) => cell.set_alignment(CellAlignment::Right),
            Self::Severity(severity) => match hue(*severity).filter(|_| colour) {
                Some((_, hue)) => cell.fg(hue),
                None => cell,
            },
        }
    }
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
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(in crate::cli) fn new<const N: usize>(columns: [Column; N]) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(in crate::cli) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell for each column");
        self.rows.push(cells.into());
    }

    /// The text, without a last newline. No `width`: no terminal, so every column and one line a row.
    pub(super) fn render(&self, width: Option<u16>, colour: bool) -> String {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let Some(width) = width else { return self.side_by_side(&all, None, colour) };
        let shown: Vec<usize> = all
            .into_iter()
            .filter(|&column| width >= NARROW || !self.columns[column].is_extra)
            .filter(|&column| self.cells(column).any(|cell| !cell.text().is_empty()))
            .collect();
        let least: usize = shown.iter().map(|&column| self.least_width(column) + usize::from(SPACE)).sum();
        if least <= usize::from(width) + usize::from(SPACE) {
            self.side_by_side(&shown, Some(width), colour)
        } else {
            self.one_below_another(&shown, width, colour)
        }
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().filter_map(move |row| row.get(column))
    }

    /// The width at which no word of a column is broken, or at which prose can be read.
    fn least_width(&self, column: usize) -> usize {
        let title = self.columns[column].title;
        let cells = self.cells(column).map(Cell::text);
        let words = std::iter::once(title).chain(cells).flat_map(str::split_whitespace);
        let longest = words.map(|word| printable(word).chars().count()).max().unwrap_or(0);
        if self.columns[column].is_prose { longest.min(PROSE) } else { longest }
    }

    fn side_by_side(&self, shown: &[usize], width: Option<u16>, colour: bool) -> String {
        let mut table = plain(width, colour);
        table.set_header(shown.iter().map(|&column| self.columns[column].title.to_uppercase()));
        for row in &self.rows {
            table.add_row(shown.iter().filter_map(|&column| row.get(column)).map(|cell| cell.draw(colour)));
        }
        for (place, &column) in shown.iter().enumerate() {
            let space = if place + 1 < shown.len() { SPACE } else { 0 };
            let least = u16::try_from(self.least_width(column)).unwrap_or(u16::MAX);
            if let Some(drawn) = table.column_mut(place) {
                drawn.set_padding((0, space));
                if width.is_some() {
                    let bound = Width::Fixed(least.saturating_add(space));
                    drawn.set_constraint(ColumnConstraint::LowerBoundary(bound));
                }
            }
        }
        table.trim_fmt()
    }

    /// Each row as a block: its first two cells on a line, the others below with their titles.
    fn one_below_another(&self, shown: &[usize], width: u16, colour: bool) -> String {
        let (head, rest) = shown.split_at(shown.len().min(2));
        let mut blocks = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let mut block = plain(Some(width), colour);
            block.add_row(head.iter().filter_map(|&column| row.get(column)).map(|cell| cell.draw(colour)));
            let mut below = plain(Some(width), colour);
            for &column in rest {
                if let Some(cell) = row.get(column).filter(|cell| !cell.text().is_empty()) {
                    let title = format!("  {}", self.columns[column].title);
                    below.add_row([
                        comfy_table::Cell::new(title),
                        comfy_table::Cell::new(printable(cell.text())),
                    ]);
                }
            }
            for table in [&mut block, &mut below] {
                for column in table.column_iter_mut() {
                    column.set_padding((0, SPACE));
                }
            }
            blocks.push([block.trim_fmt(), below.trim_fmt()].join("\n"));
        }
        blocks.join("\n")
    }
}

/// A table without lines. What the terminal can do has been found out already.
fn plain(width: Option<u16>, colour: bool) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    if colour {
        table.enforce_styling();
    }
    table
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

/// How wide the terminal on stdout is. One that claims to have no width is taken as 80.
pub(super) fn terminal_width() -> Option<u16> {
    comfy_table::Table::new().width().map(|width| if width < 20 { 80 } else { width })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "Reporting_Engine_ReadOnly";
    const ID: &str = "7b1e6f0c-2a55-4a5e-9d53-3f8f0f9a1c11";

    fn table() -> Table {
        let mut table = Table::new([
            Column::new("severity"),
            Column::new("client"),
            Column::new("id").extra(),
            Column::prose("what"),
            Column::new("note"),
        ]);
        for severity in [Severity::Critical, Severity::Info] {
            table.row([
                severity.into(),
                NAME.into(),
                ID.into(),
                "holds the general permission admin, which allows everything everywhere, by role Admin"
                    .into(),
                "".into(),
            ]);
        }
        table
    }

    #[test]
    fn a_pipe_gets_every_column_one_line_a_row_and_no_escape_code() {
        let text = table().render(None, false);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains('\u{1b}'));
        assert!(text.starts_with("SEVERITY  CLIENT                     ID  "), "{text}");
        assert!(text.lines().next().unwrap().ends_with("NOTE"), "{text}");
    }

    #[test]
    fn at_any_width_nothing_is_wider_and_no_name_is_broken() {
        for width in 40..220 {
            let text = table().render(Some(width), false);
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
            assert_eq!(text.matches(NAME).count(), 2, "{width}:\n{text}");
            let ids = if width < NARROW { 0 } else { 2 };
            assert_eq!(text.matches(ID).count(), ids, "{width}:\n{text}");
        }
    }

    #[test]
    fn a_wide_terminal_gets_one_line_a_row_without_empty_columns() {
        let text = table().render(Some(200), false);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains("NOTE"), "{text}");
    }

    #[test]
    fn what_does_not_fit_is_put_below() {
        let text = table().render(Some(40), false);
        assert!(text.starts_with(&format!("critical  {NAME}\n  what  holds the general")), "{text}");
    }

    #[test]
    fn only_severities_are_coloured() {
        let text = table().render(Some(200), true);
        assert_eq!(
            text.lines().filter(|line| line.contains('\u{1b}')).count(),
            1,
            "info has no colour: {text}"
        );
    }
}

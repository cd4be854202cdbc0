//! Cells and lines of CSV by RFC 4180: comma, CRLF, quotes where they are needed.
//!
//! Enters: texts that somebody chose on the platform. Leaves: lines that a spreadsheet shows and does not compute: a text
//! that begins like a formula gets an apostrophe in front, as OWASP advises. What programs need unchanged is in JSON.

use csv::{Terminator, WriterBuilder};

use super::is_hidden;

/// One line. Every cell is a text; a number that we counted has no sign and stays as it is.
pub(in crate::cli) fn line(cells: &[String]) -> Result<Vec<u8>, anyhow::Error> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells.iter().map(|cell| guarded(cell)))?;
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

/// The text, with an apostrophe in front if a spreadsheet could take it for a formula: after spaces too, which some
/// programs drop, and for the wide forms, which some turn into the narrow ones.
fn guarded(text: &str) -> String {
    const BEGINS_A_FORMULA: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    let is_odd = text.starts_with(['\t', '\r', '\n']);
    let needs_it = is_odd || text.trim_start().starts_with(BEGINS_A_FORMULA);
    let mut safe = String::with_capacity(text.len() + 1);
    safe.extend(needs_it.then_some('\''));
    for letter in text.chars() {
        // What ends a line or a column is quoted; anything else that steers a terminal is spelt out.
        if is_hidden(letter) && !"\t\r\n".contains(letter) {
            safe.extend(letter.escape_unicode());
        } else {
            safe.push(letter);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        let record = reader.records().next().unwrap().unwrap();
        record.iter().map(str::to_owned).collect()
    }

    #[test]
    fn formulas_are_texts() {
        for text in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "  =1",
            "\u{ff1d}1",
            "=HYPERLINK(\"x\")",
            "\u{a0}=1",
        ] {
            let cells = read(&line(&[text.to_owned(), "b".to_owned()]).unwrap());
            assert_eq!(cells[0], format!("'{text}"), "{text:?}");
        }
        for text in ["plain", "a=b", "a-b", "12", "", "'quoted", "ünïcode"] {
            assert_eq!(read(&line(&[text.to_owned(), "b".to_owned()]).unwrap())[0], text);
        }
    }

    #[test]
    fn nothing_steers_the_terminal_of_who_looks_at_it() {
        let cells = read(&line(&["a\u{1b}[2Jb\u{202e}c".to_owned(), "b".to_owned()]).unwrap());
        assert_eq!(cells[0], "a\\u{1b}[2Jb\\u{202e}c");
    }

    #[test]
    fn quotes_commas_and_lines_are_quoted() {
        let bytes = line(&["a,b".to_owned(), "say \"hi\"".to_owned(), "two\nlines".to_owned()]).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n");
    }

    proptest! {
        #[test]
        fn every_text_comes_back_whole_and_no_cell_is_a_formula(
            cells in prop::collection::vec("\\PC{0,12}|[=+@,\"\r\n\t -]{0,6}", 2..6)
        ) {
            let back = read(&line(&cells).unwrap());
            prop_assert_eq!(back.len(), cells.len());
            for (back, cell) in back.iter().zip(&cells) {
                prop_assert!(!back.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
                let with_apostrophe = format!("'{cell}");
                prop_assert!(back == cell || *back == with_apostrophe);
            }
        }
    }
}

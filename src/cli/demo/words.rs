//! Small pieces of English: lists and numbers.
//!
//! Enters: values. Leaves: text. Must never: say more than the value does.

/// The most entries of a list that are named.
const NAMED: usize = 4;

/// `a`, `a and b`, `a, b and c`; of a longer list the first four and how many more.
pub(super) fn list(words: &[&str]) -> String {
    if words.len() > NAMED {
        return format!("{} and {} more", words[..NAMED].join(", "), count(words.len() - NAMED));
    }
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `1 finding`, `2 findings`.
pub(super) fn plural(number: usize, word: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {word}{ending}", count(number))
}

/// `1,465`.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// With a capital letter first.
pub(super) fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_name_a_few_and_count_the_rest() {
        assert_eq!(list(&[]), "");
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(list(&["a", "b", "c", "d"]), "a, b, c and d");
        assert_eq!(list(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
    }

    #[test]
    fn numbers_are_grouped_and_words_follow_them() {
        assert_eq!(
            ["0", "12", "999", "1,000", "1,234,567"].map(str::to_owned),
            [count(0), count(12), count(999), count(1000), count(1_234_567)]
        );
        assert_eq!((plural(1, "role"), plural(0, "role")), ("1 role".to_owned(), "0 roles".to_owned()));
    }
}

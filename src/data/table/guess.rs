//! What the first lines of a file say about it: the delimiter, and whether there are names.

use crate::data::number::odd_number;

/// Delimiters that are looked for, the likeliest first.
const DELIMITERS: [u8; 5] = [b',', b';', b'\t', b'|', b' '];

/// The delimiter of the file that starts with `start`: the first of the usual ones that cuts its
/// first lines into equally many fields, at least two; else the one that the first line has most of.
pub(super) fn delimiter(start: &[u8], whole: bool) -> u8 {
    const LINES: usize = 8;
    let text = String::from_utf8_lossy(start);
    let mut lines: Vec<&str> =
        text.split(['\n', '\r']).filter(|line| !line.trim().is_empty()).take(LINES).collect();
    // The last line may have been cut in the middle.
    if !whole && lines.len() > 1 && lines.len() < LINES {
        lines.pop();
    }
    let counts = |delimiter: u8| -> Vec<usize> {
        lines.iter().map(|line| unquoted(line.trim(), delimiter)).collect()
    };
    let even = DELIMITERS.into_iter().find(|&delimiter| {
        let counts = counts(delimiter);
        counts.first().is_some_and(|&first| first > 0 && counts.iter().all(|&n| n == first))
    });
    let most = || {
        let mut best = (b',', 0);
        for delimiter in DELIMITERS {
            let count = counts(delimiter).first().copied().unwrap_or(0);
            // A line of words has many spaces, whatever delimits it.
            if count > best.1 && (delimiter != b' ' || best.1 == 0) {
                best = (delimiter, count);
            }
        }
        best.0
    };
    even.unwrap_or_else(most)
}

/// How often a delimiter stands in a line, outside of quotes.
fn unquoted(line: &str, delimiter: u8) -> usize {
    let mut quoted = false;
    let mut count = 0;
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        count += usize::from(byte == delimiter && !quoted);
    }
    count
}

/// Whether a first line holds data instead of names: each of its fields is a number, or one as people
/// write it.
pub(super) fn is_data(fields: &[&str]) -> bool {
    let number = |field: &&str| field.parse::<f64>().is_ok() || odd_number(field).is_some();
    fields.iter().all(number)
}

/// The first line of the tables that scikit-learn brings along: rows, features, and names of classes.
#[derive(Debug, PartialEq)]
pub(super) struct Counts {
    /// How many rows follow.
    pub(super) rows: usize,
    /// How many features a row has before its class number.
    pub(super) features: usize,
    /// The names of the classes.
    pub(super) classes: Vec<String>,
}

impl Counts {
    /// Such a first line, if it is one by itself and by the line that follows it, `row`: that has a field
    /// for each feature, and then the number of a class.
    pub(super) fn of(first: &[&str], row: &[String]) -> Option<Self> {
        let [rows, features, classes @ ..] = first else { return None };
        let (rows, features) = (rows.parse().ok()?, features.parse().ok()?);
        let words = classes.iter().all(|name| name.parse::<f64>().is_err() && !name.is_empty());
        let class = row.last()?.parse::<usize>().ok()?;
        let numbers = row.iter().all(|field| field.parse::<f64>().is_ok());
        let fits = classes.len() >= 2 && words && numbers && class < classes.len();
        let classes = classes.iter().map(|&name| name.to_owned()).collect();
        (fits && row.len() == usize::saturating_add(features, 1)).then_some(Self {
            rows,
            features,
            classes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_seen() {
        for (text, expected) in [
            ("a,b,c\n1,2,3\n", b','),
            ("a;b;c\n1,5;2,5;3,5\n", b';'),
            ("a\tb\n1\t2\n", b'\t'),
            ("59 2 32.1\n48 1 21.6\n", b' '),
            ("name,two words\nx,three words here\n", b','),
            ("\"a;b\",c\n1,2\n", b','),
            ("one\n1\n2\n", b','),
            ("a|b\n1|2\n", b'|'),
            ("a b,c\n1,2 3\n4,5\n", b','),
            ("x;y z;w\n1;2;3\n", b';'),
            ("", b','),
        ] {
            assert_eq!(
                char::from(delimiter(text.as_bytes(), true)),
                char::from(expected),
                "{text:?}"
            );
        }
        // Cut in the middle of a line.
        assert_eq!(delimiter(b"a;b;c\n1;2;3\n1;", false), b';');
    }

    #[test]
    fn lines_of_counts_are_told_from_names() {
        let row = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let of = |first: &str, second: &str| {
            Counts::of(&first.split(',').collect::<Vec<_>>(), &row(second))
        };
        let classes = vec!["setosa".to_owned(), "virginica".to_owned()];
        let expected = Counts { rows: 150, features: 4, classes };
        assert_eq!(of("150,4,setosa,virginica", "5.1,3.5,1.4,0.2,0"), Some(expected));
        for (first, second) in [
            ("150,4,setosa,virginica", "5.1,3.5,1.4,0.2,2"),
            ("150,4,setosa,virginica", "5.1,3.5,1.4,0"),
            ("150,4,setosa,virginica", "5.1,3.5,1.4,0.2,x"),
            ("150,3,setosa,7", "5.1,3.5,1.4,1"),
            ("n,4,setosa,virginica", "5.1,3.5,1.4,0.2,0"),
            ("150,4,setosa", "5.1,3.5,1.4,0.2,0"),
        ] {
            assert_eq!(of(first, second), None, "{first} / {second}");
        }
    }
}

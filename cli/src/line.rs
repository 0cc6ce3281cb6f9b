//! Lines of CSV files.

/// A line of so many empty fields. A single one is quoted: readers pass over lines with nothing in them.
pub fn empty(fields: usize) -> String {
    match fields {
        0 | 1 => "\"\"".into(),
        _ => ",".repeat(fields - 1),
    }
}

/// The line of these names.
pub fn header(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",")
}

/// A field of a CSV file.
pub fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) || text.trim() != text {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let cases =
            [("a", "a"), ("a b", "a b"), ("a,b", "\"a,b\""), ("\"", "\"\"\"\""), (" a", "\" a\"")];
        for (text, expected) in cases {
            assert_eq!(quoted(text), expected);
        }
    }
}

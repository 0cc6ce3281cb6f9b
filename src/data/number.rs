//! Numbers as people and spreadsheets write them, which are not numbers to a computer.

/// What makes `text` a number to a person and not to [`str::parse`]: `a percent sign`. `None` if it is a
/// plain number, or no number at all.
///
/// In a column of numbers such a field is a mistake of the file's. As a category it would be learned as a
/// word, and without its mark it could be the wrong number: `1,234` is 1234 in London and 1.234 in Berlin.
pub(super) fn odd_number(text: &str) -> Option<&'static str> {
    if text.parse::<f32>().is_ok() {
        return None;
    }
    let (text, in_brackets) = match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let is_currency = |c: char| "$€£¥₹₩₽₺¢".contains(c);
    let is_share = |c: char| "%‰".contains(c);
    let is_sign = |c: char| "+-−".contains(c);
    // A sign may stand before the currency or behind it.
    let text = text.trim().trim_start_matches(is_sign);
    let bare = text.trim_start_matches(is_currency).trim_end_matches(is_currency);
    let has_currency = bare.len() < text.len();
    let number = bare.trim_end_matches(is_share);
    let has_share = number.len() < bare.len();
    let number = number.trim().trim_start_matches(is_sign);
    let grouped = separators(number);
    let plain = is_plain(number);
    match (grouped, plain) {
        (Some(why), _) => Some(why),
        (None, true) if has_share => Some("a percent sign"),
        (None, true) if has_currency => Some("a currency sign"),
        (None, true) if in_brackets => Some("brackets around it"),
        // Only the sign was odd: the typographer's minus, or two of them.
        (None, true) => Some("a sign that is no plain + or -"),
        (None, false) => None,
    }
}

/// Digits, perhaps with a point and an exponent; not `inf` or `nan`.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.parse::<f32>().is_ok()
}

/// Groups of three digits, or a decimal comma.
fn separators(text: &str) -> Option<&'static str> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let decimals = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    const GROUPS: [char; 9] = [',', '.', ' ', '\'', '’', '_', '\u{a0}', '\u{202f}', '\u{2009}'];
    for mark in GROUPS {
        let point = if mark == '.' { ',' } else { '.' };
        // Swiss and French groups go with a decimal comma too.
        let comma = if mark == ',' { '.' } else { ',' };
        let cut = text.split_once([point, comma]);
        let (whole, fraction) = cut.unwrap_or((text, ""));
        let mut groups = whole.split(mark);
        let first = groups.next().unwrap_or_default();
        let rest: Vec<&str> = groups.collect();
        // A point between two groups is a plain number, and is not asked about.
        let is_grouped = !rest.is_empty()
            && digits(first)
            && first.len() <= 3
            && rest.iter().all(|group| group.len() == 3 && digits(group))
            && decimals(fraction);
        if is_grouped {
            return Some(match mark {
                ',' if rest.len() == 1 && cut.is_none() => "a comma",
                _ => "marks between groups of digits",
            });
        }
    }
    let (whole, fraction) = text.split_once(',')?;
    let mantissa = fraction.split(['e', 'E']).next().unwrap_or_default();
    let is_decimal = decimals(whole)
        && (digits(mantissa) || digits(whole) && mantissa.is_empty())
        && format!("{whole}.{fraction}").parse::<f32>().is_ok();
    is_decimal.then_some("a comma")
}

#[cfg(test)]
mod tests {
    use super::odd_number;

    #[test]
    fn numbers_of_people_are_told_from_words_and_plain_numbers() {
        for (text, why) in [
            ("1,234", "a comma"),
            ("3,14", "a comma"),
            ("-0,5", "a comma"),
            (",5", "a comma"),
            ("5,", "a comma"),
            ("1,5e-3", "a comma"),
            ("1,234,567", "marks between groups of digits"),
            ("1,234.5", "marks between groups of digits"),
            ("1.234.567", "marks between groups of digits"),
            ("1.234,56", "marks between groups of digits"),
            ("1 234", "marks between groups of digits"),
            ("12 345,6", "marks between groups of digits"),
            ("1\u{a0}234", "marks between groups of digits"),
            ("1\u{202f}234,5", "marks between groups of digits"),
            ("1'234'567.8", "marks between groups of digits"),
            ("1’234", "marks between groups of digits"),
            ("1_000", "marks between groups of digits"),
            ("12%", "a percent sign"),
            ("-1.5 %", "a percent sign"),
            ("3‰", "a percent sign"),
            ("$5", "a currency sign"),
            ("-$5.00", "a currency sign"),
            ("5 €", "a currency sign"),
            ("€1.234,50", "marks between groups of digits"),
            ("(5)", "brackets around it"),
            ("−5", "a sign that is no plain + or -"),
        ] {
            assert_eq!(odd_number(text), Some(why), "{text:?}");
        }
        for text in [
            "",
            "5",
            "-5",
            "+5.5",
            "1e5",
            ".5",
            "5.",
            "inf",
            "nan",
            "NaN",
            "1.234",
            "word",
            "1 2",
            "12 34",
            "1,2,3",
            "1.2.3",
            "1.2.3.4",
            "10-20",
            "2024-01-02",
            "12:30",
            "5kg",
            "1/2",
            "1o1",
            "%",
            "$",
            "-",
            ",",
            "()",
            "a,b",
            "1,234,56",
            "0x10",
            "(a)",
            "$x",
            "-inf",
            "−nan",
            "5 5",
            "3rd",
            "A1",
            "1 234 5",
        ] {
            assert_eq!(odd_number(text), None, "{text:?}");
        }
    }
}

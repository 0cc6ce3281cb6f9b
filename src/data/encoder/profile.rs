//! What a column of text holds, and what it is taken for.

use std::collections::HashMap;

use super::date::Date;
use super::options::ColumnType;
use crate::data::number::odd_number;
use crate::data::origin::excerpt;
use crate::data::table::Table;

/// Words that stand for missing values.
#[derive(Debug)]
pub(super) struct Words {
    words: Vec<String>,
    longest: usize,
}

impl Words {
    pub(super) fn new(words: &[String]) -> Self {
        let words: Vec<String> = words.iter().map(|word| word.trim().to_owned()).collect();
        let longest = words.iter().map(String::len).max().unwrap_or(0);
        Self { words, longest }
    }

    /// Whether a field holds one of them.
    pub(super) fn contain(&self, field: &str) -> bool {
        field.len() <= self.longest
            && self.words.iter().any(|word| word.eq_ignore_ascii_case(field))
    }
}

/// What the fields of a column are.
pub(super) struct Profile<'a> {
    /// Fields with a value.
    pub(super) present: usize,
    /// Fields without one.
    missing: usize,
    /// How often each value comes.
    pub(super) values: HashMap<&'a str, usize>,
    numbers: usize,
    whole_numbers: usize,
    dates: usize,
    /// The first field that is neither a number (to people, at least) nor a date.
    word: Option<&'a str>,
    /// The first field with a value.
    pub(super) first: &'a str,
}

/// What a column is taken for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Guess {
    Type(ColumnType),
    /// This value in all rows, or none (empty): it tells rows apart in no way.
    Constant(String),
    /// Words of which few come twice, and what can be said of them.
    Text(String),
}

impl<'a> Profile<'a> {
    pub(super) fn of(table: &'a Table, column: usize, missing: &Words) -> Self {
        let mut profile = Self {
            present: 0,
            missing: 0,
            values: HashMap::new(),
            numbers: 0,
            whole_numbers: 0,
            dates: 0,
            word: None,
            first: "",
        };
        for field in table.fields(column) {
            if missing.contain(field) {
                profile.missing += 1;
            } else {
                profile.push(field);
            }
        }
        profile
    }

    fn push(&mut self, field: &'a str) {
        if self.present == 0 {
            self.first = field;
        }
        self.present += 1;
        *self.values.entry(field).or_insert(0) += 1;
        if let Ok(number) = field.parse::<f64>() {
            self.numbers += 1;
            self.whole_numbers += usize::from(number.fract() == 0.0);
        } else if Date::parse(field).is_some() {
            self.dates += 1;
        } else if odd_number(field).is_none() {
            self.word.get_or_insert(field);
        }
    }

    /// What the column is taken for, unless it is to be of a given type.
    pub(super) fn guess(&self, wish: Option<ColumnType>, name: &str) -> Guess {
        let different = self.values.len();
        if let (Some(wish), true) = (wish, self.present > 0) {
            return Guess::Type(wish);
        }
        if self.present == 0 || different == 1 && self.missing == 0 {
            return Guess::Constant(self.first.to_owned());
        }
        // Numbers that only people read are named by the error of reading them.
        if self.numbers == self.present || self.word.is_none() && self.dates == 0 {
            return Guess::Type(ColumnType::Number);
        }
        if self.dates == self.present {
            return Guess::Type(ColumnType::Date);
        }
        if !self.is_text() {
            return Guess::Type(ColumnType::Category);
        }
        Guess::Text(format!(
            "{:?} has {different} different values in {} rows, such as {:?}{}",
            excerpt(name),
            self.present,
            excerpt(self.first),
            self.hint()
        ))
    }

    /// Whether so few values come twice that each says nothing about other rows: more than half of the
    /// rows have one of their own, or, where there are more than any column of categories keeps, a fifth.
    fn is_text(&self) -> bool {
        let different = self.values.len();
        let many = |few: usize, share: usize| {
            different > few && different.saturating_mul(share) > self.present
        };
        many(10, 2) || many(64, 5)
    }

    /// Whether, as a target, it looks like classes.
    pub(super) fn holds_classes(&self) -> bool {
        const MOST: usize = 20;
        let different = self.values.len();
        let whole = self.whole_numbers == self.present;
        let few = different <= MOST && different.saturating_mul(5) <= self.present;
        if self.numbers == self.present {
            whole && few
        } else {
            self.word.is_some() || self.dates > 0
        }
    }

    /// Whether it has too many values to be classes.
    pub(super) fn is_text_target(&self) -> bool {
        const MOST: usize = 1000;
        self.numbers < self.present && self.is_text() || self.values.len() > MOST
    }

    /// What a column of text might be besides: one of numbers with a few words in it.
    fn hint(&self) -> String {
        match self.word {
            Some(word) if self.numbers.saturating_mul(2) > self.present => format!(
                "; {} of its {} values are numbers: if {:?} stands for a missing one, add it to the \
                 missing words",
                self.numbers,
                self.present,
                excerpt(word)
            ),
            _ if self.dates.saturating_mul(2) > self.present => format!(
                "; {} of its {} values are dates, which all must be, as 2024-12-31",
                self.dates, self.present
            ),
            _ => String::new(),
        }
    }

    /// Whether all values are numbers.
    pub(super) fn is_numeric(&self) -> bool {
        self.numbers == self.present
    }

    /// The values, numbers by their size and words by the alphabet; those of more than `most` values that
    /// come least often are left out (of equals, the later ones).
    pub(super) fn frequent(&self, most: usize) -> Vec<String> {
        let mut values: Vec<(&str, usize)> =
            self.values.iter().map(|(&value, &count)| (value, count)).collect();
        values.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        values.truncate(most);
        let mut values: Vec<&str> = values.into_iter().map(|(value, _)| value).collect();
        if self.is_numeric() {
            let number = |value: &str| value.parse::<f64>().unwrap_or(0.0);
            values.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b)));
        } else {
            values.sort_unstable();
        }
        values.into_iter().map(str::to_owned).collect()
    }
}

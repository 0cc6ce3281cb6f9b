//! What the crate's first page says of waiting: natively every `async` call has a twin that blocks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The text of every source file.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// How often each name is defined after `keyword`.
fn names(sources: &[String], keyword: &str) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    let lines = sources.iter().flat_map(|text| text.lines());
    for rest in lines.filter_map(|line| line.trim_start().strip_prefix(keyword)) {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        *names.entry(name).or_insert(0) += 1;
    }
    names
}

#[test]
fn every_async_call_has_a_blocking_twin() {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let (calls, others) = (names(&texts, "pub async fn "), names(&texts, "pub fn "));
    assert!(calls.values().sum::<usize>() > 30, "{calls:?}");
    for (name, count) in calls {
        let twins = others.get(&format!("{name}_blocking")).copied().unwrap_or(0);
        assert_eq!(twins, count, "twins of `{name}`");
    }
}

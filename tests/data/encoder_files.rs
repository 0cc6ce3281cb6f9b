//! Encoders out of files: the same as they went in, or refused.

use wgrad::data::{Encoder, EncoderOptions, Table};

fn encoder() -> Encoder {
    let rows = [
        ["1.5", "f", "2024-01-01", "k", "Gentoo"],
        ["", "m", "2024-02-03", "k", "Adelie"],
        ["0.1", "?", "2024-01-31", "k", "Gentoo"],
    ];
    let table = Table::new(["mass", "sex", "when", "same", "species"], rows).unwrap();
    Encoder::fit(&table, &EncoderOptions::default()).unwrap()
}

#[test]
fn an_encoder_comes_back_as_it_was() {
    let encoder = encoder();
    let text = serde_json::to_string(&encoder).unwrap();
    let back: Encoder = serde_json::from_str(&text).unwrap();
    assert_eq!(back, encoder);
}

#[test]
fn damaged_encoders_are_refused() {
    let whole = serde_json::to_value(encoder()).unwrap();
    let refused = |path: &str, value: serde_json::Value, says: &str| {
        let mut damaged = whole.clone();
        *damaged.pointer_mut(path).unwrap_or_else(|| panic!("no {path} in {whole}")) = value;
        let error = serde_json::from_value::<Encoder>(damaged).unwrap_err().to_string();
        assert!(error.contains(says), "{error:?} does not say {says:?}");
    };
    use serde_json::json;
    refused("/columns", json!([]), "no columns");
    refused("/columns/0/name", json!("sex"), "\"sex\" twice");
    refused("/columns/0/name", json!("species"), "\"species\" twice");
    refused("/columns/0/encoding/number/deviation", json!(0.0), "deviation 0");
    refused("/columns/2/encoding/date/scaling/deviation", json!(-1.0), "\"when\"");
    refused("/columns/0/encoding/number/mean", json!(null), "null");
    refused("/columns/0/encoding/number/range", json!([2.0, 1.0]), "from 2 to 1");
    refused("/columns/0/encoding", json!({"word": {}}), "word");
    refused("/columns/1/encoding/category/categories", json!(["m", "m"]), "\"m\" twice");
    let none = json!({"category": {"categories": [], "other": false, "missing": false}});
    refused("/columns/1/encoding", none, "no categories");
    refused("/targets/classes/classes", json!(["one"]), "fewer than 2");
    refused("/targets/classes/classes", json!(["one", "one"]), "twice");
    let values = |scalings| json!({"values": {"columns": ["y"], "scalings": scalings}});
    refused("/targets", values(json!([])), "1 targets and 0 scalings");
    refused("/unknown", json!("guess"), "guess");
    let mut more = whole.clone();
    more["more"] = json!(1);
    assert!(serde_json::from_value::<Encoder>(more).is_err());
}

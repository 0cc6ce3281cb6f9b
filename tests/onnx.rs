//! The node cases of ONNX's backend test suite: inputs and outputs that others made. Those that need
//! little room lie in `goldens/onnx`; all 161 are looked for in `../shared/data/onnx`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::onnx::Case;
use crate::support::{close, golden, json, safetensors, shared};

/// What no case is run for: an operator or a single case, how many of the 161 that are, and why.
const NOT_COVERED: [(&str, usize, &str); 20] = [
    ("ArgMax", 3, "no reduction yields indices; the accuracy metric counts hits instead"),
    ("ArgMin", 2, "no reduction yields indices"),
    ("Cast", 1, "from f16: every element is an f32 or a u32"),
    ("Concat", 3, "no concatenation"),
    ("Cos", 1, "no trigonometry"),
    ("Dropout", 1, "no dropout, and this case is its inference: the identity"),
    ("Equal", 1, "booleans are no element type"),
    ("Greater", 1, "booleans are no element type"),
    ("Less", 1, "booleans are no element type"),
    ("LessOrEqual", 1, "booleans are no element type"),
    ("Max", 1, "no element-wise maximum, and the case is f16"),
    ("Min", 2, "no element-wise minimum; one case is i64, the other the identity"),
    ("OneHot", 1, "no scatter of ones; losses take labels instead"),
    ("Pow", 2, "exp(y·log x) stands in where x > 0 (see tests/nist.rs); here some x are not"),
    ("ThresholdedRelu", 1, "no step function"),
    ("Where", 1, "no selection, and the case is i64"),
    ("node/test_matmul_4d", 1, "no batched product: matrices have two axes"),
    ("node/test_reduce_log_sum_empty_set", 1, "no tensor is empty"),
    ("node/test_reduce_min_bool_inputs", 1, "booleans are no element type"),
    ("node/test_slice_start_out_of_bounds", 1, "the result is empty; no tensor is"),
];

/// The entry of the table that a case falls under.
fn not_covered(case: &Case) -> Option<&'static str> {
    let fits = |key: &str| key == case.op() || key == case.name();
    NOT_COVERED.iter().map(|&(key, ..)| key).find(|key| fits(key))
}

/// Cases by operator, or by entry of the table.
type Tally = BTreeMap<String, usize>;

/// Runs what is covered of a set; returns what was and what was not.
fn run_all(manifest: &Path, tensors: &Path) -> (Tally, Tally) {
    let (manifest, arrays) = (json(manifest), safetensors::read(tensors));
    let (mut covered, mut listed) = (Tally::new(), Tally::new());
    for entry in manifest.as_array().expect("cases") {
        let case = Case { entry, arrays: &arrays };
        if let Some(key) = not_covered(&case) {
            *listed.entry(key.to_string()).or_insert(0) += 1;
            continue;
        }
        for fuse in [true, false] {
            let outputs = case.run(fuse);
            let expected = case.expected();
            assert_eq!(outputs.len(), expected.len(), "{}: outputs", case.name());
            for (found, (name, expected)) in outputs.iter().zip(expected) {
                let label = format!("{}, '{name}' (fuse: {fuse})", case.name());
                // What ONNX's own runner asks for; and what f32 can do.
                close(&label, found, &expected.values, 1e-3, 1e-7);
                let largest = expected.values.iter().fold(0.0f64, |a, b| a.max(b.abs()));
                close(&label, found, &expected.values, 1e-5, 1e-6 * largest);
            }
        }
        *covered.entry(case.op().to_string()).or_insert(0) += 1;
    }
    (covered, listed)
}

#[test]
fn cases_that_come_with_the_repository() {
    let folder = golden("onnx");
    let (covered, listed) =
        run_all(&folder.join("manifest.json"), &folder.join("cases.safetensors"));
    assert!(listed.is_empty(), "only cases that are covered are kept here");
    assert_eq!((covered.len(), covered.values().sum()), (52, 119), "{covered:?}");
}

#[test]
fn all_cases() {
    let (Some(manifest), Some(tensors)) =
        (shared("onnx/manifest.json"), shared("onnx/onnx_cases.safetensors"))
    else {
        return;
    };
    let (covered, listed) = run_all(&manifest, &tensors);
    let table = NOT_COVERED.iter().map(|&(key, cases, _)| (key.to_string(), cases)).collect();
    assert_eq!(listed, table, "the table names what is there, and no more");
    let (covered, listed) = (covered.values().sum::<usize>(), listed.values().sum::<usize>());
    assert_eq!((covered, listed), (134, 27), "every one of the 161 cases is run or listed");
}

//! The WGSL around an update rule's formula, made from its row in [`graph::rule`](crate::graph::UpdateRule).
//!
//! A formula is a function `moved(rule: Rule, w: Piece, g: Piece, …) -> Moved`: of a parameter, its gradient
//! and its states, one argument each, it makes a new value, new states and whether they are sound. A `Piece` is
//! a number, or four of them.

use super::Part;
use super::source;
use crate::graph::UpdateRule;

/// The number of the first state's binding; the others follow it.
const FIRST_STATE: usize = 8;

/// Gradients of one dispatch that `update/gradients_in_parts.wgsl` can join.
pub(super) const MOST_JOINED: usize = 32;

/// What `update/main.wgsl` and the formula need of a rule, for pieces of four; with room in `dims` for gradients
/// that come `in_parts`.
pub(super) fn of_pieces(rule: UpdateRule, in_parts: bool) -> &'static Part {
    let (kind, joined) = match in_parts {
        false => ("rule", String::new()),
        true => {
            let fields = format!("joined_count: u32,\n    joined: array<vec4<u32>, {MOST_JOINED}>");
            ("rule_of_parts", format!("    {fields},\n"))
        }
    };
    made(kind, rule, |states| {
        let fields = lines(&rule.figures(), |figure| format!("    {}: f32,\n", figure.name));
        let switch = rule.row().switch;
        let switch =
            switch.map_or(String::new(), |(name, _)| format!("override {name}: bool;\n\n"));
        let figures = lines(&rule.figures(), |figure| format!(", dims.{}", figure.name));
        let old = lines(states, |state| format!("    let {state}_before = {state}[i];\n"));
        let given = lines(states, |state| format!(", {state}_before"));
        let kept = lines(states, |state| {
            format!("    {state}[i] = select({state}_before, after.{state}, after.sound);\n")
        });
        format!(
            "alias Piece = vec4<f32>;\nalias Truths = vec4<bool>;\n\n\
             struct Dims {{\n    first: u32,\n    end: u32,\n    loss_stride: u32,\n    loss_column: u32,\n    loss_parts: u32,\n{fields}{joined}}}\n\n\
             @group(0) @binding(0) var<uniform> dims: Dims;\n\n{switch}\
             // Moves the states of piece i.\n\
             fn move_piece(i: u32, w: Piece, g: Piece) -> Moved {{\n\
             \x20   let rule = Rule(step.learning_rate, step.correction1, step.correction2{figures});\n\
             {old}    let after = moved(rule, w, g{given});\n{kept}    return after;\n}}\n"
        )
    })
}

/// What the whole-step kernels and the formula need of a rule, for single numbers: `update_of` and `update`. The
/// switch is a literal here; as a constant to be overridden it would have the whole module validated twice.
pub(super) fn of_numbers(rule: UpdateRule) -> &'static Part {
    made("rule_of_numbers", rule, |states| {
        let switch = rule.row().switch;
        let switch = switch.map_or(String::new(), |(name, on)| format!("const {name} = {on};\n\n"));
        let figures: String =
            (1..=rule.figures().len()).map(|number| format!(", run.figure{number}")).collect();
        let numbers: Vec<usize> = (1..=states.len()).collect();
        let pointers = lines(&numbers, |n| format!(", s{n}: ptr<function, f32>"));
        let given = lines(&numbers, |n| format!(", *s{n}"));
        let kept = lines(&numbers, |n| {
            format!("    *s{n} = select(*s{n}, after.state{n}, after.sound & by.moves);\n")
        });
        format!(
            "alias Piece = f32;\nalias Truths = bool;\n\n{switch}\
             fn finite(x: f32) -> bool {{\n    return is_finite(x);\n}}\n\n\
             // The update of a step by the figures of the rule.\n\
             fn update_of(record: Record, moves: bool, factors: vec2<f32>) -> Update {{\n\
             \x20   let rule = Rule(record.learning_rate, record.correction1, record.correction2{figures});\n\
             \x20   return Update(moves, factors, rule);\n}}\n\n\
             // Moves w and its states s1, s2 …. Returns whether it could not, since a new value would not be finite.\n\
             fn update(by: Update, w: ptr<function, f32>, g: f32{pointers}) -> bool {{\n\
             \x20   let after = moved(by.rule, *w, clipped(by, g){given});\n\
             \x20   *w = select(*w, after.w, after.sound & by.moves);\n{kept}\
             \x20   return !after.sound;\n}}\n"
        )
    })
}

/// `around` is given the names of the states.
fn made(kind: &str, rule: UpdateRule, around: impl FnOnce(&[String]) -> String) -> &'static Part {
    source::made(&format!("{kind}:{}", rule.name()), || written(rule, around))
}

fn written(rule: UpdateRule, around: impl FnOnce(&[String]) -> String) -> String {
    let states: Vec<String> = (1..=rule.states()).map(|number| format!("state{number}")).collect();
    let figures = lines(&rule.figures(), |figure| format!("    {}: f32,\n", figure.name));
    let fields = lines(&states, |state| format!("    {state}: Piece,\n"));
    let bindings: String = (FIRST_STATE..)
        .zip(&states)
        .map(|(at, state)| {
            format!("@group(0) @binding({at}) var<storage, read_write> {state}: array<Piece>;\n")
        })
        .collect();
    let around = around(&states);
    format!(
        "// A rule's figures and those of the step.\n\
         struct Rule {{\n    learning_rate: f32,\n    correction1: f32,\n    correction2: f32,\n{figures}}}\n\n\
         // What a rule makes of a parameter, and whether all of it is finite.\n\
         struct Moved {{\n    w: Piece,\n{fields}    sound: Truths,\n}}\n\n{bindings}\n{around}"
    )
}

fn lines<T>(of: &[T], line: impl Fn(&T) -> String) -> String {
    of.iter().map(line).collect()
}

//! What is made of a net for the kernel in memory, `whole_step/memory.wgsl`: what follows from tables and
//! lists on the Rust side.

use super::writer::{Writer, component, line, list};
use super::{Net, formulas};
use crate::kernel::formula;

/// The activations of the net: f, and its derivative from what was saved of it, its output or its input. A layer
/// knows its own by the place in the list.
pub(super) fn activations(net: &Net) -> String {
    let formulas: Vec<(String, String)> = net.functions().into_iter().map(formulas).collect();
    let (values, derivatives): (Vec<String>, Vec<String>) = formulas.into_iter().unzip();
    let mut w = Writer::new();
    line!(w, "fn activated(function: u32, x: f32) -> f32 {{");
    switch(&mut w, &values, "x", "x");
    line!(w, "}}");
    w.blank();
    line!(w, "fn slope(function: u32, saved: f32) -> f32 {{");
    switch(&mut w, &derivatives, "1.0", "saved");
    line!(w, "}}");
    w.text()
}

fn switch(w: &mut Writer, formulas: &[String], of_none: &str, argument: &str) {
    line!(w, "switch function {{");
    for (number, formula) in formulas.iter().enumerate() {
        line!(w, "case {number}u: {{ return {formula}; }}");
    }
    line!(w, "case {}u: {{ return {of_none}; }} // no activation", formulas.len());
    line!(w, "default: {{ return not_a_number({argument}); }}");
    line!(w, "}}");
}

/// The loss and the metrics' sums.
pub(super) fn sums(net: &Net) -> String {
    let counts = net.counts.len();
    let mut w = Writer::new();
    line!(w, "struct Sums {{");
    line!(w, "loss: f32,");
    for count in 0..counts {
        line!(w, "count{count}: f32,");
    }
    line!(w, "}}");
    w.blank();
    match net.loss.is_elementwise() {
        true => with_output(&mut w, net),
        false => with_row(&mut w, net),
    }
    let members = ["loss".to_string()].into_iter().chain((0..counts).map(|c| format!("count{c}")));
    let members: Vec<String> = members.collect();
    w.blank();
    line!(
        w,
        "// Adds up what the invocations have, and puts it at number `at` of the memory and those behind it."
    );
    line!(w, "fn put_sums(sums: Sums, at: u32, invocation: u32) {{");
    for member in &members {
        line!(w, "let {member} = invocation_sum(sums.{member}, invocation);");
    }
    line!(w, "if invocation == 0u {{");
    for (n, member) in members.iter().enumerate() {
        line!(w, "set_number(at + {n}u, {member});");
    }
    line!(w, "}}");
    line!(w, "}}");
    w.blank();
    line!(w, "// The sums of turn t, of all workgroups together.");
    line!(w, "fn totals(t: u32, sharer: Sharer) -> Sums {{");
    for q in 0..members.len().div_ceil(4) {
        line!(w, "let four{q} = total(t, PARAMETERS + {q}u, sharer);");
    }
    let numbers = list(members.len(), |n| format!("four{}.{}", n / 4, component(n)));
    line!(w, "return Sums({numbers});");
    line!(w, "}}");
    w.blank();
    line!(w, "// Puts them at number `at` of the memory and those behind it.");
    line!(w, "fn put_results(sums: Sums, at: u32) {{");
    for (n, member) in members.iter().enumerate() {
        line!(w, "set_number(at + {n}u, sums.{member});");
    }
    line!(w, "}}");
    w.text()
}

/// The counts of losses whose items are outputs look at each output.
fn with_output(w: &mut Writer, net: &Net) {
    line!(w, "// The sums with those of an output p, if it is live.");
    line!(w, "fn with_output(before: Sums, item: f32, p: f32, t: f32, live: bool) -> Sums {{");
    line!(w, "var sums = before;");
    line!(w, "sums.loss += select(0.0, item, live);");
    for (n, &count) in net.counts.iter().enumerate() {
        let function = formula::function(formula::of_count(count));
        line!(w, "sums.count{n} += select(0.0, {function}(p, t).value, live);");
    }
    line!(w, "return sums;");
    line!(w, "}}");
}

/// The counts of losses whose items are rows look at where the largest output of a row is, and should be.
fn with_row(w: &mut Writer, net: &Net) {
    line!(w, "// The sums with those of a row, if it is live.");
    line!(w, "fn with_row(before: Sums, item: f32, top: u32, label: u32, live: bool) -> Sums {{");
    line!(w, "var sums = before;");
    line!(w, "sums.loss += select(0.0, item, live);");
    for (n, &count) in net.counts.iter().enumerate() {
        let function = formula::function(formula::of_count(count));
        line!(w, "sums.count{n} += select(0.0, {function}(top, label, is_nan(item)), live);");
    }
    line!(w, "return sums;");
    line!(w, "}}");
}

/// How the numbers of parameters and of the optimizer's state move between the arenas and memory, and in memory.
pub(super) fn arenas(net: &Net) -> String {
    let mut w = Writer::new();
    load(&mut w, net);
    w.blank();
    store(&mut w, net);
    w.blank();
    move_four(&mut w, net);
    w.text()
}

/// The arenas that are trained: the parameters, then the optimizer's states.
fn arena_names(net: &Net) -> Vec<String> {
    let states = (1..=net.rule.states()).map(|state| format!("state{state}"));
    ["values".to_string()].into_iter().chain(states).collect()
}

/// Where four number `at` of an arena is in memory.
fn beside(at: &str, arena: usize) -> String {
    if arena == 0 { at.into() } else { format!("{at} + {arena}u * PARAMETERS") }
}

fn load(w: &mut Writer, net: &Net) {
    line!(w, "fn load_states(p: Place) {{");
    for (n, arena) in arena_names(net).iter().enumerate() {
        line!(w, "var {arena}_of = vec4<f32>();");
        for j in 0..4 {
            line!(w, "if p.inside & (p.first + {j}u < p.units) {{");
            line!(w, "{arena}_of.{} = {arena}[p.begin + p.first + {j}u];", component(j));
            line!(w, "}}");
        }
        line!(w, "store_four({}, {arena}_of);", beside("p.at", n));
    }
    line!(w, "}}");
}

fn store(w: &mut Writer, net: &Net) {
    line!(w, "fn store_states(p: Place) {{");
    for (n, arena) in arena_names(net).iter().enumerate() {
        line!(w, "let {arena}_of = load_four({});", beside("p.at", n));
        for j in 0..4 {
            line!(w, "if p.inside & (p.first + {j}u < p.units) {{");
            line!(w, "{arena}[p.begin + p.first + {j}u] = {arena}_of.{};", component(j));
            line!(w, "}}");
        }
    }
    line!(w, "}}");
}

fn move_four(w: &mut Writer, net: &Net) {
    let names: Vec<String> = arena_names(net);
    line!(w, "// Moves four parameters by their gradients g. Returns whether one could not.");
    line!(w, "fn move_four(by: Update, at: u32, g: vec4<f32>) -> bool {{");
    for (n, name) in names.iter().enumerate() {
        line!(w, "let {name}_of = load_four({});", beside("at", n));
    }
    line!(w, "var overflows = false;");
    for c in ['x', 'y', 'z', 'w'] {
        for name in &names {
            line!(w, "var {name}_{c} = {name}_of.{c};");
        }
        let [w_, states @ ..] = names.as_slice() else { return };
        let states: String = states.iter().map(|name| format!(", &{name}_{c}")).collect();
        line!(w, "overflows = update(by, &{w_}_{c}, g.{c}{states}) | overflows;");
    }
    for (n, name) in names.iter().enumerate() {
        let four = list(4, |j| format!("{name}_{}", component(j)));
        line!(w, "store_four({}, vec4({four}));", beside("at", n));
    }
    line!(w, "return overflows;");
    line!(w, "}}");
}

//! Exchange between invocations. Sums are trees of neighbours, pairs, fours …, so that their bits do not
//! depend on how the invocations exchange numbers.

use super::writer::{Writer, line};
use super::{Held, Net};

/// The functions that add up over the invocations.
pub(super) fn source(net: &Net) -> String {
    let mut w = Writer::new();
    match net.subgroups {
        true => {
            declare(&mut w, net);
            by_subgroups(&mut w, net);
        }
        false => by_memory(&mut w, net),
    }
    w.text()
}

/// The bits of the number of an invocation, by each of which neighbours differ.
pub(super) fn masks(net: &Net) -> impl Iterator<Item = usize> {
    (0..net.invocations.trailing_zeros()).map(|bit| 1 << bit)
}

fn by_subgroups(w: &mut Writer, net: &Net) {
    line!(w, "// Σ x over the invocations, in every invocation.");
    line!(w, "fn invocation_sum(x: f32, invocation: u32) -> f32 {{");
    line!(w, "var sum = x;");
    for mask in masks(net) {
        line!(w, "sum += subgroupShuffleXor(sum, {mask}u);");
    }
    line!(w, "return sum;");
    line!(w, "}}");
    if net.held == Held::Registers {
        w.lines(
            "
            // Half a step of many sums at once: of two values, invocations with the bit `mask` keep b, the
            // others a, each added to the neighbour's.
            fn fold(a: f32, b: f32, odd: bool, mask: u32) -> f32 {
                return select(a, b, odd) + subgroupShuffleXor(select(b, a, odd), mask);
            }
            ",
        );
    }
}

fn by_memory(w: &mut Writer, net: &Net) {
    declare(w, net);
    let exchange = net.exchange_of_team();
    let tree = tree(exchange, 0, net.invocations, "");
    w.blank();
    line!(w, "// Σ exchange[at .. at + INVOCATIONS].");
    line!(w, "fn tree_sum(at: u32) -> vec4<f32> {{");
    line!(w, "return {tree};");
    line!(w, "}}");
    if net.held == Held::Registers {
        let tree = self::tree(exchange, 0, net.invocations, "[c]");
        w.blank();
        line!(w, "// The same of component c alone.");
        line!(w, "fn tree_sum_of(at: u32, c: u32) -> f32 {{");
        line!(w, "return {tree};");
        line!(w, "}}");
    }
    w.blank();
    line!(w, "// Σ x over the invocations, in every invocation.");
    line!(w, "fn invocation_sum(x: f32, invocation: u32) -> f32 {{");
    line!(w, "{exchange}[invocation] = vec4<f32>(x, 0.0, 0.0, 0.0);");
    line!(w, "workgroupBarrier();");
    line!(w, "let sum = tree_sum(0u).x;");
    line!(w, "workgroupBarrier();");
    line!(w, "return sum;");
    line!(w, "}}");
}

/// The workgroup's memory, and which team an invocation is of, if there are several.
fn declare(w: &mut Writer, net: &Net) {
    let fours = net.workgroup_words() / 4 / net.teams;
    if fours == 0 {
        return;
    }
    line!(
        w,
        "// Four numbers of each invocation at a time: that is a quarter of the loads, in the code and in time."
    );
    match net.teams {
        1 => line!(w, "var<workgroup> exchange: array<vec4<f32>, {fours}>;"),
        teams => {
            line!(w, "struct OfTeam {{");
            line!(w, "fours: array<vec4<f32>, {fours}>,");
            line!(w, "}}");
            line!(w, "var<workgroup> exchange: array<OfTeam, {teams}>;");
            line!(w, "// The team of this invocation.");
            line!(w, "var<private> team: u32;");
            if net.subgroups {
                w.blank();
            }
        }
    }
}

/// The sum of `count` entries of the exchange (or of a component of them) from `at + first` on:
/// neighbours, pairs, fours ….
fn tree(exchange: &str, first: usize, count: usize, component: &str) -> String {
    match count / 2 {
        0 => format!("{exchange}[at + {first}u]{component}"),
        half => {
            let of_half = |first| tree(exchange, first, half, component);
            let (left, right) = (of_half(first), of_half(first + half));
            format!("({left} + {right})")
        }
    }
}

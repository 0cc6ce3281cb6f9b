//! Finds what a text in HLSL or MSL, or a module in SPIR-V, defines twice.

use std::collections::HashSet;

/// Words before a type that are no part of it.
const QUALIFIERS: [&str; 8] =
    ["static", "const", "constant", "groupshared", "threadgroup", "device", "thread", "kernel"];

/// Words that begin a statement which defines nothing.
const STATEMENTS: [&str; 12] = [
    "return", "else", "case", "default", "break", "continue", "if", "for", "while", "switch", "do",
    "using",
];

/// Names of types, functions and variables that `text` defines twice in one scope. Functions of one name
/// are told apart by the types of what they take.
pub fn doubles(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut doubles = Vec::new();
    // What each open scope defines, the innermost last.
    let mut scopes: Vec<HashSet<String>> = vec![HashSet::new()];
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "}" => {
                scopes.pop();
                at += 1;
            }
            "{" => {
                scopes.push(HashSet::new());
                at += 1;
            }
            ";" => at += 1,
            "[" => at = past_brackets(&tokens, at),
            _ => {
                let statement = statement(&tokens, at);
                at = statement.end;
                if let Some(name) = statement.defines
                    && scopes.last_mut().is_some_and(|scope| !scope.insert(name.clone()))
                {
                    doubles.push(name);
                }
                if statement.opens {
                    scopes.push(statement.parameters.into_iter().collect());
                }
            }
        }
    }
    doubles
}

/// A statement or the head of a block.
#[derive(Default)]
struct Statement {
    defines: Option<String>,
    /// The names of what a function takes.
    parameters: Vec<String>,
    /// Whether a block follows that is a scope of its own.
    opens: bool,
    /// Where what follows begins.
    end: usize,
}

fn statement(tokens: &[&str], start: usize) -> Statement {
    let head_end = (start..tokens.len())
        .find(|&at| matches!(tokens[at], ";" | "{" | "}" | "=" | "(" | "[" | ":"))
        .unwrap_or(tokens.len());
    let next = tokens.get(head_end).copied().unwrap_or(";");
    let whole = &tokens[start..head_end];
    let head: Vec<&str> = whole.iter().copied().filter(|t| !QUALIFIERS.contains(t)).collect();
    let mut found = Statement::default();
    if next == "(" && is_definition(&head) {
        let close = past_brackets(tokens, head_end);
        if let Some(body) = body_of_function(tokens, close) {
            let (types, names) = parameters(&tokens[head_end + 1..close - 1]);
            found.defines = head.last().map(|name| format!("{name}({types})"));
            (found.parameters, found.opens, found.end) = (names, true, body + 1);
            return found;
        }
    } else if let ["struct" | "typedef" | "class" | "enum", .., name] = head[..] {
        found.defines = Some(name.into());
    } else if matches!(next, "=" | ";" | "[" | ":") && is_definition(&head) {
        found.defines = head.last().map(|&name| name.into());
    }
    if let ["cbuffer", ..] = head[..] {
        // Its members are variables of the scope that it stands in.
        let open = (start..tokens.len()).find(|&at| tokens[at] == "{").unwrap_or(head_end);
        let member = statement(tokens, open + 1);
        let close = (member.end..tokens.len()).find(|&at| tokens[at] == "}").unwrap_or(member.end);
        return Statement { end: close + 1, ..member };
    }
    // To the end of the statement, past braces in a value; a block's is an opening brace.
    let mut at = head_end;
    let mut in_value = false;
    while at < tokens.len() {
        match tokens[at] {
            ";" | "}" => break,
            "{" if !in_value => {
                found.opens = true;
                at += 1;
                break;
            }
            "(" | "[" | "{" => at = past_brackets(tokens, at),
            token => {
                in_value |= token == "=";
                at += 1;
            }
        }
    }
    found.end = at;
    found
}

/// Whether `head` is a type and a name.
fn is_definition(head: &[&str]) -> bool {
    let is_name = |token: &str| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let [first, .., before, last] = head else {
        let [first, last] = head else { return false };
        return is_name(first) && is_name(last) && !STATEMENTS.contains(first);
    };
    // `metal::float4 x`, `metal::array<float, 4> x`, `type const& x`; but not `a::f`.
    is_name(first)
        && is_name(last)
        && !STATEMENTS.contains(first)
        && (is_name(before) || matches!(*before, ">" | "&" | "*"))
}

/// Past the bracket that closes the one at `open`.
fn past_brackets(tokens: &[&str], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Where the body of a function begins whose parameters end before `at`, if it is one.
fn body_of_function(tokens: &[&str], at: usize) -> Option<usize> {
    let body = (at..tokens.len()).find(|&at| matches!(tokens[at], "{" | ";" | "="))?;
    (tokens[body] == "{").then_some(body)
}

/// The types of a function's parameters, and their names.
fn parameters(tokens: &[&str]) -> (String, Vec<String>) {
    let (mut types, mut names) = (Vec::new(), Vec::new());
    let mut rest = tokens;
    while !rest.is_empty() {
        let mut at = 0;
        while at < rest.len() && rest[at] != "," {
            at = if rest[at] == "[" { past_brackets(rest, at) } else { at + 1 };
        }
        // Without attributes and semantics.
        let of_one = rest[..at].split(|&t| t == ":" || t == "[").next().unwrap_or_default();
        if let Some((name, of_type)) = of_one.split_last() {
            types.push(of_type.join(" "));
            names.push(name.to_string());
        }
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    (types.join(", "), names)
}

/// Names, numbers and signs; neither comments nor lines of the preprocessor.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        if line.trim_start().starts_with('#') {
            continue;
        }
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let of_name = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                _ if of_name(first) => rest.find(|c| !of_name(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            tokens.push(&rest[..length]);
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// What a SPIR-V module defines twice: numbers of types, constants, variables and functions, and types
/// other than structures and arrays that are declared again.
pub fn doubles_of_spirv(words: &[u32]) -> Vec<String> {
    let (mut numbers, mut types) = (HashSet::new(), HashSet::new());
    let mut doubles = Vec::new();
    let mut rest = words.get(5..).unwrap_or_default();
    while let [first, ..] = rest {
        let (length, operation) = ((first >> 16) as usize, first & 0xffff);
        let (instruction, after) = rest.split_at(length.clamp(1, rest.len()));
        let number = match operation {
            // OpType….
            19..=39 => instruction.get(1),
            // OpConstant…, OpSpecConstant…, OpFunction, OpVariable: the type comes first.
            41..=46 | 48..=52 | 54 | 59 => instruction.get(2),
            _ => None,
        };
        if number.is_some_and(|&number| !numbers.insert(number)) {
            doubles.push(format!("%{number:?}"));
        }
        // Not OpTypeArray, OpTypeRuntimeArray, OpTypeStruct, which are told apart by their decorations.
        let plain = matches!(operation, 19..=27 | 31..=39);
        if plain && !types.insert((operation, instruction.get(2..))) {
            doubles.push(format!("type {instruction:?}"));
        }
        rest = after;
    }
    doubles
}

#[test]
fn what_is_defined_twice_is_seen() {
    for (text, expected) in [
        (
            "float4 ZeroValuefloat4() { return (float4)0; }\nfloat4 ZeroValuefloat4() {\n}",
            "ZeroValuefloat4()",
        ),
        ("uint f(uint a, uint b) {} int f(int a, int b) {}", ""),
        ("uint f(uint a, uint b) {} uint f(uint c, uint d) {}", "f(uint, uint)"),
        ("struct A { float x; float y; }; struct A { float z; };", "A"),
        ("struct A { float x; int x; };", "x"),
        ("struct A { float x; }; struct B { float x; };", ""),
        ("typedef float4 T[4]; typedef float4 T[4];", "T"),
        ("static const uint N = 64u;\nstatic const uint N = 64u;", "N"),
        ("groupshared float4 a[64]; groupshared float a[64];", "a"),
        ("cbuffer dims : register(b0) { Dims dims; }\nByteAddressBuffer x : register(t0);", ""),
        ("cbuffer p : register(b0) { Dims dims; }\nByteAddressBuffer dims : register(t0);", "dims"),
        ("void f(uint i) { uint a = g(i); a = 3u; if (a == 1u) { uint a = 4u; } return; }", ""),
        ("void f(uint i) { uint a = g(i); { a = 3u; } uint a; }", "a"),
        ("void f(uint i) { float i = 1.0; }", "i"),
        (
            "[numthreads(64, 1, 1)]\nvoid main(uint3 i : SV_GroupID) { float4 v = { 1.0, 2.0 }; uint v; }",
            "v",
        ),
        (
            "metal::float4 f(type_1 const& a, uint n) { return metal::float4(0.0); }\nmetal::float4 f(type_1 const& b, uint m) {}",
            "f(type_1 const &, uint)",
        ),
        (
            "kernel void main_(device type_2& out [[buffer(0)]]) { metal::float4 a = metal::fma(b, c, d); metal::float4 a = e; }",
            "a",
        ),
        ("// uint a;\n#include <a>\nuint a; // uint a;", ""),
    ] {
        assert_eq!(doubles(text).join(" "), expected, "{text}");
    }
    let head = [0; 5];
    let type_of = |number: u32, operands: &[u32]| {
        [&[(operands.len() as u32 + 2) << 16 | 22, number], operands].concat()
    };
    let module = |parts: &[Vec<u32>]| [head.to_vec(), parts.concat()].concat();
    assert_eq!(doubles_of_spirv(&module(&[type_of(1, &[32]), type_of(2, &[64])])).len(), 0);
    assert_eq!(doubles_of_spirv(&module(&[type_of(1, &[32]), type_of(2, &[32])])).len(), 1);
    assert_eq!(doubles_of_spirv(&module(&[type_of(1, &[32]), type_of(1, &[64])])).len(), 1);
}

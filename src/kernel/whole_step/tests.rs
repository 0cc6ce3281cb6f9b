//! The few lines of Jinja, by themselves and beside minijinja.

use super::jinja::{Value, render};
use super::template::INCLUDED;
use super::{Dense, Held, Net};
use crate::graph::{Count, Loss, Unary, UpdateRule};

fn shown(text: &str) -> String {
    let names = vec![
        ("n", 3usize.into()),
        ("words", vec!["a", "b"].into()),
        ("none", None::<String>.into()),
    ];
    render(text, &[("other", "<{{ n }}>\n")], names).unwrap_or_else(|error| error)
}

#[test]
fn what_templates_are_made_of() {
    for (text, expected) in [
        ("{ {{ n }} {{ n * 2 + 1 }} {{ 7 // 2 }}{{ 7 % 4 }} }", "{ 3 7 33 }"),
        ("{{ 'no' }}", "line 1: a name is missing"),
        ("{{ \"x\" ~ n + 1 ~ \"y\" }}", "Text(\"x3\") is no number"),
        ("{{ \"x\" ~ (n + 1) ~ n // 2 }}", "x41"),
        ("{{ 1 if n == 3 and not none else 2 }}{{ 1 if n < 3 or none }}", "1"),
        ("{% for w in words | reverse %}{{ w }}{{ \", \" if not loop.last }}{% endfor %}", "b, a"),
        (
            "{% for i in range(1, 6) | batch(2) %}{{ i | length }}{{ loop.index }};{% endfor %}",
            "21;22;13;",
        ),
        ("{% set x = 1 %}{% for i in range(2) %}{% set x = i %}{% endfor %}{{ x }}", "1"),
        (
            "{% macro m(a, b) %}{{ a }}-{{ n }}-{{ b }}{% endmacro %}{{ m(1, words | length) }}",
            "1-3-2",
        ),
        (
            "a\n  {% if n > 2 %}\n  b\n  {% elif n %}\nc\n  {% endif %}\nd {# e #} f\n",
            "a\n  b\nd  f",
        ),
        ("{% include \"other\" %}{{ \"xyz\"[n - 1] }}{{ none }}", "<3>z"),
        ("\n{% if n %}", "line 2: a block has no end"),
        ("{{ m }}", "nothing is named m"),
        ("{{ words.x }}", "List([Text(\"a\"), Text(\"b\")]) has no fields"),
        ("{{ f(1) }}", "no function f of 1 values"),
        ("{% while n %}", "line 1: no such tag"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

impl From<&Value> for minijinja::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::None => ().into(),
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Text(text) => (&**text).into(),
            Value::List(values) => values.iter().map(Self::from).collect(),
            Value::Record(fields) => {
                Self::from_pairs(fields.iter().map(|(name, value)| (*name, Self::from(value))))
            }
        }
    }
}

/// What minijinja makes of the same.
fn reference(text: &str, others: &[(&str, &str)], names: &[(&'static str, Value)]) -> String {
    let mut templates = minijinja::Environment::new();
    let mut syntax = minijinja::syntax::SyntaxConfig::builder();
    templates.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).build().unwrap());
    for &(name, text) in others {
        templates.add_template_owned(name.to_string(), text.to_string()).unwrap();
    }
    let names = names.iter().map(|(name, value)| (*name, minijinja::Value::from(value)));
    let names = minijinja::Value::from_pairs(names);
    templates.render_str(text, names).unwrap()
}

fn net(invocations: usize, subgroups: bool, widths: &[usize], loss: Loss) -> Net {
    let (inputs, units) = widths.split_first().unwrap();
    let functions = [Some(Unary::Tanh), None, Some(Unary::LeakyRelu { slope: 0.1 })];
    let layer = |(l, &units): (usize, &usize)| Dense {
        units,
        activation: functions[(l + units) % 3],
        weights_at: 64 * l as u64,
        bias_at: 64 * l as u64 + 32,
    };
    let counts = match loss {
        Loss::SoftmaxCrossEntropy => vec![Count::Correct],
        Loss::SoftmaxCrossEntropyProbabilities => vec![Count::CorrectProbabilities],
        Loss::BinaryCrossEntropy => vec![Count::CorrectBinary],
        _ => vec![Count::AbsoluteError, Count::SquaredError],
    };
    let rules = [
        UpdateRule::Sgd { weight_decay: 0.0 },
        UpdateRule::Momentum { momentum: 0.9, nesterov: true, weight_decay: 0.0 },
        UpdateRule::Momentum { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
        UpdateRule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: widths.len() > 2,
        },
    ];
    Net {
        invocations,
        subgroups,
        held: Held::Registers,
        words: subgroups,
        samples: 1 + widths.len() % 2,
        workgroups: 1,
        inputs: *inputs,
        layers: units.iter().enumerate().map(layer).collect(),
        loss,
        counts,
        rule: rules[(invocations + widths.len() + *inputs) % 4],
        clip: inputs % 2 == 0,
    }
}

/// Our few lines of Jinja make of the template what minijinja makes of it.
#[test]
fn the_kernel_is_what_minijinja_renders() {
    let losses = [
        Loss::MeanSquaredError,
        Loss::MeanAbsoluteError,
        Loss::Huber { delta: 1.0 },
        Loss::SoftmaxCrossEntropy,
        Loss::SoftmaxCrossEntropyProbabilities,
        Loss::BinaryCrossEntropy,
    ];
    let stacks: [&[usize]; 6] =
        [&[3, 1], &[10, 64, 1], &[4, 5, 3], &[9, 4, 7, 2], &[70, 2], &[2, 16, 9, 5, 3]];
    let mut kernels = std::collections::BTreeSet::new();
    for (n, widths) in stacks.into_iter().enumerate() {
        for (m, loss) in losses.into_iter().enumerate() {
            for subgroups in [false, true] {
                for (held, workgroups) in
                    [(Held::Registers, 1), (Held::Memory, 1), (Held::Memory, 2)]
                {
                    let net = net([4, 8, 32][(n + m) % 3], subgroups, widths, loss);
                    let net = Net { held, workgroups, ..net };
                    let (text, given) = (net.template().source, net.given().unwrap());
                    let others = INCLUDED.map(|part| (part.name, part.source));
                    let expected = reference(text, &others, &given);
                    let found = render(text, &others, given).unwrap();
                    assert!(found == expected, "{net:?}: {found}, not {expected}");
                    kernels.insert(found);
                }
            }
        }
    }
    assert_eq!(kernels.len(), 6 * 6 * 2 * 3);
}

/// No branch of a template stands for whatever is left: a loss or count without a branch of its own
/// does not render.
#[test]
fn what_has_no_formula_does_not_render() {
    let losses = [
        Loss::MeanSquaredError,
        Loss::MeanAbsoluteError,
        Loss::Huber { delta: 1.0 },
        Loss::SoftmaxCrossEntropy,
        Loss::SoftmaxCrossEntropyProbabilities,
        Loss::BinaryCrossEntropy,
    ];
    let others = INCLUDED.map(|part| (part.name, part.source));
    for (held, loss) in
        [Held::Registers, Held::Memory].into_iter().flat_map(|held| losses.map(|loss| (held, loss)))
    {
        let net = Net { held, ..net(8, false, &[4, 5, 3], loss) };
        let rendered = |unknown: Option<&str>| {
            let given = net.given().unwrap().into_iter().map(|(name, value)| match unknown {
                Some("counts") if name == "counts" => (name, vec!["unheard_of"].into()),
                Some(unknown) if name == unknown => (name, "unheard_of".into()),
                _ => (name, value),
            });
            render(net.template().source, &others, given.collect())
        };
        assert!(rendered(None).is_ok(), "{net:?}");
        for (unknown, says) in [
            ("loss", "nothing is named this_loss_has_no_formula"),
            ("counts", "nothing is named this_count_has_no_formula"),
        ] {
            assert_eq!(rendered(Some(unknown)), Err(says.into()), "{unknown} of {net:?}");
        }
    }
}

/// Steps after which Mesa 22.3's driver, which ends a shader after 65,535 turns of loops, was seen to end
/// this one, without and with clipping.
#[test]
fn turns_are_those_that_the_driver_counts() {
    let seen: [(&[usize], usize, [usize; 2]); 12] = [
        (&[10, 64, 1], 8, [249, 219]),
        (&[10, 64, 1], 32, [208, 187]),
        (&[10, 64, 1], 64, [138, 128]),
        (&[10, 64, 1], 128, [82, 79]),
        (&[10, 128, 1], 32, [130, 114]),
        (&[10, 256, 1], 32, [74, 64]),
        (&[10, 64, 8], 32, [181, 162]),
        (&[10, 64, 16], 32, [153, 134]),
        (&[64, 1], 32, [306, 293]),
        (&[128, 1], 32, [187, 178]),
        (&[64, 64, 1], 32, [121, 96]),
        (&[64, 64, 64, 1], 32, [73, 56]),
    ];
    for (widths, rows, steps) in seen {
        let net = net(8, true, widths, Loss::MeanSquaredError);
        for (clip, steps) in [false, true].into_iter().zip(steps) {
            let net = Net { held: Held::Memory, clip, ..net.clone() };
            let (moving, turns) = (net.turns_of_dispatch() / 2, net.turns_of_step(rows));
            let (before, after) = (moving + (steps - 1) * turns, moving + (steps + 1) * turns);
            let label = format!("{widths:?}, {rows} rows, clipped: {clip}");
            assert!(before <= 65_535 && 65_535 <= after, "{label}: {turns} turns");
        }
    }
}

//! What a shader takes of what a device allows for one, read from its WGSL like the
//! [bindings](super::reflect): the tests compare it with naga's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::reflect;
use super::reflect::{Access, Binding};
use super::source::Part;
use crate::{Error, Result};

/// What one dispatch of a shader takes, as WebGPU's limits count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Storage buffers that are bound.
    pub storage_buffers: u32,
    /// Uniform buffers that are bound.
    pub uniform_buffers: u32,
    /// Bytes of the largest of those.
    pub uniform_bytes: u64,
    /// Invocations of a workgroup; all have one dimension.
    pub invocations: u32,
    /// Bytes of workgroup memory, each variable in whole 16.
    pub workgroup_bytes: u64,
}

impl Needs {
    /// Those of the shader made of `parts`, with these values of its `override` constants.
    ///
    /// # Errors
    /// [`Error::Bug`] if a declaration is written otherwise than it is read here.
    pub fn of(parts: &[&'static Part], constants: &[(&'static str, f64)]) -> Result<Self> {
        let declared = Declared::known(parts);
        let sizes = declared.sizes_among(constants);
        let mut known = declared.needs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(needs) = known.get(&sizes) {
            return Ok(*needs);
        }
        let name = parts.iter().map(|part| part.name).collect::<Vec<_>>().join(" + ");
        let needs = With { declared: &declared, constants }.needs();
        let needs =
            needs.ok_or_else(|| Error::bug(format!("what {name}.wgsl needs is not told")))?;
        known.insert(sizes, needs);
        Ok(needs)
    }

    /// With the numbers of buffers that `bindings` bind.
    pub(super) fn with(self, bindings: &[Binding]) -> Self {
        let with = |accesses: &[Access]| {
            let found = bindings.iter().filter(|binding| accesses.contains(&binding.access));
            super::word(found.count())
        };
        // A shader has two textures at most; every device takes four.
        let storage_buffers = with(&[Access::Read, Access::ReadWrite]);
        Self { storage_buffers, uniform_buffers: with(&[Access::Uniform]), ..self }
    }
}

/// What a shader declares outside functions.
#[derive(Debug)]
struct Declared {
    /// The lines that declare it.
    lines: Vec<&'static str>,
    bindings: Vec<Binding>,
    /// Of `@workgroup_size(…)`.
    invocations: Vec<&'static str>,
    /// The types of `var<uniform>` and of `var<workgroup>`.
    uniforms: Vec<&'static str>,
    in_workgroup: Vec<&'static str>,
    /// All that sizes are written in: those three, and the values of constants.
    sizes: Vec<&'static str>,
    /// What was reckoned of them, by the values of the constants that sizes depend on.
    needs: Mutex<BTreeMap<Sizes, Needs>>,
}

/// Names of constants and the bits of their values.
type Sizes = Vec<(&'static str, u64)>;

impl Declared {
    /// That of the shader made of `parts`, which is read once in a process: every plan asks for each of its
    /// dispatches.
    fn known(parts: &[&'static Part]) -> Arc<Self> {
        static KNOWN: Mutex<BTreeMap<Vec<&'static str>, Arc<Declared>>> =
            Mutex::new(BTreeMap::new());
        let names = parts.iter().map(|part| part.name).collect();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(names).or_insert_with(|| Arc::new(Self::read(parts))).clone()
    }

    fn read(parts: &[&'static Part]) -> Self {
        let lines = parts.iter().flat_map(|part| part.source.lines());
        let starts =
            ["@", "alias ", "const ", "override ", "struct ", "var<workgroup>", " ", "\t", "}"];
        let lines: Vec<&str> =
            lines.filter(|line| starts.iter().any(|start| line.starts_with(start))).collect();
        // Behind the words, up to the mark; what is declared otherwise has no size, which is an error.
        let behind = |words: &str, mark: char| -> Vec<&'static str> {
            let rest = lines.iter().filter_map(|line| Some(line.split_once(words)?.1));
            rest.map(|rest| rest.split_once(mark).map_or("", |(found, _)| found)).collect()
        };
        let types = |words: &str| -> Vec<&'static str> {
            let declared = behind(words, ';').into_iter();
            declared.map(|text| text.split_once(':').map_or("", |(_, of)| of.trim())).collect()
        };
        let invocations = behind("@workgroup_size(", ')');
        let (uniforms, in_workgroup) = (types("var<uniform> "), types("var<workgroup> "));
        let values = lines.iter().filter_map(|line| {
            let declares = line.starts_with("const ") || line.starts_with("override ");
            Some(line.split_once('=').filter(|_| declares)?.1)
        });
        let sizes = [&invocations, &uniforms, &in_workgroup].into_iter().flatten().copied();
        Self {
            sizes: sizes.chain(values).collect(),
            invocations,
            uniforms,
            in_workgroup,
            bindings: reflect::bindings(parts),
            lines,
            needs: Mutex::default(),
        }
    }

    /// Those of `constants` that the sizes of anything may depend on.
    fn sizes_among(&self, constants: &[(&'static str, f64)]) -> Sizes {
        let matters = |name: &str| self.sizes.iter().any(|size| size.contains(name));
        let constants = constants.iter().filter(|(name, _)| matters(name));
        constants.map(|&(name, value)| (name, value.to_bits())).collect()
    }
}

/// What a shader declares, with the values of its `override` constants.
struct With<'a> {
    declared: &'a Declared,
    constants: &'a [(&'static str, f64)],
}

impl With<'_> {
    fn needs(&self) -> Option<Needs> {
        let mut needs = Needs::default().with(&self.declared.bindings);
        for size in &self.declared.invocations {
            needs.invocations = u32::try_from(self.number(size)?).ok()?;
        }
        for of in &self.declared.uniforms {
            needs.uniform_bytes = needs.uniform_bytes.max(self.bytes(of)?);
        }
        for of in &self.declared.in_workgroup {
            let bytes = self.bytes(of)?.next_multiple_of(16);
            needs.workgroup_bytes = needs.workgroup_bytes.checked_add(bytes)?;
        }
        (needs.invocations > 0).then_some(needs)
    }

    /// The value of products and quotients of numbers and constants.
    fn number(&self, expression: &str) -> Option<u64> {
        let mut value: u64 = 1;
        for part in expression.split('*') {
            for (n, operand) in part.split('/').map(str::trim).enumerate() {
                let digits = operand.strip_suffix('u').unwrap_or(operand);
                let of_operand = match digits.parse() {
                    Ok(of_operand) => of_operand,
                    Err(_) => self.constant(operand)?,
                };
                value = match n {
                    0 => value.checked_mul(of_operand)?,
                    _ => value.checked_div(of_operand)?,
                };
            }
        }
        Some(value)
    }

    fn constant(&self, name: &str) -> Option<u64> {
        if let Some((_, value)) = self.constants.iter().find(|(given, _)| *given == name) {
            return Some(*value as u64);
        }
        self.declared.lines.iter().find_map(|line| {
            let rest = line.strip_prefix("const ").or(line.strip_prefix("override "))?;
            let (declared, value) = rest.split_once('=')?;
            (declared.split(':').next()?.trim() == name).then_some(())?;
            self.number(value.trim().strip_suffix(';')?)
        })
    }

    /// The size of a type without vectors of three.
    fn bytes(&self, of: &str) -> Option<u64> {
        if let Some(inner) = inside(of, "atomic<") {
            return self.bytes(inner);
        }
        for (vector, width) in [("vec2<", 2), ("vec4<", 4)] {
            if let Some(inner) = inside(of, vector) {
                return self.bytes(inner)?.checked_mul(width);
            }
        }
        if let Some(inner) = inside(of, "array<") {
            let (element, count) = inner.rsplit_once(',')?;
            return self.bytes(element.trim())?.checked_mul(self.number(count.trim())?);
        }
        match of {
            "f32" | "u32" | "i32" => Some(4),
            "u64" => Some(8),
            name => self.alias(name).or_else(|| self.structure(name)),
        }
    }

    fn alias(&self, name: &str) -> Option<u64> {
        self.declared.lines.iter().find_map(|line| {
            let (declared, of) = line.strip_prefix("alias ")?.split_once(" = ")?;
            (declared == name).then_some(())?;
            self.bytes(of.strip_suffix(';')?)
        })
    }

    /// Each field begins at a multiple of its size, of 16 at most, and the whole ends at one of the largest.
    fn structure(&self, name: &str) -> Option<u64> {
        let lines = self.declared.lines.iter();
        let code = lines.map(|line| line.split_once("//").map_or(*line, |(code, _)| code));
        let mut from_head = code.skip_while(|line| {
            let named = line.strip_prefix("struct ").and_then(|rest| rest.split_once('{'));
            named.is_none_or(|(declared, _)| declared.trim() != name)
        });
        let mut text = from_head.next()?.split_once('{')?.1.to_owned();
        for line in from_head {
            if text.contains('}') {
                break;
            }
            text += line;
        }
        let (mut end, mut largest): (u64, u64) = (0, 1);
        // Behind each colon is a type, and behind its last comma the next field's name.
        let mut types = text.split_once('}')?.0.split(':').skip(1).peekable();
        while let Some(of) = types.next() {
            let of = if types.peek().is_some() { of.rsplit_once(',')?.0 } else { of };
            let bytes = self.bytes(of.trim().trim_end_matches(',').trim_end())?;
            let begins_at = bytes.clamp(1, 16);
            end = end.next_multiple_of(begins_at).checked_add(bytes)?;
            largest = largest.max(begins_at);
        }
        Some(end.next_multiple_of(largest))
    }
}

/// `u32` of `atomic<u32>`.
fn inside<'a>(text: &'a str, outside: &str) -> Option<&'a str> {
    text.strip_prefix(outside)?.strip_suffix('>')
}

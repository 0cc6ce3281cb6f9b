//! How long workgroup memory takes to answer what a product's shader asks of it.
//!
//! The model: 32 banks of 4 bytes; an access of 16 bytes by each of 64 invocations is served for some of them at a time, 8
//! on AMD's GPUs and 32 on others; each bank gives one word a cycle, and whoever of these asks for that word has it. So
//! they take as many cycles as the bank has different words to give that has most. The places are read from the shader: naga's functions
//! are evaluated for each invocation, as far as they reckon with integers.

use std::collections::{BTreeMap, BTreeSet};

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, BinaryOperator, Block, Expression, Function, Handle, Literal, Module, Statement,
    TypeInner,
};

use crate::Outcome;

/// Invocations whose accesses are counted together.
const INVOCATIONS: u32 = 64;
/// Steps of four terms in a slab.
const STEPS: u32 = 4;

/// Cycles per slab and 64 invocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycles {
    pub reads: u32,
    pub writes: u32,
}

/// Invocations that AMD's GPUs serve at a time, and others.
pub const TOGETHER: [usize; 2] = [8, 32];

/// Those of a product through workgroup memory, by its text, if `together` invocations are served at a time; `None` of
/// any other kernel.
pub fn cycles(wgsl: &str, together: usize) -> Outcome<Option<Cycles>> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let functions = ["rows_of_a", "four_rows_of_a", "block_of_b", "put_a", "put_b"];
    let [rows, four_rows, block, put_a, put_b] = functions.map(|name| named(&module, name));
    let (Some(block), Some(put_a), Some(put_b)) = (block, put_a, put_b) else { return Ok(None) };
    // All that differs of the two kernels: where the functions are told which quarter they are for.
    let (rows, across, quarter, pieces) = match (constant(&module, "ACROSS"), rows, four_rows) {
        (Some(across), Some(rows), _) => {
            let of = |name| constant(&module, name).unwrap_or(0);
            (rows, across, vec![], [of("PIECES_OF_A"), of("PIECES_OF_B")])
        }
        (None, None, Some(four_rows)) => (four_rows, 8, vec![0], [2, 2]),
        _ => return Ok(None),
    };
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|error| error.emit_to_string(wgsl))?;
    let of = |function, arguments: &dyn Fn(u32) -> Vec<u32>| -> Outcome<u32> {
        let places = (0..INVOCATIONS).map(|invocation| {
            let evaluated = Evaluated { module: &module, info: &info };
            evaluated
                .places(function, &arguments(invocation).into_iter().map(Some).collect::<Vec<_>>())
        });
        Ok(conflicts(&places.collect::<Outcome<Vec<_>>>()?, together))
    };
    let mut found = Cycles { reads: 0, writes: 0 };
    let with = |arguments: [u32; 2]| [quarter.as_slice(), &arguments].concat();
    for step in 0..STEPS {
        // `rows_of_a` has the step last, the others in the middle.
        found.reads += of(rows, &|invocation| match quarter.is_empty() {
            true => vec![invocation / across, step],
            false => with([step, invocation / across]),
        })?;
        found.reads += of(block, &|invocation| with([step, invocation % across]))?;
    }
    for (put, pieces) in [put_a, put_b].into_iter().zip(pieces) {
        for piece in 0..pieces {
            found.writes += of(put, &|invocation| with([piece, invocation]))?;
        }
    }
    Ok(Some(found))
}

/// Cycles of accesses of 16 bytes: for each invocation, the places in bytes, one after another.
fn conflicts(places: &[Vec<u32>], together: usize) -> u32 {
    let count = places.first().map_or(0, Vec::len);
    let of_some = |some: &[Vec<u32>], access: usize| {
        let mut words: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for word in some.iter().flat_map(|places| (0..4).map(|i| places[access] / 4 + i)) {
            words.entry(word % 32).or_default().insert(word);
        }
        words.values().map(BTreeSet::len).max().unwrap_or(0) as u32
    };
    let all = places.chunks(together);
    all.flat_map(|some| (0..count).map(move |access| of_some(some, access))).sum()
}

fn named<'a>(module: &'a Module, name: &str) -> Option<Handle<Function>> {
    let mut functions = module.functions.iter();
    functions.find(|(_, f)| f.name.as_deref() == Some(name)).map(|(handle, _)| handle)
}

fn constant(module: &Module, name: &str) -> Option<u32> {
    let mut constants = module.constants.iter();
    let (_, constant) = constants.find(|(_, c)| c.name.as_deref() == Some(name))?;
    match module.global_expressions[constant.init] {
        Expression::Literal(Literal::U32(value)) => Some(value),
        _ => None,
    }
}

/// Functions of a module, for one invocation.
struct Evaluated<'a> {
    module: &'a Module,
    info: &'a ModuleInfo,
}

/// What is known of an expression.
#[derive(Clone, Copy)]
enum Value {
    Integer(u32),
    /// A place in a variable of workgroup memory, in bytes.
    Place(u32),
    Unknown,
}

impl Evaluated<'_> {
    /// The places in workgroup memory that `function` reads or writes, in order.
    fn places(&self, function: Handle<Function>, arguments: &[Option<u32>]) -> Outcome<Vec<u32>> {
        let mut places = Vec::new();
        let of = &self.module.functions[function];
        self.block(function, of, &of.body, arguments, &mut places)?;
        Ok(places)
    }

    fn block(
        &self,
        handle: Handle<Function>,
        function: &Function,
        block: &Block,
        arguments: &[Option<u32>],
        places: &mut Vec<u32>,
    ) -> Outcome<()> {
        let value = |expression| self.value(handle, function, expression, arguments);
        for statement in block.iter() {
            match statement {
                Statement::Emit(range) => {
                    for expression in range.clone() {
                        if let Expression::Load { pointer } = function.expressions[expression]
                            && let Value::Place(place) = value(pointer)?
                        {
                            places.push(place);
                        }
                    }
                }
                Statement::Store { pointer, .. } => {
                    if let Value::Place(place) = value(*pointer)? {
                        places.push(place);
                    }
                }
                Statement::Call { function: called, arguments: given, .. } => {
                    let given = given.iter().map(|&argument| {
                        Ok(match value(argument)? {
                            Value::Integer(integer) => Some(integer),
                            Value::Place(_) | Value::Unknown => None,
                        })
                    });
                    places.extend(self.places(*called, &given.collect::<Outcome<Vec<_>>>()?)?);
                }
                Statement::Block(inner) => {
                    self.block(handle, function, inner, arguments, places)?;
                }
                Statement::Return { .. } => {}
                other => return Err(format!("{:?} is not evaluated: {other:?}", function.name)),
            }
        }
        Ok(())
    }

    fn value(
        &self,
        handle: Handle<Function>,
        function: &Function,
        expression: Handle<Expression>,
        arguments: &[Option<u32>],
    ) -> Outcome<Value> {
        let value = |expression| self.value(handle, function, expression, arguments);
        Ok(match function.expressions[expression] {
            Expression::Literal(Literal::U32(integer)) => Value::Integer(integer),
            Expression::Literal(Literal::I32(integer)) => Value::Integer(integer as u32),
            Expression::Constant(constant) => {
                let init = self.module.constants[constant].init;
                match self.module.global_expressions[init] {
                    Expression::Literal(Literal::U32(integer)) => Value::Integer(integer),
                    _ => Value::Unknown,
                }
            }
            Expression::FunctionArgument(number) => {
                let given = arguments.get(number as usize).copied().flatten();
                given.map_or(Value::Unknown, Value::Integer)
            }
            Expression::Binary { op, left, right } => match (value(left)?, value(right)?) {
                (Value::Integer(left), Value::Integer(right)) => match op {
                    BinaryOperator::Add => Value::Integer(left.wrapping_add(right)),
                    BinaryOperator::Multiply => Value::Integer(left.wrapping_mul(right)),
                    BinaryOperator::Divide if right > 0 => Value::Integer(left / right),
                    BinaryOperator::Modulo if right > 0 => Value::Integer(left % right),
                    _ => Value::Unknown,
                },
                _ => Value::Unknown,
            },
            Expression::GlobalVariable(variable)
                if self.module.global_variables[variable].space == AddressSpace::WorkGroup =>
            {
                Value::Place(0)
            }
            Expression::Access { base, index } => match (value(base)?, value(index)?) {
                (Value::Place(place), Value::Integer(index)) => {
                    self.inside(handle, base, place, index)?
                }
                (Value::Place(_), _) => {
                    return Err(format!("{:?}: a place is not known", function.name));
                }
                _ => Value::Unknown,
            },
            Expression::AccessIndex { base, index } => match value(base)? {
                Value::Place(place) => self.inside(handle, base, place, index)?,
                _ => Value::Unknown,
            },
            _ => Value::Unknown,
        })
    }

    /// The place of element or member `index` of what `base` points to, at `place`.
    fn inside(
        &self,
        function: Handle<Function>,
        base: Handle<Expression>,
        place: u32,
        index: u32,
    ) -> Outcome<Value> {
        let types = &self.module.types;
        let of_base = &self.info[function][base].ty;
        let pointed_to = match of_base.inner_with(types) {
            TypeInner::Pointer { base, .. } => &types[*base].inner,
            other => return Err(format!("{other:?} is no pointer")),
        };
        Ok(match pointed_to {
            TypeInner::Array { stride, .. } => Value::Place(place + index * stride),
            TypeInner::Struct { members, .. } => {
                let member = members.get(index as usize);
                Value::Place(place + member.map_or(0, |member| member.offset))
            }
            _ => Value::Unknown,
        })
    }
}

#[test]
fn words_of_a_bank_come_one_after_another() {
    let same = |place: u32| (0..8).map(|_| vec![place]).collect::<Vec<_>>();
    assert_eq!(conflicts(&same(48), 8), 1, "whoever asks for the same word has it");
    let every = |stride: u32| (0..8).map(|i| vec![i * stride]).collect::<Vec<_>>();
    assert_eq!(conflicts(&every(16), 8), 1, "eight pieces side by side are in all 32 banks");
    assert_eq!(conflicts(&every(128), 8), 8);
    assert_eq!(conflicts(&every(64), 8), 4);
    assert_eq!(conflicts(&[vec![0, 0], vec![128, 16]], 8), 3, "two accesses, of two invocations");
}

//! Running a graph on the device and comparing it with the twin.

use std::cell::RefCell;
use std::sync::Once;

use wgrad::exec::{Executor, Step};
use wgrad::graph::{DType, Graph, Layout, Tensor, UpdateRule};
use wgrad::kernel::matmul::{Memory, Tiling};
use wgrad::plan::{AdapterClass, Place, Plan, PlanOptions, Precision, Target};
use wgrad::{Error, Gpu};

use super::cases::LAYOUTS;
use super::num::Num;
use super::twin::{self, Value, Values};

/// The device, a test's alone while it runs (libtest gives each a thread): a test that breaks its device
/// takes no other test along. There must be one: a test that skips itself proves nothing.
pub fn gpu() -> Gpu {
    static ANNOUNCE: Once = Once::new();
    thread_local! {
        static GPU: Lent = Lent::new({
            let gpu = lend();
            let tiling = asked_for(&gpu.target());
            let gpu = gpu.tiled(tiling);
            ANNOUNCE.call_once(|| {
                let tiling = gpu.target().tiling.map_or("by the rule".into(), |t| t.to_string());
                eprintln!("tests run on {}; products are tiled {tiling}", gpu.describe());
            });
            vec![gpu]
        });
    }
    GPU.with(|lent| lent.0.borrow()[0].clone())
}

/// Devices whose tests have ended, for the next ones: compiled shaders are kept by the device.
#[cfg(not(target_arch = "wasm32"))]
fn pool<T>(work: impl FnOnce(&mut Vec<Gpu>) -> T) -> T {
    static POOL: std::sync::Mutex<Vec<Gpu>> = std::sync::Mutex::new(Vec::new());
    work(&mut POOL.lock().unwrap())
}

/// A page has one thread, which keeps its devices from test to test.
#[cfg(target_arch = "wasm32")]
fn pool<T>(work: impl FnOnce(&mut Vec<Gpu>) -> T) -> T {
    work(&mut Vec::new())
}

/// A device that works: one from the pool, or else a new one.
fn lend() -> Gpu {
    let pooled = pool(|devices| {
        devices.retain(|gpu| !gpu.is_lost());
        devices.pop()
    });
    pooled.unwrap_or_else(make)
}

/// Devices that a thread has from the pool, until it ends.
struct Lent(RefCell<Vec<Gpu>>);

impl Lent {
    fn new(devices: Vec<Gpu>) -> Self {
        Self(RefCell::new(devices))
    }
}

impl Drop for Lent {
    /// Nothing is dropped here: wgpu wants thread-locals of its own then, which may be gone already.
    fn drop(&mut self) {
        pool(|devices| devices.append(&mut self.0.borrow_mut()));
    }
}

/// A device of the kind that `WGRAD_TEST_DEVICE` names: `default-limits` for one as WebGPU guarantees it,
/// `gpu-plans` for one whose kernels are chosen as on a GPU.
fn make() -> Gpu {
    let best = || match Gpu::new_blocking() {
        Ok(gpu) => gpu,
        Err(error) => panic!("these tests need a WebGPU adapter (lavapipe will do): {error}"),
    };
    match std::env::var("WGRAD_TEST_DEVICE").as_deref() {
        Ok("default-limits") => {
            let (device, queue) = plain_device();
            Gpu::from_device(&device, &queue)
        }
        Ok("gpu-plans") => best().planned_as_gpu(32),
        Ok(other) => {
            panic!("WGRAD_TEST_DEVICE is '{other}', neither 'default-limits' nor 'gpu-plans'")
        }
        Err(_) => best(),
    }
}

/// A device with WebGPU's default limits and no optional feature, as an app might own it.
pub fn plain_device() -> (wgpu::Device, wgpu::Queue) {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let instance = wgpu::Instance::new(descriptor);
    let request = async {
        let adapter = instance.request_adapter(&Default::default()).await.expect("an adapter");
        adapter.request_device(&Default::default()).await.expect("a device")
    };
    pollster::block_on(request)
}

/// A step that draws its batch from `batch_start` on.
pub fn step_from(batch_start: usize) -> Step {
    Step::training(UpdateRule::Sgd { weight_decay: 0.0 }, 0, batch_start as u32, 0.0)
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Run {
    pub steps: Vec<Step>,
    pub fuse: bool,
    pub reuse_memory: bool,
    /// How matrix products are tiled, instead of as the rule has it.
    pub tiling: Option<Tiling>,
    /// Workgroups that keep the device busy, of 64 invocations if it is planned for as a GPU, instead of as it is
    /// known.
    pub busy: Option<usize>,
    /// Whether memory may be read in integers of 64 bits, instead of whether the device can.
    pub words: Option<bool>,
    /// Workgroups in a dimension, at most, instead of what the device allows.
    pub max_workgroups: Option<u32>,
    /// Turns that loops may take, at most, instead of what drivers grant.
    pub most_turns: Option<u64>,
    /// In how many bits numbers lie between kernels.
    pub precision: Precision,
    /// Bytes of a binding, at most, instead of what the device allows.
    pub max_binding_bytes: Option<u64>,
}

impl Default for Run {
    fn default() -> Self {
        Run {
            steps: vec![Step::forward(0)],
            fuse: true,
            reuse_memory: true,
            tiling: None,
            busy: None,
            words: None,
            max_workgroups: None,
            most_turns: None,
            precision: Precision::F32,
            max_binding_bytes: None,
        }
    }
}

impl Run {
    /// Whether kernels are chosen as for a GPU.
    pub fn on_gpu(&self) -> bool {
        gpu().target().class == AdapterClass::Gpu
    }

    pub fn plan(&self, graph: &Graph, outputs: &[Tensor]) -> Plan {
        self.try_plan(graph, outputs).expect("a plan")
    }

    pub fn try_plan(&self, graph: &Graph, outputs: &[Tensor]) -> Result<Plan, Error> {
        let options = PlanOptions {
            outputs: outputs.to_vec(),
            fuse: self.fuse,
            reuse_memory: self.reuse_memory,
            precision: self.precision,
            ..PlanOptions::default()
        };
        let of_gpu = gpu().target();
        let max_workgroups = self.max_workgroups.unwrap_or(of_gpu.max_workgroups);
        let busy = self.busy.unwrap_or(of_gpu.busy);
        // A GPU goes by invocations.
        let filled_by = self.busy.map_or(of_gpu.filled_by, |workgroups| 64 * workgroups);
        // The device's own may need integers of 64 bits.
        let tiling = self.tiling.or(of_gpu.tiling.filter(|_| self.words.is_none()));
        let words = self.words.unwrap_or(of_gpu.words);
        let most_turns = self.most_turns.unwrap_or(of_gpu.most_turns);
        let max_binding_bytes = self.max_binding_bytes.unwrap_or(of_gpu.max_binding_bytes);
        let target = Target {
            tiling,
            max_workgroups,
            busy,
            filled_by,
            words,
            most_turns,
            max_binding_bytes,
            ..of_gpu
        };
        Plan::with_options(graph, &options, &target)
    }

    /// An executor of `graph` with `values` written.
    pub fn executor(&self, graph: &Graph, outputs: &[Tensor], values: &Values) -> Executor {
        let plan = self.plan(graph, outputs);
        let executor = Executor::new_blocking(&gpu(), plan).expect("an executor");
        write(&executor, values);
        executor
    }

    /// [`Run::run`] on numbers that need not be finite.
    pub fn run_raw(&self, graph: &Graph, outputs: &[Tensor], values: &Values) -> Vec<Vec<f32>> {
        let plan = self.plan(graph, outputs);
        let mut executor = Executor::new_blocking(&gpu(), plan).expect("an executor");
        write_all_raw(&executor, values);
        executor.run_blocking(&self.steps).expect("steps");
        outputs.iter().map(|&tensor| read(graph, &executor, tensor)).collect()
    }

    /// Runs the steps and reads `outputs`. `u32` outputs come as floats.
    pub fn run(&self, graph: &Graph, outputs: &[Tensor], values: &Values) -> Vec<Vec<f32>> {
        let mut executor = self.executor(graph, outputs, values);
        executor.run_blocking(&self.steps).expect("steps");
        outputs.iter().map(|&tensor| read(graph, &executor, tensor)).collect()
    }
}

/// Writes inputs and parameters.
pub fn write(executor: &Executor, values: &Values) {
    for (&tensor, value) in values {
        if executor.plan().place(tensor) == Place::Nowhere {
            continue; // nothing that is asked for depends on it
        }
        match value {
            Value::F(_) => executor.write(tensor, &super::f32s(value)).expect("an input"),
            Value::U(values) => executor.write_indices(tensor, values).expect("an input"),
        }
    }
}

/// Writes what [`Executor::write`] refuses: numbers that are not finite.
pub fn write_raw(executor: &Executor, tensor: Tensor, values: &[f32]) {
    let (buffer, offset) = executor.buffer_of(tensor).expect("an input");
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    executor.gpu().queue().write_buffer(buffer, offset, &bytes);
}

/// [`write`], of numbers too that are not finite.
pub fn write_all_raw(executor: &Executor, values: &Values) {
    for (&tensor, value) in values {
        match value {
            _ if executor.plan().place(tensor) == Place::Nowhere => {}
            Value::F(_) => write_raw(executor, tensor, &super::f32s(value)),
            Value::U(indices) => executor.write_indices(tensor, indices).expect("an input"),
        }
    }
}

fn read(graph: &Graph, executor: &Executor, tensor: Tensor) -> Vec<f32> {
    match graph.info(tensor).unwrap().dtype {
        DType::F32 | DType::F16 => executor.read_blocking(tensor).expect("an output"),
        DType::U32 => {
            let indices = pollster::block_on(executor.read_indices(tensor)).expect("an output");
            indices.into_iter().map(|index| index as f32).collect()
        }
    }
}

/// One step of a fused plan.
pub fn run(graph: &Graph, outputs: &[Tensor], values: &Values) -> Vec<Vec<f32>> {
    Run::default().run(graph, outputs, values)
}

/// Tilings of matrix products that the device can run: all that the rule may choose, and what else puts
/// the parts of the shader together in another way.
pub fn tilings() -> Vec<Tiling> {
    tilings_of(&gpu().target())
}

/// Each layout with each tiling, and each with each case: in turn, and not each tiling with each case, since a driver
/// compiles a kernel for each.
pub fn tilings_in_turn<C: Copy>(cases: &[C]) -> Vec<(Layout, Tiling, C)> {
    let tilings = tilings();
    let of_layout = |(first, layout)| {
        let both =
            tilings.clone().into_iter().cycle().zip(cases.iter().copied().cycle().skip(first));
        both.take(tilings.len().max(cases.len())).map(move |(tiling, case)| (layout, tiling, case))
    };
    LAYOUTS.into_iter().enumerate().flat_map(of_layout).collect()
}

fn tilings_of(target: &Target) -> Vec<Tiling> {
    let &Target { subgroup, words, texels, .. } = target;
    let registers = |subgroup, strips, columns, halves, memory| Tiling::Registers {
        subgroup,
        strips,
        columns,
        halves,
        memory,
    };
    let memory = if words { Memory::Words } else { Memory::Numbers };
    let mut all = vec![Tiling::Shared { side: 8 }, Tiling::Shared { side: 16 }, Tiling::Quarters];
    all.extend([Memory::Numbers, Memory::Words].map(|memory| registers(None, 1, 4, false, memory)));
    if subgroup.is_some() {
        for (strips, columns) in [(1, 4), (2, 4), (4, 4), (2, 8), (3, 8), (4, 8)] {
            all.push(registers(subgroup, strips, columns, false, memory));
        }
        all.push(registers(subgroup, 2, 4, true, memory));
        if words {
            all.push(registers(subgroup, 1, 4, false, Memory::Numbers));
            all.push(registers(subgroup, 2, 8, false, Memory::Numbers));
            for (strips, columns, halves) in [(2, 4, true), (4, 4, false), (3, 8, false)] {
                all.push(registers(subgroup, strips, columns, halves, Memory::Texels));
            }
        }
    }
    all.retain(|tiling| tiling.runs_with(subgroup, words, texels));
    all
}

/// The tiling that `WGRAD_TEST_TILING` names, which then takes the place of the rule in all tests:
/// `scripts/test-tilings` runs them with each.
fn asked_for(target: &Target) -> Option<Tiling> {
    let name = std::env::var("WGRAD_TEST_TILING").ok()?;
    let all = tilings_of(target);
    let found = all.iter().find(|tiling| tiling.to_string() == name);
    let names: Vec<String> = all.iter().map(Tiling::to_string).collect();
    Some(*found.unwrap_or_else(|| panic!("there is no tiling '{name}', but {}", names.join("; "))))
}

/// Runs `graph` on the device and in the twin and compares `outputs`.
pub fn check(name: &str, graph: &Graph, outputs: &[Tensor], values: &Values) {
    check_run(&Run::default(), name, graph, outputs, values);
}

/// [`check`] of a run that is not the usual one.
pub fn check_run(run: &Run, name: &str, graph: &Graph, outputs: &[Tensor], values: &Values) {
    let actual = run.run(graph, outputs, values);
    check_narrow(run, &actual, name, graph, outputs, values);
    let all = twin::evaluate_stored(graph, values, &Step::forward(0), &run.plan(graph, outputs));
    for (&output, actual) in outputs.iter().zip(&actual) {
        let name = format!(
            "{name}, '{}' ({})",
            graph.info(output).unwrap().name,
            graph.shape(output).unwrap()
        );
        let expected = twin::value_of(graph, &all, output);
        match run.precision {
            Precision::F32 => compare(&name, actual, &expected),
            _ => compare_within(MIXED, &name, actual, &expected),
        }
    }
}

/// The workgroups in a dimension, at least, on a device that can run `plan`: with so few its largest
/// dispatch needs both dimensions, and mostly has workgroups too many, as where there are more than
/// 65,535.
pub fn narrowest(plan: &Plan) -> u32 {
    let most = plan.dispatches().iter().map(|dispatch| dispatch.launch.workgroups).max();
    let most = most.unwrap_or(1) as u32;
    (1..).find(|side| side * side >= most).unwrap()
}

/// The same with as few workgroups in a dimension as there can be. The bits must be the same. Cases of
/// many workgroups are left out: what they cover, small ones do.
fn check_narrow(
    run: &Run,
    actual: &[Vec<f32>],
    name: &str,
    graph: &Graph,
    outputs: &[Tensor],
    values: &Values,
) {
    let plan = run.plan(graph, outputs);
    let most = plan.dispatches().iter().map(|dispatch| dispatch.launch.workgroups).max();
    if !most.is_some_and(|most| (3..=4096).contains(&most)) {
        return;
    }
    let narrow = Run { max_workgroups: Some(narrowest(&plan)), ..run.clone() };
    let narrow = narrow.run(graph, outputs, values);
    for ((&output, actual), narrow) in outputs.iter().zip(actual).zip(&narrow) {
        let differs = |i: &usize| actual[*i].to_bits() != narrow[*i].to_bits();
        if let Some(at) = (0..actual.len()).find(differs) {
            let info = graph.info(output).unwrap();
            panic!(
                "{name}, '{}' ({}), few workgroups in a dimension: [{at}] is {:e}, not {:e}",
                info.name, info.shape, narrow[at], actual[at]
            );
        }
    }
}

/// How large the error bounds of numbers may be against them: in 32 bits, and where some are stored in 16. There a
/// number near the middle of two may be rounded to either, so that its bound is the gap between them.
const F32: f64 = 1e-3;
const MIXED: f64 = 5e-2;

/// Fails unless each element of `actual` is within the error bound of `expected`, and the bounds
/// are small against the values, so that a wrong sign or factor cannot hide in them.
pub fn compare(name: &str, actual: &[f32], expected: &Value) {
    compare_within(F32, name, actual, expected);
}

fn compare_within(limit: f64, name: &str, actual: &[f32], expected: &Value) {
    let expected = numbers(expected);
    let (size, bound) = (rms(&expected, |x| x.value), rms(&expected, |x| x.error));
    assert!(
        bound <= limit * size + 1e-30,
        "{name}: error bounds of {bound:.3e} against values of {size:.3e} test nothing"
    );
    within_bounds(name, actual, &expected);
}

fn numbers(value: &Value) -> Vec<Num> {
    match value {
        Value::F(values) => values.clone(),
        Value::U(values) => values.iter().map(|&i| Num::exact(f64::from(i))).collect(),
    }
}

/// Fails unless each element of `actual` is within the error bound of `expected`.
pub fn within_bounds(name: &str, actual: &[f32], expected: &[Num]) {
    assert_eq!(actual.len(), expected.len(), "{name}: number of elements");
    let excess = |i: usize| (f64::from(actual[i]) - expected[i].value).abs() / expected[i].error;
    let wrong = |i: usize| {
        let off = (f64::from(actual[i]) - expected[i].value).abs();
        off.is_nan() || off > expected[i].error
    };
    let failures: Vec<usize> = (0..actual.len()).filter(|&i| wrong(i)).collect();
    if let Some(&first) = failures.first() {
        let worst =
            failures.iter().copied().fold(first, |a, b| if excess(b) > excess(a) { b } else { a });
        let show = |i: usize| {
            let Num { value, error } = expected[i];
            format!("[{i}] is {:e}, not {value:e} ± {error:.1e}", actual[i])
        };
        panic!(
            "{name}: {} of {} elements are wrong; first {}; worst {}",
            failures.len(),
            actual.len(),
            show(first),
            show(worst)
        );
    }
}

fn rms(values: &[Num], of: impl Fn(&Num) -> f64) -> f64 {
    (values.iter().map(|x| of(x) * of(x)).sum::<f64>() / values.len() as f64).sqrt()
}

/// `count` more devices of the kind that [`gpu`] is, made one after another.
pub fn lanes(count: usize) -> Vec<Gpu> {
    thread_local! {
        static LANES: Lent = Lent::new(Vec::new());
    }
    gpu(); // announces the kind
    LANES.with(|lent| {
        let mut lanes = lent.0.borrow_mut();
        lanes.retain(|gpu| !gpu.is_lost());
        while lanes.len() < count {
            lanes.push(lend());
        }
        lanes[..count].to_vec()
    })
}

/// A new device.
pub fn fresh() -> Gpu {
    gpu(); // announces the kind
    make()
}

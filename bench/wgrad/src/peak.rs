//! The adapter's own peak: a kernel of multiply-adds in registers.

use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed, words};
use wgrad::Gpu;

const INVOCATIONS: u64 = 1 << 14;
const WORKGROUP: u64 = 64;
/// Multiply-adds of each accumulator in a turn of the loop: software drivers mask what a turn has changed, once for
/// each accumulator, and that is no arithmetic.
const EACH_TURN: u64 = 16;

/// One way to write the kernel: accumulators of four numbers, and how they multiply and add.
struct Variant {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
}

pub struct Peak {
    gpu: Gpu,
    variants: Vec<Variant>,
    fastest: usize,
}

impl Peak {
    /// Tries every variant once and keeps the fastest.
    pub fn new(gpu: &Gpu, multiply_adds: u64) -> Result<Self, String> {
        let mut variants = Vec::new();
        for vectors in [1, 2, 3, 4, 8] {
            for multiply_add in ["fma(A, b, c)", "A * b + c"] {
                let rounds = multiply_adds / (INVOCATIONS * 4 * vectors * EACH_TURN);
                variants.push(variant(gpu, vectors, multiply_add, rounds));
            }
        }
        let mut peak = Self { gpu: gpu.clone(), variants, fastest: 0 };
        let mut best = f64::INFINITY;
        for index in 0..peak.variants.len() {
            for _ in 0..2 {
                let seconds = peak.time(index)?.seconds[0];
                if seconds < best {
                    (best, peak.fastest) = (seconds, index);
                }
            }
        }
        Ok(peak)
    }

    fn time(&self, index: usize) -> Result<Measured, String> {
        let Variant { pipeline, bind_group } = &self.variants[index];
        timed(|| {
            let device = self.gpu.device();
            let mut encoder = device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bind_group, &[]);
            pass.dispatch_workgroups((INVOCATIONS / WORKGROUP) as u32, 1, 1);
            drop(pass);
            self.gpu.queue().submit([encoder.finish()]);
            device.poll(wgpu::PollType::wait_indefinitely()).map_err(words)?;
            Ok(0.0)
        })
    }
}

impl Trial for Peak {
    fn run(&mut self) -> Result<Measured, String> {
        self.time(self.fastest)
    }
}

fn variant(gpu: &Gpu, vectors: u64, multiply_add: &str, rounds: u64) -> Variant {
    let each = |text: &dyn Fn(u64) -> String| (0..vectors).map(text).collect::<Vec<_>>();
    let declare = each(&|v| format!("var s{v} = vec4<f32>(start + {v}.0);")).join("\n");
    let sum = |v| format!("s{v}");
    let step = each(&|v| format!("{} = {};", sum(v), multiply_add.replace('A', &sum(v))));
    let shader = include_str!("peak.wgsl")
        .replace("/* accumulators */", &declare)
        .replace("/* multiply-adds */", &step.join("\n").repeat(EACH_TURN as usize))
        .replace("/* their sum */", &each(&sum).join(" + "));
    let device = gpu.device();
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("peak"),
        source: wgpu::ShaderSource::Wgsl(shader.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("peak"),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &[("rounds", rounds as f64)],
            ..Default::default()
        },
        cache: None,
    });
    let sums = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("sums"),
        size: INVOCATIONS * 4,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: sums.as_entire_binding() }],
    });
    Variant { pipeline, bind_group }
}

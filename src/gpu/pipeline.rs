//! Compiled shaders, each compiled once per device.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use super::Gpu;
use crate::Error;
use crate::kernel::Part;
use crate::kernel::needs::Needs;
use crate::kernel::reflect::{self, Access, Binding};
use crate::kernel::whole_step::Net;

/// Name of the binding that holds the step record; it is bound with a dynamic offset.
const STEP: &str = "step";

/// A compiled shader with the layout of its bindings.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
    pub(crate) bindings: Vec<Binding>,
}

impl Pipeline {
    /// Whether `binding` is the step record.
    pub(crate) fn is_step(binding: &Binding) -> bool {
        binding.name == STEP && binding.access == Access::Uniform
    }
}

/// What tells pipelines apart: the files (or what a whole-step kernel was made for) and the values of the
/// constants, by their bits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    parts: Vec<Cow<'static, str>>,
    constants: Vec<(&'static str, u64)>,
}

/// A shader to compile.
struct Code {
    name: &'static str,
    text: String,
    bindings: Vec<Binding>,
}

#[derive(Debug, Default)]
pub(super) struct Pipelines {
    // A model needs tens of pipelines and looks them up once: a list will do.
    compiled: Mutex<Vec<(Key, Arc<Pipeline>)>>,
}

impl Pipelines {
    pub(super) async fn get(
        &self,
        gpu: &Gpu,
        parts: &[&'static Part],
        constants: &[(&'static str, f64)],
    ) -> Result<Arc<Pipeline>, Error> {
        let key = Key {
            parts: parts.iter().map(|part| part.name.into()).collect(),
            constants: constants.iter().map(|&(name, value)| (name, value.to_bits())).collect(),
        };
        if let Some(pipeline) = self.known(&key) {
            return Ok(pipeline);
        }
        // A program's own kernel stands before the prelude.
        let main = parts.iter().rfind(|part| part.source.contains("fn main("));
        let name = main.map_or("", |part| part.name);
        gpu.target.launch.check(name, &Needs::of(parts, constants)?)?;
        let code = Code { name, text: reflect::source(parts), bindings: reflect::bindings(parts) };
        self.compile(gpu, key, code, constants).await
    }

    /// The training kernel of a small net.
    pub(super) async fn whole_step(&self, gpu: &Gpu, net: &Net) -> Result<Arc<Pipeline>, Error> {
        let key = Key { parts: vec![net.key().into()], constants: Vec::new() };
        if let Some(pipeline) = self.known(&key) {
            return Ok(pipeline);
        }
        gpu.target.launch.check("the whole-step kernel", &net.needs())?;
        let code = Code { name: "whole step", text: net.source()?, bindings: net.bindings() };
        self.compile(gpu, key, code, &[]).await
    }

    fn known(&self, key: &Key) -> Option<Arc<Pipeline>> {
        let compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.iter().find(|(k, _)| k == key).map(|(_, pipeline)| pipeline.clone())
    }

    async fn compile(
        &self,
        gpu: &Gpu,
        key: Key,
        code: Code,
        constants: &[(&'static str, f64)],
    ) -> Result<Arc<Pipeline>, Error> {
        let pipeline = Arc::new(compile(gpu, code, constants).await?);
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.push((key, pipeline.clone()));
        Ok(pipeline)
    }
}

async fn compile(
    gpu: &Gpu,
    code: Code,
    constants: &[(&'static str, f64)],
) -> Result<Pipeline, Error> {
    let Code { name, text, bindings } = code;
    let entries: Vec<_> = bindings.iter().map(layout_entry).collect();
    gpu.tally().pipelines.add(1);
    gpu.scoped(&format!("compiling {name}.wgsl"), || {
        let device = gpu.device();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(text.into()),
        });
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(name),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                ..Default::default()
            },
            cache: None,
        });
        Pipeline { pipeline, layout, bindings }
    })
    .await
}

fn layout_entry(binding: &Binding) -> wgpu::BindGroupLayoutEntry {
    let buffer = |ty| wgpu::BindingType::Buffer {
        ty,
        has_dynamic_offset: Pipeline::is_step(binding),
        min_binding_size: None,
    };
    let ty = match binding.access {
        Access::Uniform => buffer(wgpu::BufferBindingType::Uniform),
        Access::Read => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
        Access::ReadWrite => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
        Access::Texels => wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::ReadOnly,
            format: super::texels::FORMAT,
            view_dimension: wgpu::TextureViewDimension::D2,
        },
    };
    let (binding, visibility) = (binding.index, wgpu::ShaderStages::COMPUTE);
    wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None }
}

//! The app: it owns the device, its error handler and its frames, and knows nothing of training.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wgpu::BufferUsages as Usage;

use crate::common::Outcome;

/// A device with default limits and no optional features, and an image on it.
pub struct App {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    errors: Arc<Mutex<Vec<String>>>,
    shader: wgpu::ComputePipeline,
    image: wgpu::Buffer,
    readback: wgpu::Buffer,
}

impl App {
    /// Opens the adapter whose name or driver contains `name`, or the one that WebGPU prefers.
    pub async fn new(name: Option<&str>, pixels: usize) -> Outcome<Self> {
        let adapter = adapter(name).await?;
        let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;
        let errors: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = errors.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
        }));
        let shader = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("image"),
            layout: None,
            module: &device.create_shader_module(wgpu::include_wgsl!("image.wgsl")),
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("image"),
                size: 4 * pixels as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        let image = buffer(Usage::STORAGE | Usage::COPY_SRC);
        let readback = buffer(Usage::COPY_DST | Usage::MAP_READ);
        Ok(Self { device, queue, errors, shader, image, readback })
    }

    /// What the app's error handler has heard since it was last asked.
    pub fn take_errors(&self) -> Vec<String> {
        std::mem::take(&mut *self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A mistake of the app's own: a buffer for the host to read that shaders write.
    pub fn blunder(&self) {
        let _ = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("the app's blunder"),
            size: 4,
            usage: Usage::MAP_READ | Usage::STORAGE,
            mapped_at_creation: false,
        });
    }

    /// Binds the colours that the image is made from: where they are, and nothing is copied.
    pub fn bind(&self, (colours, offset): (&wgpu::Buffer, u64)) -> wgpu::BindGroup {
        let bytes = 3 * self.image.size();
        let colours =
            wgpu::BufferBinding { buffer: colours, offset, size: std::num::NonZeroU64::new(bytes) };
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("image"),
            layout: &self.shader.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::Buffer(colours),
                },
                wgpu::BindGroupEntry { binding: 1, resource: self.image.as_entire_binding() },
            ],
        })
    }

    /// Records the drawing of the image.
    pub fn draw(&self, encoder: &mut wgpu::CommandEncoder, colours: &wgpu::BindGroup) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.shader);
        pass.set_bind_group(0, colours, &[]);
        pass.dispatch_workgroups((self.image.size() as u32 / 4).div_ceil(64), 1, 1);
    }

    /// Ends a frame: submits, and waits for the device, as a game waits for the display.
    pub fn present(&self, encoder: wgpu::CommandEncoder) -> Outcome {
        let index = self.queue.submit([encoder.finish()]);
        let timeout = Some(Duration::from_secs(60));
        self.device.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout })?;
        Ok(())
    }

    /// The image as it is: four bytes per pixel.
    pub fn screenshot(&self) -> Outcome<Vec<u8>> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.image, 0, &self.readback, 0, self.image.size());
        self.queue.submit([encoder.finish()]);
        self.readback.map_async(wgpu::MapMode::Read, .., |_| {});
        self.device.poll(wgpu::PollType::wait_indefinitely())?;
        let pixels = self.readback.get_mapped_range(..)?.to_vec();
        self.readback.unmap();
        Ok(pixels)
    }
}

async fn adapter(name: Option<&str>) -> Outcome<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let Some(name) = name else {
        return Ok(instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?);
    };
    let mut found = Vec::new();
    for adapter in instance.enumerate_adapters(wgpu::Backends::all()).await {
        let info = adapter.get_info();
        let label = format!("{} ({} {})", info.name, info.driver, info.driver_info);
        if label.to_lowercase().contains(&name.to_lowercase()) {
            return Ok(adapter);
        }
        found.push(label);
    }
    Err(format!("no adapter named '{name}'; found: {}", found.join("; ")).into())
}

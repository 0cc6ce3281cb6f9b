//! Choosing an adapter.

use crate::Error;

/// Which adapter to use. The default takes the best there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterChoice {
    /// Part of the adapter's or the driver's name, in any case: `nvidia`, `llvmpipe`.
    pub name: Option<String>,
    /// Position in [`adapters`]' list, counted after the other criteria.
    pub index: Option<usize>,
    /// APIs to look at; all if none is given.
    pub backends: Option<wgpu::Backends>,
}

impl AdapterChoice {
    /// The best adapter whose name or driver contains `name`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    fn describe(&self) -> String {
        let mut words = Vec::new();
        if let Some(name) = &self.name {
            words.push(format!("named '{name}'"));
        }
        if let Some(index) = self.index {
            words.push(format!("at position {index}"));
        }
        if let Some(backends) = self.backends {
            words.push(format!("of {backends:?}"));
        }
        if words.is_empty() { "on this system".into() } else { words.join(" ") }
    }
}

/// All adapters, best first: discrete, integrated, virtual, software; within a kind in the order
/// of the system. In a browser there is at most one.
pub async fn adapters() -> Vec<wgpu::AdapterInfo> {
    list(None).await.iter().map(wgpu::Adapter::get_info).collect()
}

/// [`adapters`], waiting for them.
#[cfg(not(target_arch = "wasm32"))]
pub fn adapters_blocking() -> Vec<wgpu::AdapterInfo> {
    pollster::block_on(adapters())
}

pub(super) async fn pick(choice: &AdapterChoice) -> Result<wgpu::Adapter, Error> {
    let all = list(choice.backends).await;
    let found: Vec<String> = all.iter().map(|a| label(&a.get_info())).collect();
    let fits = |adapter: &wgpu::Adapter| {
        choice.name.as_ref().is_none_or(|name| {
            label(&adapter.get_info()).to_lowercase().contains(&name.to_lowercase())
        })
    };
    let mut matching = all.into_iter().filter(fits);
    matching.nth(choice.index.unwrap_or(0)).ok_or_else(|| Error::NoAdapter {
        wanted: choice.describe(),
        remedy: if found.is_empty() { install_hint() } else { "Choose one of these.".into() },
        found: if found.is_empty() { "none".into() } else { found.join("; ") },
    })
}

pub(super) fn label(info: &wgpu::AdapterInfo) -> String {
    let driver = format!("{} {}", info.driver, info.driver_info);
    format!("{} ({}, {})", info.name, driver.trim(), info.backend)
}

#[cfg(not(target_arch = "wasm32"))]
async fn list(backends: Option<wgpu::Backends>) -> Vec<wgpu::Adapter> {
    let wanted = backends.unwrap_or(wgpu::Backends::all());
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wanted,
        // No validation layers or debug names unless the app asks for them through its own device.
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = instance.enumerate_adapters(wanted).await;
    adapters.retain(|adapter| adapter.get_info().backend != wgpu::Backend::Noop);
    // Stable, so adapters of a kind stay in the system's order.
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

#[cfg(target_arch = "wasm32")]
async fn list(_backends: Option<wgpu::Backends>) -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::BROWSER_WEBGPU,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    instance.request_adapter(&options).await.into_iter().collect()
}

#[cfg(not(target_arch = "wasm32"))]
fn rank(kind: wgpu::DeviceType) -> u32 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Cpu => 3,
        wgpu::DeviceType::Other => 4,
    }
}

fn install_hint() -> String {
    let hint = if cfg!(target_arch = "wasm32") {
        "Use a browser with WebGPU switched on (Chrome or Edge 113, Safari 26, Firefox 141, or later)."
    } else if cfg!(target_os = "linux") {
        "Install your GPU's Vulkan driver, or a software driver: 'apt-get install mesa-vulkan-drivers' \
         (Debian, Ubuntu), 'dnf install mesa-vulkan-drivers' (Fedora), 'pacman -S vulkan-swrast' (Arch)."
    } else if cfg!(target_os = "windows") {
        "Install your GPU's driver; DirectX 12 and WARP, its software adapter, come with Windows 10 and later."
    } else if cfg!(target_os = "macos") {
        "Metal comes with every Mac since 2012; run outside a virtual machine without graphics."
    } else {
        "Install a Vulkan driver."
    };
    hint.into()
}

//! Choosing an adapter.

use crate::Error;

/// Which adapter to use. The default takes the best there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterChoice {
    /// Part of the adapter's or the driver's name, in any case: `nvidia`, `llvmpipe`.
    pub name: Option<String>,
    /// Position in [`adapters`]' list, counted after the other criteria.
    pub index: Option<usize>,
    /// APIs to look at; all if none is given. In a browser there is one, `BROWSER_WEBGPU`.
    pub backends: Option<wgpu::Backends>,
    /// Integrated before discrete, for the battery's sake. What a browser makes of it is its own affair.
    pub low_power: bool,
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
    list(None, false).await.iter().map(wgpu::Adapter::get_info).collect()
}

pub(super) async fn pick(choice: &AdapterChoice) -> Result<wgpu::Adapter, Error> {
    let mut all = list(choice.backends, choice.low_power).await;
    let infos: Vec<wgpu::AdapterInfo> = all.iter().map(wgpu::Adapter::get_info).collect();
    Ok(all.swap_remove(position(choice, &infos)?))
}

/// The position in `all` (those of the wanted backends, best first) of the adapter that `choice` names.
fn position(choice: &AdapterChoice, all: &[wgpu::AdapterInfo]) -> Result<usize, Error> {
    let labels: Vec<String> = all.iter().map(label).collect();
    let fits = |label: &String| {
        let wanted = choice.name.as_deref().unwrap_or_default().to_ascii_lowercase();
        label.to_ascii_lowercase().contains(&wanted)
    };
    let mut matching = labels.iter().enumerate().filter(|(_, label)| fits(label));
    let nth = matching.nth(choice.index.unwrap_or(0));
    nth.map(|(position, _)| position).ok_or_else(|| Error::NoAdapter {
        wanted: choice.describe(),
        remedy: if labels.is_empty() { install_hint() } else { "Choose one of these.".into() },
        found: if labels.is_empty() { "none".into() } else { labels.join("; ") },
    })
}

/// A device on `adapter`.
pub(super) async fn open(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
) -> Result<(wgpu::Device, wgpu::Queue), Error> {
    adapter.request_device(descriptor).await.map_err(|reason| Error::NoDevice {
        adapter: adapter.get_info().name,
        reason: reason.to_string(),
    })
}

pub(super) fn label(info: &wgpu::AdapterInfo) -> String {
    let driver = format!("{} {}", info.driver, info.driver_info);
    format!("{} ({}, {})", info.name, driver.trim(), info.backend)
}

#[cfg(not(target_arch = "wasm32"))]
async fn list(backends: Option<wgpu::Backends>, low_power: bool) -> Vec<wgpu::Adapter> {
    let wanted = backends.unwrap_or(wgpu::Backends::all());
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wanted,
        // No validation layers or debug names unless the app asks for them through its own device.
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = instance.enumerate_adapters(wanted).await;
    adapters.retain(|adapter| adapter.get_info().backend != wgpu::Backend::Noop);
    best_first(&mut adapters, low_power, wgpu::Adapter::get_info);
    adapters
}

/// Stable, so adapters of a kind stay in the system's order.
#[cfg(not(target_arch = "wasm32"))]
fn best_first<T>(adapters: &mut [T], low_power: bool, info: impl Fn(&T) -> wgpu::AdapterInfo) {
    adapters.sort_by_key(|adapter| rank(info(adapter).device_type, low_power));
}

#[cfg(target_arch = "wasm32")]
async fn list(backends: Option<wgpu::Backends>, low_power: bool) -> Vec<wgpu::Adapter> {
    if backends.is_some_and(|wanted| !wanted.contains(wgpu::Backends::BROWSER_WEBGPU)) {
        return Vec::new();
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::BROWSER_WEBGPU,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let options = wgpu::RequestAdapterOptions {
        power_preference: match low_power {
            true => wgpu::PowerPreference::LowPower,
            false => wgpu::PowerPreference::HighPerformance,
        },
        ..Default::default()
    };
    instance.request_adapter(&options).await.into_iter().collect()
}

#[cfg(not(target_arch = "wasm32"))]
fn rank(kind: wgpu::DeviceType, low_power: bool) -> u32 {
    match kind {
        wgpu::DeviceType::IntegratedGpu if low_power => 0,
        wgpu::DeviceType::DiscreteGpu if low_power => 1,
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

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    fn info(name: &str, driver: &str, kind: wgpu::DeviceType) -> wgpu::AdapterInfo {
        let info = wgpu::AdapterInfo::new(kind, wgpu::Backend::Vulkan);
        wgpu::AdapterInfo { name: name.into(), driver: driver.into(), ..info }
    }

    fn all(low_power: bool) -> Vec<wgpu::AdapterInfo> {
        use wgpu::DeviceType::*;
        let mut all = vec![
            info("llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe", Cpu),
            info("Virtio-GPU Venus", "venus", VirtualGpu),
            info("SwiftShader Device", "SwiftShader driver", Cpu),
            info("Intel(R) UHD Graphics 630", "Intel open-source Mesa driver", IntegratedGpu),
            info("NVIDIA GeForce RTX 3060", "NVIDIA", DiscreteGpu),
            info("NVIDIA GeForce GT 1030", "NVIDIA", DiscreteGpu),
            info("Something", "else", Other),
        ];
        best_first(&mut all, low_power, wgpu::AdapterInfo::clone);
        all
    }

    fn chosen(choice: AdapterChoice) -> String {
        let all = all(choice.low_power);
        all[position(&choice, &all).expect("an adapter")].name.clone()
    }

    #[test]
    fn the_best_come_first() {
        let names: Vec<String> = all(false).into_iter().map(|info| info.name).collect();
        let first: Vec<&str> = names.iter().map(|name| name.split(' ').next().unwrap()).collect();
        let expected =
            ["NVIDIA", "NVIDIA", "Intel(R)", "Virtio-GPU", "llvmpipe", "SwiftShader", "Something"];
        assert_eq!(first, expected);
        assert_eq!(names[0], "NVIDIA GeForce RTX 3060", "the system's order within a kind");
        assert_eq!(chosen(AdapterChoice::default()), "NVIDIA GeForce RTX 3060");
        let choice = AdapterChoice { low_power: true, ..AdapterChoice::default() };
        assert_eq!(chosen(choice), "Intel(R) UHD Graphics 630");
    }

    #[test]
    fn names_and_positions_choose() {
        // Of the adapter or of its driver, in any case.
        assert_eq!(chosen(AdapterChoice::named("LLVMpipe")), "llvmpipe (LLVM 15.0.6, 256 bits)");
        assert_eq!(chosen(AdapterChoice::named("mesa")), "Intel(R) UHD Graphics 630");
        assert_eq!(chosen(AdapterChoice::named("nvidia")), "NVIDIA GeForce RTX 3060");
        let at = |index| AdapterChoice { index: Some(index), ..AdapterChoice::default() };
        assert_eq!(chosen(at(3)), "Virtio-GPU Venus");
        // Positions are counted among those of the name.
        let second = AdapterChoice { index: Some(1), ..AdapterChoice::named("NVIDIA") };
        assert_eq!(chosen(second), "NVIDIA GeForce GT 1030");
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let third = AdapterChoice { index: Some(2), ..AdapterChoice::named("nvidia") };
        let all = all(false);
        for (choice, wanted) in [
            (AdapterChoice::named("radeon"), "no WebGPU adapter named 'radeon'; found: NVIDIA"),
            (third, "named 'nvidia' at position 2"),
        ] {
            let error = position(&choice, &all).expect_err("there is none").to_string();
            assert!(error.contains(wanted) && error.contains("Choose one of these"), "{error}");
        }
        let choice = AdapterChoice { backends: Some(wgpu::Backends::GL), ..Default::default() };
        let error = position(&choice, &[]).expect_err("there is none").to_string();
        assert!(error.contains("GL") && error.contains(&install_hint()), "{error}");
    }

    /// Only the wanted backends are looked at.
    #[test]
    fn backends_choose() {
        let none = pollster::block_on(list(Some(wgpu::Backends::empty()), false));
        assert!(none.is_empty());
        for adapter in pollster::block_on(list(Some(wgpu::Backends::VULKAN), false)) {
            assert_eq!(adapter.get_info().backend, wgpu::Backend::Vulkan);
        }
    }

    /// An adapter that gives no device is named, with what it says.
    #[test]
    fn no_device_is_an_error() {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::NOOP;
        descriptor.backend_options.noop = wgpu::NoopBackendOptions {
            limits: Some(wgpu::Limits::default()),
            ..wgpu::NoopBackendOptions::enabled()
        };
        let instance = wgpu::Instance::new(descriptor);
        let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
        let limits = wgpu::Limits { max_bind_groups: 1000, ..Default::default() };
        let wish = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
        let error = pollster::block_on(open(&adapter, &wish)).expect_err("1000 bind groups");
        let Error::NoDevice { adapter: name, reason } = &error else { panic!("{error:?}") };
        assert_eq!(*name, adapter.get_info().name);
        assert!(reason.contains("max_bind_groups") && reason.contains("1000"), "{error}");
    }
}

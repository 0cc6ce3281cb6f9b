//! Which adapter is whose, where several processes share a machine.

use wgrad::wgpu::{AdapterInfo, DeviceType};
use wgrad::{AdapterChoice, adapters_blocking};

/// The adapter of lane `number` of a machine, counted from 0 over the processes on it: of the adapters of the best
/// kind and its API the `number`th, from the first on again when all are taken. A software adapter is one for all.
pub fn adapter_of(number: usize) -> AdapterChoice {
    let all = adapters_blocking();
    AdapterChoice { index: Some(position(&all, number)), ..AdapterChoice::default() }
}

fn position(all: &[AdapterInfo], number: usize) -> usize {
    let Some(best) = all.first() else { return 0 };
    let alike =
        |info: &AdapterInfo| info.device_type == best.device_type && info.backend == best.backend;
    let places: Vec<usize> =
        all.iter().enumerate().filter_map(|(at, info)| alike(info).then_some(at)).collect();
    match best.device_type {
        DeviceType::Cpu => 0,
        _ => number.checked_rem(places.len()).and_then(|n| places.get(n).copied()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad::wgpu::Backend;

    #[test]
    fn lanes_take_adapters_of_one_kind_in_turn() {
        let info = |kind, backend| AdapterInfo::new(kind, backend);
        let (gpu, cpu) = (DeviceType::DiscreteGpu, DeviceType::Cpu);
        let (vulkan, gl) = (Backend::Vulkan, Backend::Gl);
        let all = [info(gpu, vulkan), info(gpu, gl), info(gpu, vulkan), info(cpu, vulkan)];
        let places: Vec<usize> = (0..5).map(|number| position(&all, number)).collect();
        assert_eq!(places, [0, 2, 0, 2, 0]);
        assert_eq!(position(&[info(cpu, vulkan), info(cpu, vulkan)], 1), 0);
        assert_eq!(position(&[], 3), 0);
    }
}

//! Makes a pipeline of every kernel on a Vulkan device, as wgpu does, and asks the driver what it made of it.
//! Vulkan is called directly: wgpu cannot open a device without hardware, which has no timeline semaphores.
//!
//! RADV reads the family of a device without hardware when it is loaded, so this runs in a process of its own for
//! each: [`answer`] is what that process does.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::process::{Command, Stdio};

use ash::vk;
use serde::{Deserialize, Serialize};

use crate::{Outcome, words};

/// A kernel as wgpu hands it to Vulkan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shader {
    pub name: String,
    pub spirv: Vec<u32>,
    /// The number of each binding, and what it is: `uniform`, `step` (a uniform with an offset) or `storage`.
    pub bindings: Vec<(u32, String)>,
}

/// What a driver made of a kernel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Compiled {
    /// Its figures by their names, and the invocations of a subgroup.
    pub figures: BTreeMap<String, f64>,
    pub subgroup: u32,
    pub assembly: String,
}

/// What a driver made of all kernels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The device's name, and the driver with its version.
    pub device: String,
    pub driver: String,
    pub compiled: Vec<Compiled>,
}

/// Which driver is asked.
#[derive(Clone, Copy, Debug)]
pub enum Driver<'a> {
    /// RADV, for a family of AMD's GPUs that need not be there; by the file that names the driver.
    Radv { icd: &'a Path, family: &'a str },
    /// That of the machine's own GPU, by the name of its adapter.
    Own { device: &'a str },
}

/// What `driver` makes of `shaders`.
pub fn compile(driver: Driver<'_>, shaders: &[Shader]) -> Outcome<Answer> {
    let folder = tempfile::tempdir().map_err(words)?;
    let (asked, answered) = (folder.path().join("shaders"), folder.path().join("answer"));
    std::fs::write(&asked, serde_json::to_vec(shaders).map_err(words)?).map_err(words)?;
    let mut command = Command::new(std::env::current_exe().map_err(words)?);
    command.arg("--answer").args([&asked, &answered]).stderr(Stdio::piped());
    // Nothing from a cache: a pipeline that is found there has no text.
    command.env("MESA_SHADER_CACHE_DISABLE", "true").env("RADV_DEBUG", "nocache");
    match driver {
        Driver::Radv { icd, family } => {
            command.env("RADV_FORCE_FAMILY", family);
            command.env("VK_DRIVER_FILES", icd).env("VK_ICD_FILENAMES", icd);
        }
        Driver::Own { device } => {
            command.env_remove("RADV_FORCE_FAMILY").arg("--device").arg(device);
        }
    }
    let ended = command.output().map_err(words)?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("{driver:?}: {}", said.trim().lines().last().unwrap_or("no answer")));
    }
    serde_json::from_slice(&std::fs::read(&answered).map_err(words)?).map_err(words)
}

/// Reads kernels from a file and writes what the driver made of them to another.
pub fn answer(asked: &Path, answered: &Path, device: &str) -> Outcome<()> {
    let shaders: Vec<Shader> =
        serde_json::from_slice(&std::fs::read(asked).map_err(words)?).map_err(words)?;
    let open = Open::new(device)?;
    let compiled = shaders
        .iter()
        .map(|shader| open.compile(shader).map_err(|error| format!("{}: {error}", shader.name)));
    let compiled = compiled.collect::<Outcome<Vec<_>>>()?;
    let answer = Answer { device: open.name.clone(), driver: open.driver.clone(), compiled };
    std::fs::write(answered, serde_json::to_vec(&answer).map_err(words)?).map_err(words)
}

fn text(chars: &[c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Open {
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    name: String,
    driver: String,
    // What was made of these goes with the process: a device without hardware cannot be closed.
    _loaded: (ash::Entry, ash::Instance),
}

impl Open {
    /// The first device whose name holds `wanted`, with what wgpu switches on that changes code.
    fn new(wanted: &str) -> Outcome<Self> {
        // Sound: the structures are those of the calls, and what they point to lives until these return.
        unsafe {
            let entry = ash::Entry::load().map_err(words)?;
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let create = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = entry.create_instance(&create, None).map_err(words)?;
            let name = |device| text(&instance.get_physical_device_properties(device).device_name);
            let devices = instance.enumerate_physical_devices().map_err(words)?;
            let physical = devices
                .into_iter()
                .find(|&device| name(device).contains(wanted))
                .ok_or("no such Vulkan device")?;
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            instance.get_physical_device_properties2(physical, &mut properties);
            let of_driver = format!("{} {}", text(&driver.driver_name), text(&driver.driver_info));

            let extensions =
                instance.enumerate_device_extension_properties(physical).map_err(words)?;
            let has =
                |name: &CStr| extensions.iter().any(|e| e.extension_name_as_c_str() == Ok(name));
            let executables = ash::khr::pipeline_executable_properties::NAME;
            if !has(executables) {
                return Err(format!("{of_driver} has no {executables:?}"));
            }
            let mut names = vec![executables.as_ptr()];
            let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
            let mut of13 = vk::PhysicalDeviceVulkan13Features::default();
            let mut known = vk::PhysicalDeviceFeatures2::default().push_next(&mut of13);
            let robust = has(ash::ext::robustness2::NAME);
            if robust {
                names.push(ash::ext::robustness2::NAME.as_ptr());
                known = known.push_next(&mut robustness);
            }
            instance.get_physical_device_features2(physical, &mut known);
            let core = known.features;
            if robustness.robust_buffer_access2 == 0 {
                return Err(format!(
                    "{of_driver} has no robustBufferAccess2; kernels are translated for it"
                ));
            }
            let features = vk::PhysicalDeviceFeatures::default()
                .robust_buffer_access(core.robust_buffer_access == 1)
                .shader_int64(core.shader_int64 == 1);
            let mut robustness =
                vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
            let mut of13 = vk::PhysicalDeviceVulkan13Features::default()
                .subgroup_size_control(of13.subgroup_size_control == 1)
                .shader_zero_initialize_workgroup_memory(
                    of13.shader_zero_initialize_workgroup_memory == 1,
                );
            let mut info = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                .pipeline_executable_info(true);
            let queues = [vk::DeviceQueueCreateInfo::default()
                .queue_family_index(0)
                .queue_priorities(&[1.0])];
            let create = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&names)
                .enabled_features(&features)
                .push_next(&mut of13)
                .push_next(&mut robustness)
                .push_next(&mut info);
            let device = instance.create_device(physical, &create, None).map_err(words)?;
            Ok(Self {
                executables: ash::khr::pipeline_executable_properties::Device::new(
                    &instance, &device,
                ),
                name: name(physical),
                driver: of_driver.trim().into(),
                device,
                _loaded: (entry, instance),
            })
        }
    }

    fn compile(&self, shader: &Shader) -> Outcome<Compiled> {
        let device = &self.device;
        let bindings = shader.bindings.iter().map(|(number, kind)| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(*number)
                .descriptor_type(match kind.as_str() {
                    "uniform" => vk::DescriptorType::UNIFORM_BUFFER,
                    "step" => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
                    "texels" => vk::DescriptorType::STORAGE_IMAGE,
                    _ => vk::DescriptorType::STORAGE_BUFFER,
                })
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        });
        let bindings: Vec<_> = bindings.collect();
        // Sound: as above; naga validated the module.
        unsafe {
            let module = vk::ShaderModuleCreateInfo::default().code(&shader.spirv);
            let module = device.create_shader_module(&module, None).map_err(words)?;
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [device.create_descriptor_set_layout(&set, None).map_err(words)?];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = device.create_pipeline_layout(&layout, None).map_err(words)?;
            let name = CString::new("main").map_err(words)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&name);
            let create =
                vk::ComputePipelineCreateInfo::default().layout(layout).stage(stage).flags(
                    vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                        | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
                );
            let cache = vk::PipelineCache::null();
            let pipelines = device.create_compute_pipelines(cache, &[create], None);
            let pipeline = pipelines.map_err(|(_, error)| words(error))?[0];
            let compiled = self.read(pipeline);
            device.destroy_pipeline(pipeline, None);
            device.destroy_shader_module(module, None);
            compiled
        }
    }

    /// # Safety
    /// `pipeline` is one of this device's, made with its figures and texts kept.
    unsafe fn read(&self, pipeline: vk::Pipeline) -> Outcome<Compiled> {
        let mut compiled = Compiled::default();
        let of_pipeline = vk::PipelineInfoKHR::default().pipeline(pipeline);
        let executable =
            vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // Sound: the counts are those that the driver gave.
        unsafe {
            let properties = self.executables.get_pipeline_executable_properties(&of_pipeline);
            compiled.subgroup = properties.map_err(words)?.first().map_or(0, |p| p.subgroup_size);
            let figures = self.executables.get_pipeline_executable_statistics(&executable);
            for figure in figures.map_err(words)? {
                use vk::PipelineExecutableStatisticFormatKHR as Format;
                let value = match figure.format {
                    Format::UINT64 => figure.value.u64 as f64,
                    Format::INT64 => figure.value.i64 as f64,
                    Format::FLOAT64 => figure.value.f64,
                    _ => figure.value.b32.into(),
                };
                compiled.figures.insert(text(&figure.name), value);
            }
            // Once for the sizes, once for the texts.
            let ask = self.executables.fp().get_pipeline_executable_internal_representations_khr;
            let (device, mut count) = (self.device.handle(), 0);
            let asked = ask(device, &executable, &mut count, std::ptr::null_mut());
            asked.result().map_err(words)?;
            let mut parts =
                vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            ask(device, &executable, &mut count, parts.as_mut_ptr()).result().map_err(words)?;
            let mut texts: Vec<Vec<u8>> = parts.iter().map(|p| vec![0; p.data_size]).collect();
            for (part, text) in parts.iter_mut().zip(&mut texts) {
                part.p_data = text.as_mut_ptr().cast();
            }
            ask(device, &executable, &mut count, parts.as_mut_ptr()).result().map_err(words)?;
            let is_assembly = |part: &vk::PipelineExecutableInternalRepresentationKHR<'_>| {
                text(&part.name).to_lowercase().contains("assembly")
            };
            if let Some((_, bytes)) = parts.iter().zip(&texts).rfind(|(part, _)| is_assembly(part))
            {
                let whole = String::from_utf8_lossy(bytes);
                compiled.assembly = whole.trim_end_matches('\0').into();
            }
        }
        Ok(compiled)
    }
}

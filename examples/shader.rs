//! Lists the shaders, prints one, or writes all of them to a folder: as it is (WGSL), or as wgpu hands it to
//! DirectX 12 (HLSL), Metal (MSL) and Vulkan (SPIR-V). Needs no GPU.
//!
//! ```sh
//! cargo run --example shader
//! cargo run --example shader -- softmax
//! cargo run --example shader -- --to hlsl softmax
//! cargo run --example shader -- --all --to msl FOLDER
//! ```

mod common;
#[path = "../tests/shaders/listed/mod.rs"]
mod listed;
#[path = "../tests/shaders/translate/mod.rs"]
mod translate;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use common::Outcome;
use listed::{Kernel, kernels};
use translate::{Checked, ShaderModel, Vulkan};

/// A shader as it is, or as wgpu hands it to DirectX 12, Metal and Vulkan
#[derive(Parser)]
struct Args {
    /// Write every shader to the folder that is named
    #[arg(long)]
    all: bool,
    /// The language
    #[arg(long, value_enum, default_value_t = Language::Wgsl)]
    to: Language,
    /// A shader's name or the beginning of several, or with --all a folder; without it, all names are listed
    #[arg(value_name = "NAME or FOLDER", required_if_eq("all", "true"))]
    what: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// As wgrad has it, one file after the other
    Wgsl,
    /// DirectX 12, shader models 5.1 and 6
    Hlsl,
    /// Metal 2.4
    Msl,
    /// Vulkan: binary files for the oldest devices (1.1) and the newest (1.3)
    Spv,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let kernels = kernels();
    let Some(what) = &args.what else {
        kernels.iter().for_each(|kernel| println!("{}", kernel.name));
        return Ok(());
    };
    if args.all {
        let folder = Path::new(what);
        fs::create_dir_all(folder)?;
        for kernel in &kernels {
            for (ending, bytes) in written(kernel, args.to)? {
                fs::write(folder.join(format!("{}.{ending}", kernel.name)), bytes)?;
            }
        }
        println!("{} shaders in {}", kernels.len(), folder.display());
        return Ok(());
    }
    let Some(kernel) = kernels.iter().find(|kernel| kernel.name == *what) else {
        let names = kernels.iter().map(|kernel| kernel.name.as_str());
        let similar: Vec<&str> = names.filter(|name| name.starts_with(what)).collect();
        let known = match similar.as_slice() {
            [] => "--all writes all there are".into(),
            similar => format!("there are:\n{}", similar.join("\n")),
        };
        return Err(format!("no shader is named '{what}'; {known}").into());
    };
    let text = written(kernel, args.to)?.pop().map(|(_, bytes)| bytes).unwrap_or_default();
    std::io::stdout().write_all(&text)?;
    Ok(())
}

/// The kernel in a language: a file for each kind of device that gets one of its own, with its ending.
fn written(kernel: &Kernel, to: Language) -> Outcome<Vec<(&'static str, Vec<u8>)>> {
    if to == Language::Wgsl {
        return Ok(vec![("wgsl", kernel.with_marks().into_bytes())]);
    }
    let in_kernel = |error: String| format!("{}: {error}", kernel.name);
    let checked = Checked::new(kernel).map_err(in_kernel)?;
    let spv = |vulkan| -> Outcome<Vec<u8>> {
        let words = checked.spv(vulkan).map_err(in_kernel)?;
        Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
    };
    Ok(match to {
        Language::Wgsl => Vec::new(),
        // The tests see that the text is the same for all shader models.
        Language::Hlsl => {
            vec![("hlsl", checked.hlsl(ShaderModel::V6_0).map_err(in_kernel)?.into_bytes())]
        }
        Language::Msl => vec![("metal", checked.msl().map_err(in_kernel)?.into_bytes())],
        Language::Spv => {
            vec![("vulkan1.1.spv", spv(Vulkan::Oldest)?), ("vulkan1.3.spv", spv(Vulkan::Newest)?)]
        }
    })
}

//! What GPUs' compilers make of the kernels that wgrad's plans choose for GPUs, and what a model says they take.
//! `bench/kernels` builds this and calls it.

mod assembly;
mod banks;
mod golden;
#[path = "../../../tests/shaders/listed/mod.rs"]
mod listed;
mod model;
mod report;
mod tasks;
mod timed;
#[allow(dead_code, unused_imports, reason = "the tests and this each use a part")]
#[path = "../../../tests/shaders/translate/mod.rs"]
mod translate;
mod vulkan;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use report::{Report, Step};
use vulkan::{Answer, Driver};
use workload::{Found, USUAL};

pub type Outcome<T> = Result<T, String>;

pub fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Shows what a GPU's compiler makes of wgrad's kernels, without the GPU
#[derive(Parser)]
struct Args {
    /// W1, W2, W2-adam, W2-f16, W3, W3-adam, W3-f16, A·B, A·Bᵀ, Aᵀ·B, all, or such as
    /// net:784-512-512-10:256:ce:adam:f16, whole-step:10-64-1:32:mse:sgd, in-memory:64-128-64-10:32:ce:sgd,
    /// product:nt:1024x1024x1024, k-means:65536x32x64, pca:8192x784 [default: all of these names but `all`]
    workloads: Vec<String>,
    /// Families of AMD's GPUs, as RADV names them: polaris10, vega10, navi10, navi21, navi31 (Mesa 25) or gfx1100
    /// (Mesa 22) [default: navi21, vega10]
    #[arg(long, value_delimiter = ',')]
    family: Vec<String>,
    /// The file that names the RADV driver to Vulkan's loader [default: the system's]
    #[arg(long, value_name = "FILE")]
    driver: Option<PathBuf>,
    /// Write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write every kernel's WGSL and assembly to FOLDER
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Exit with 1 if a kernel got worse than what is committed for this version of the driver, with 3 if there is
    /// no RADV or nothing is committed
    #[arg(long, conflicts_with_all = ["workloads", "family"])]
    check: bool,
    /// Commit to what is found: write it where --check reads it
    #[arg(long, conflicts_with_all = ["check", "workloads", "family"])]
    accept: bool,
    /// Time steps on the adapter of this name, too; on a machine with a GPU that is done on it anyway
    #[arg(long, value_name = "NAME")]
    time: Option<String>,
    #[arg(long, hide = true, num_args = 2)]
    answer: Option<Vec<PathBuf>>,
    #[arg(long, hide = true, default_value = "")]
    device: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let ended = match args.answer.as_deref() {
        Some([asked, answered]) => {
            vulkan::answer(asked, answered, &args.device).map(|()| ExitCode::SUCCESS)
        }
        _ => run(&args),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The file that names the system's RADV.
fn system_driver() -> Option<PathBuf> {
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
    let files = folders.iter().filter_map(|folder| Path::new(folder).read_dir().ok()).flatten();
    files.flatten().map(|file| file.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("radeon_icd") && name.ends_with(".json")
    })
}

fn run(args: &Args) -> Outcome<ExitCode> {
    let or = |given: &[String], usual: &[&str]| match given {
        [] => usual.iter().map(|&name| name.to_string()).collect(),
        given => given.to_vec(),
    };
    let names: Vec<String> = or(&args.workloads, &USUAL.map(|(short, _)| short));
    let own = timed::gpu(args.time.as_deref())?;
    let families = or(&args.family, &["navi21", "vega10"]);
    let skipped = |why: &str| {
        eprintln!("SKIPPED: {why}");
        Ok(ExitCode::from(3))
    };
    let icd = args.driver.clone().or_else(system_driver);
    if icd.is_none() && (args.check || own.is_none()) {
        return skipped("there is no RADV: install mesa-vulkan-drivers, or name one by --driver");
    }

    // The kernels of the usual plans first, then, for the model, those of plans for each device.
    let mut found = Found::default();
    let mut workloads = Vec::new();
    let mut for_devices = Vec::new();
    for name in &names {
        workloads.push(found.workload(name, None)?);
        let of_devices = model::DEVICES.iter().filter(|_| name != "all");
        let of_devices = of_devices.map(|device| found.workload(name, Some(device.filled_by)));
        for_devices.push(of_devices.collect::<Outcome<Vec<_>>>()?);
    }
    let cycles = found.texts.iter().map(|wgsl| {
        let [some, more] = banks::TOGETHER.map(|together| banks::cycles(wgsl, together));
        Ok([some?, more?])
    });
    let cycles = cycles.collect::<Outcome<Vec<_>>>()?;

    let mut report = Report { driver: String::new(), kernels: Vec::new(), workloads: Vec::new() };
    let mut first: Option<Answer> = None;
    let mut asked: Vec<(&str, Driver<'_>)> = Vec::new();
    if let Some(icd) = &icd {
        asked.extend(families.iter().map(|family| (family.as_str(), Driver::Radv { icd, family })));
    }
    if let Some(gpu) =
        own.as_ref().filter(|_| !args.check && !args.accept && args.family.is_empty())
    {
        asked.push(("own", Driver::Own { device: &gpu.info().name }));
    }
    for (family, driver) in asked {
        let answer = match (vulkan::compile(driver, &found.shaders), driver) {
            (Ok(answer), _) => answer,
            // Not every driver tells what it makes of a kernel.
            (Err(error), Driver::Own { .. }) => {
                eprintln!("{error}");
                continue;
            }
            (Err(error), Driver::Radv { .. }) => return Err(error),
        };
        println!("{family}: {}, {}", answer.device, answer.driver);
        for workload in &workloads {
            let rows = report::rows(workload, family, &answer, &cycles);
            report::print(&rows);
            report.kernels.extend(rows);
        }
        keep(args, family, &found, &answer)?;
        first.get_or_insert(answer);
    }
    report.driver = first.as_ref().map_or(String::new(), |answer| answer.driver.clone());

    for (workload, of_devices) in workloads.iter().zip(&for_devices) {
        let mut step = Step {
            workload: workload.name.clone(),
            dispatches: workload.dispatches.len(),
            modelled: Vec::new(),
            measured: None,
        };
        let modelled =
            first.as_ref().filter(|_| workload.dispatches.iter().any(|d| d.product.is_some() || d.turns.is_some()));
        if let Some(answer) = modelled {
            let known =
                answer.compiled.iter().zip(&cycles).map(|(c, &cycles)| report::known(c, cycles));
            let known: Vec<_> = known.collect();
            let estimates = of_devices.iter().zip(&model::DEVICES).map(|(planned, device)| {
                let of_products =
                    planned.dispatches.iter().filter(|d| d.product.is_some() || d.turns.is_some());
                let waves =
                    of_products.map(|d| model::waves_per_simd(device, d)).fold(f64::MAX, f64::min);
                (planned.dispatches.len(), waves, model::estimate(device, planned, &known))
            });
            let estimates: Vec<_> = estimates.collect();
            report::print_estimates(&workload.name, &estimates);
            let whole = estimates.iter().zip(&model::DEVICES);
            let tenths = |time: f64| (10.0 * time).round() / 10.0;
            step.modelled =
                whole.map(|((_, _, e), device)| (device.name.into(), tenths(e.whole))).collect();
        }
        if let Some(gpu) = &own {
            step.measured = timed::step(gpu, &workload.name)?;
            if let Some(time) = step.measured {
                println!("{}: {time:.1} µs a step on {}", workload.name, gpu.describe());
            }
        }
        report.workloads.push(step);
    }
    let written = || serde_json::to_vec_pretty(&report).map_err(words);
    if let Some(file) = &args.json {
        std::fs::write(file, written()?).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if args.accept {
        let file = golden::path(&report.driver)?;
        std::fs::write(&file, written()?).map_err(words)?;
        println!("\nwrote {}", file.display());
    }
    if args.check {
        let Some(committed) = golden::read(&report.driver)? else {
            return skipped(&format!("nothing is committed for {}", report.driver));
        };
        let worse = golden::worse(&report, &committed);
        println!();
        worse.iter().for_each(|line| println!("worse: {line}"));
        println!("{} kernels, {} figures worse", report.kernels.len(), worse.len());
        return Ok(if worse.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes texts and assembly, if that is wanted.
fn keep(args: &Args, family: &str, found: &Found, answer: &Answer) -> Outcome<()> {
    let Some(folder) = &args.keep else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(words)?;
    for (number, (wgsl, compiled)) in found.texts.iter().zip(&answer.compiled).enumerate() {
        let file = |ending: &str| folder.join(format!("{number:03}.{ending}"));
        std::fs::write(file("wgsl"), wgsl).map_err(words)?;
        std::fs::write(file(&format!("{family}.asm")), &compiled.assembly).map_err(words)?;
    }
    Ok(())
}

//! `wgrad show`, `devices` and `export`.

use std::io::{self, Write};

use serde_json::json;
use wgrad::data::{Encoding, LeftOutReason, TargetEncoding};

use crate::args::{DevicesArgs, ExportArgs, ShowArgs};
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::score::Figure;

pub fn run(args: &ShowArgs) -> Outcome {
    let (file, encoder) = model::read(&args.model)?;
    let mut out = io::stdout().lock();
    if args.json {
        let shown = json!({
            "targets": encoder.targets().columns(),
            "classes": encoder.class_names(),
            "columns": encoder.columns().iter().map(|c| json!({
                "name": c.name,
                "type": c.encoding.column_type().name(),
                "features": c.encoding.width(),
            })).collect::<Vec<_>>(),
            "features": encoder.feature_names(),
            "encoder": encoder,
            "parameters": file.architecture().parameter_count(),
            "steps": file.state().step,
        });
        writeln!(out, "{shown:#}")?;
        return Ok(());
    }
    match encoder.targets() {
        TargetEncoding::Classes { column, classes } => {
            writeln!(
                out,
                "target: {column}, one of {} classes: {}",
                classes.len(),
                classes.join(", ")
            )?;
        }
        targets => writeln!(out, "target: {}, numbers", targets.columns().join(", "))?,
    }
    for column in encoder.columns() {
        let what = match &column.encoding {
            Encoding::Number(scaling) => {
                let missing = match scaling.indicator {
                    true => format!(", {} where missing", Figure(scaling.median)),
                    false => String::new(),
                };
                let (mean, deviation) = (Figure(scaling.mean), Figure(scaling.deviation));
                format!("number, mean {mean}, deviation {deviation}{missing}")
            }
            Encoding::Category { categories, other, missing } => {
                let other = if *other { ", others" } else { "" };
                let missing = if *missing { ", missing" } else { "" };
                format!("category: {}{other}{missing}", categories.join(", "))
            }
            _ => column.encoding.column_type().name().to_owned(),
        };
        writeln!(out, "column: {}, {what}", column.name)?;
    }
    for column in encoder.left_out() {
        let why = match &column.reason {
            LeftOutReason::Constant(_) => "held one value only",
            _ => "ignored",
        };
        writeln!(out, "column: {} is not used: {why}", column.name)?;
    }
    writeln!(out, "{}", file.architecture().summary())?;
    writeln!(out, "steps of training: {}", file.state().step)?;
    Ok(())
}

pub fn devices(args: &DevicesArgs) -> Outcome {
    let adapters = wgrad::adapters_blocking();
    let mut out = io::stdout().lock();
    if args.json {
        let adapters = adapters.iter().map(|adapter| {
            json!({
                "name": adapter.name,
                "kind": format!("{:?}", adapter.device_type),
                "backend": adapter.backend.to_string(),
                "driver": adapter.driver,
                "driver_info": adapter.driver_info,
            })
        });
        writeln!(out, "{:#}", json!(adapters.collect::<Vec<_>>()))?;
        return Ok(());
    }
    if adapters.is_empty() {
        return Err(Failure::new(
            "there is no adapter; install a GPU's driver, or a software one (Mesa's Vulkan drivers)",
        ));
    }
    for adapter in adapters {
        let driver = format!("{} {}", adapter.driver, adapter.driver_info);
        let kind = format!("{:?}", adapter.device_type);
        writeln!(out, "{} ({kind}, {}, {})", adapter.name, driver.trim(), adapter.backend)?;
    }
    Ok(())
}

pub fn export(args: &ExportArgs) -> Outcome {
    let (file, encoder) = model::read(&args.model)?;
    let at = args.onnx.display();
    if args.encoded {
        file.write_onnx(&args.onnx)?;
        let features = encoder.feature_names().join(", ");
        let width = encoder.width();
        eprintln!("{at}: takes {width} encoded features per row, in this order: {features}");
        if !encoder.class_names().is_empty() {
            eprintln!("its outputs are the classes {}", encoder.class_names().join(", "));
        }
        return Ok(());
    }
    file.write_onnx_of_table(&args.onnx)?;
    let takes = encoder.columns().iter().map(|column| {
        let of = match &column.encoding {
            Encoding::Number(_) => "double",
            Encoding::Category { .. } => "string",
            _ => "double, days since 1970-01-01",
        };
        format!("{} ({of})", column.name)
    });
    eprintln!("{at}: takes a column of each, [rows, 1]: {}", takes.collect::<Vec<_>>().join(", "));
    let gives = match encoder.targets() {
        TargetEncoding::Classes { column, .. } => {
            format!(
                "label, the {column} of each row, and probabilities, in the order {}",
                encoder.class_names().join(", ")
            )
        }
        targets => format!("output, {} in the unit of the table", targets.columns().join(", ")),
    };
    eprintln!("gives {gives}");
    Ok(())
}
